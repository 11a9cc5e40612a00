//! Operators over whole columns of floats: one loop for each operator, without a choice inside.

use super::arithmetic::power;
use crate::kernels::cells::Cells;
use mytsdb_promql_syntax::BinaryOp;

/// What a column is combined with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand<'o> {
    Constant(f64),
    Column(&'o [f64]),
}

/// Combines each value with its operand, which stands on the left if `swapped`.
#[inline]
fn each(values: &mut [f64], operand: Operand<'_>, swapped: bool, f: impl Fn(f64, f64) -> f64) {
    match (operand, swapped) {
        (Operand::Constant(b), false) => values.iter_mut().for_each(|a| *a = f(*a, b)),
        (Operand::Constant(a), true) => values.iter_mut().for_each(|b| *b = f(a, *b)),
        (Operand::Column(other), false) => values.iter_mut().zip(other).for_each(|(a, &b)| *a = f(*a, b)),
        (Operand::Column(other), true) => values.iter_mut().zip(other).for_each(|(b, &a)| *b = f(a, *b)),
    }
}

/// Empties the cells for which `holds` does not; all of them are floats or empty.
#[inline]
fn retain(cells: &mut Cells, operand: Operand<'_>, swapped: bool, holds: impl Fn(f64, f64) -> bool) {
    let both = cells.kinds.iter_mut().zip(&cells.values);
    match (operand, swapped) {
        (Operand::Constant(b), false) => both.for_each(|(kind, &a)| *kind &= u8::from(holds(a, b))),
        (Operand::Constant(a), true) => both.for_each(|(kind, &b)| *kind &= u8::from(holds(a, b))),
        (Operand::Column(other), false) => both.zip(other).for_each(|((kind, &a), &b)| *kind &= u8::from(holds(a, b))),
        (Operand::Column(other), true) => both.zip(other).for_each(|((kind, &b), &a)| *kind &= u8::from(holds(a, b))),
    }
}

/// 1 where `holds` does, 0 elsewhere.
#[inline]
fn each_bool(values: &mut [f64], operand: Operand<'_>, swapped: bool, holds: impl Fn(f64, f64) -> bool) {
    each(values, operand, swapped, |a, b| f64::from(u8::from(holds(a, b))));
}

/// Calls `run` with the comparison that `op` stands for as its last argument.
macro_rules! compared {
    ($op:expr, $run:ident($($arg:expr),*)) => {
        match $op {
            BinaryOp::Eq => $run($($arg,)* |a, b| a == b),
            BinaryOp::NotEq => $run($($arg,)* |a, b| a != b),
            BinaryOp::Less => $run($($arg,)* |a, b| a < b),
            BinaryOp::LessEq => $run($($arg,)* |a, b| a <= b),
            BinaryOp::Greater => $run($($arg,)* |a, b| a > b),
            BinaryOp::GreaterEq => $run($($arg,)* |a, b| a >= b),
            _ => $run($($arg,)* |_, _| false),
        }
    };
}

/// Operates on a row of floats and an operand. Cells that a comparison without `bool` leaves keep their value.
pub(super) fn operate(cells: &mut Cells, op: BinaryOp, return_bool: bool, operand: Operand<'_>, swapped: bool) {
    debug_assert!(!cells.has_histograms() && crate::kernels::cells::FLOAT == 1);
    let values = &mut cells.values;
    match op {
        BinaryOp::Add => each(values, operand, swapped, |a, b| a + b),
        BinaryOp::Sub => each(values, operand, swapped, |a, b| a - b),
        BinaryOp::Mul => each(values, operand, swapped, |a, b| a * b),
        BinaryOp::Div => each(values, operand, swapped, |a, b| a / b),
        BinaryOp::Mod => each(values, operand, swapped, |a, b| a % b),
        BinaryOp::Pow => each(values, operand, swapped, power),
        BinaryOp::Atan2 => each(values, operand, swapped, f64::atan2),
        _ if return_bool => compared!(op, each_bool(values, operand, swapped)),
        _ => compared!(op, retain(cells, operand, swapped)),
    }
}
