//! Operators, and what they make of two floats.

use mytsdb_promql_syntax::{BinaryOp, PosRange, VectorMatching};
use std::sync::LazyLock;

/// An operator, and where it stands in a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    pub op: BinaryOp,
    /// Comparisons give 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How series are paired; `None` unless both operands are vectors.
    pub matching: Option<Box<VectorMatching>>,
    /// From the left operand to the right one.
    pub pos: PosRange,
}

/// Matching without a word about it.
static PLAIN_MATCHING: LazyLock<VectorMatching> = LazyLock::new(VectorMatching::default);

impl Operation {
    pub fn matching(&self) -> &VectorMatching {
        self.matching.as_deref().unwrap_or(&PLAIN_MATCHING)
    }
}

/// Arithmetic and comparisons of two floats; a comparison gives 1 or 0.
#[inline]
pub(crate) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => power(a, b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => f64::from(u8::from(compare(op, a, b))),
    }
}

/// Go's `math.Pow`, which agrees with IEEE's.
#[inline]
pub(crate) fn power(a: f64, b: f64) -> f64 {
    a.powf(b)
}

#[inline]
pub(crate) fn compare(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Eq => a == b,
        BinaryOp::NotEq => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEq => a <= b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEq => a >= b,
        _ => false,
    }
}

/// Whether the result is another quantity than the operands, so that the metric name makes no sense.
pub(crate) fn changes_quantity(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow | BinaryOp::Atan2
    )
}
