//! One operator on two samples of either kind.

use super::arithmetic::{arithmetic, compare};
use crate::annotations::Annotations;
use crate::kernels::cells::{Cell, Cells};
use crate::kernels::remarks;
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_promql_syntax::BinaryOp;
use mytsdb_promql_syntax::PosRange;
use std::sync::Arc;

/// What an operator makes of two samples.
pub(crate) enum Outcome {
    /// A result.
    Value(Cell),
    /// Whether a comparison holds.
    Compared(bool),
    /// The operator has no meaning for these kinds; a remark says so.
    Undefined,
}

fn kind(cell: &Cell) -> &'static str {
    match cell {
        Cell::Float(_) => "float",
        Cell::Histogram(_) => "histogram",
    }
}

fn histogram(mut histogram: FloatHistogram) -> Outcome {
    histogram.compact(0);
    Outcome::Value(Cell::Histogram(Arc::new(histogram)))
}

pub(crate) fn operate(op: BinaryOp, lhs: &Cell, rhs: &Cell, notes: &mut Annotations, pos: PosRange) -> Outcome {
    match (lhs, rhs, op) {
        (Cell::Float(a), Cell::Float(b), _) if op.is_comparison() => Outcome::Compared(compare(op, *a, *b)),
        (Cell::Float(a), Cell::Float(b), _) if !matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) => {
            Outcome::Value(Cell::Float(arithmetic(op, *a, *b)))
        }
        (Cell::Float(factor), Cell::Histogram(h), BinaryOp::Mul)
        | (Cell::Histogram(h), Cell::Float(factor), BinaryOp::Mul) => {
            let mut out = FloatHistogram::clone(h);
            out.mul(*factor);
            histogram(out)
        }
        (Cell::Histogram(h), Cell::Float(divisor), BinaryOp::Div) => {
            let mut out = FloatHistogram::clone(h);
            out.div(*divisor);
            histogram(out)
        }
        (Cell::Histogram(h), Cell::Float(bound), BinaryOp::TrimUpper | BinaryOp::TrimLower) => {
            let mut out = FloatHistogram::clone(h);
            if op == BinaryOp::TrimUpper {
                out.trim_upper(*bound);
            } else {
                out.trim_lower(*bound);
            }
            histogram(out)
        }
        (Cell::Histogram(a), Cell::Histogram(b), BinaryOp::Add | BinaryOp::Sub) => {
            let mut out = FloatHistogram::clone(a);
            let (result, name) =
                if op == BinaryOp::Add { (out.add(b), "addition") } else { (out.sub(b), "subtraction") };
            let Ok(reconciled) = result else {
                remarks::incompatible_layout(notes, op.as_str(), pos);
                return Outcome::Undefined;
            };
            if reconciled.counter_reset_collision {
                remarks::reset_collision(notes, name, pos);
                return Outcome::Undefined;
            }
            if reconciled.custom_bounds {
                remarks::bounds_reconciled(notes, name, pos);
            }
            if op == BinaryOp::Sub {
                out.counter_reset_hint = CounterResetHint::Gauge;
            }
            histogram(out)
        }
        (Cell::Histogram(a), Cell::Histogram(b), BinaryOp::Eq | BinaryOp::NotEq) => {
            // Buckets without observations count: what a function has compacted does not equal what is stored with them.
            Outcome::Compared(a.equals(b) == (op == BinaryOp::Eq))
        }
        _ => {
            remarks::incompatible_types(notes, op.as_str(), kind(lhs), kind(rhs), pos);
            Outcome::Undefined
        }
    }
}

/// Stores what an operator made of the cells; a filtering comparison keeps `kept`.
pub(crate) fn set_outcome(cells: &mut Cells, i: usize, outcome: Outcome, op: BinaryOp, return_bool: bool, kept: Cell) {
    match outcome {
        Outcome::Value(cell) => cells.set_cell(i, cell),
        Outcome::Compared(holds) if return_bool => {
            cells.clear(i);
            cells.set(i, f64::from(u8::from(holds)));
        }
        Outcome::Compared(true) => cells.set_cell(i, kept),
        Outcome::Undefined | Outcome::Compared(false) => cells.clear(i),
    }
    debug_assert!(!op.is_set());
}
