//! Binary operators: between scalars, between a vector and a scalar, between two vectors.

mod columns;
mod fill;
mod join;
mod matching;
mod operate;
mod restrict;
mod set;

pub(super) use matching::shown;
pub(super) use restrict::Union;

use columns::Operand;
use operate::{Outcome, operate};

use super::cells::{Cell, Cells, EMPTY, FLOAT, HISTOGRAM};
use super::context::Context;
use super::expr::{Scalar, eval_scalar, map_rows};
use super::grid::Grid;
use super::remarks;
use super::rows::Vector;
use crate::error::EvalError;
use mytsdb_promql_syntax::{BinaryExpr, BinaryOp, ValueType};

/// Arithmetic and comparisons of two floats; a comparison gives 1 or 0.
#[inline]
pub(super) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
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
fn power(a: f64, b: f64) -> f64 {
    a.powf(b)
}

#[inline]
pub(super) fn compare(op: BinaryOp, a: f64, b: f64) -> bool {
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

/// Operates on a vector, the left operand, and the right one, which is evaluated here.
pub(super) fn eval_on<'a>(
    context: &'a Context<'a>,
    binary: &'a BinaryExpr,
    lhs: Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    if binary.rhs.value_type() == ValueType::Vector {
        return matching::eval_vectors(context, binary, lhs, grid);
    }
    let scalar = eval_scalar(context, &binary.rhs, grid)?;
    eval_vector_scalar(context, binary, lhs, scalar, false)
}

/// Operates on two scalars.
pub(super) fn eval_scalars(op: BinaryOp, lhs: &Scalar, rhs: &Scalar, count: usize) -> Scalar {
    lhs.zip(rhs, count, |a, b| arithmetic(op, a, b))
}

/// Operates on each cell of a vector and a scalar; `swapped` if the scalar stands on the left.
pub(super) fn eval_vector_scalar<'a>(
    context: &'a Context<'a>,
    binary: &'a BinaryExpr,
    vector: Vector<'a>,
    scalar: Scalar,
    swapped: bool,
) -> Result<Vector<'a>, EvalError> {
    let (op, return_bool) = (binary.op, binary.return_bool);
    let drops_name = return_bool || changes_quantity(op);
    let pos = binary.pos();
    let optimise = context.options.optimise;
    if swapped && matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
        return refuse_trims(context, binary, &vector);
    }
    map_rows(context, vector, drops_name, move |cells, scratch, _| {
        if !cells.has_histograms() && !matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            if optimise {
                let operand = match &scalar {
                    Scalar::Constant(value) => Operand::Constant(*value),
                    Scalar::Steps(values) => Operand::Column(values),
                };
                columns::operate(cells, op, return_bool, operand, swapped);
            } else {
                floats_with_scalar(cells, op, return_bool, &scalar, swapped);
            }
            return;
        }
        for i in 0..cells.len() {
            let Some(cell) = cells.get(i) else { continue };
            let number = Cell::Float(scalar.at(i));
            let (lhs, rhs) = if swapped { (number, cell.clone()) } else { (cell.clone(), number) };
            let outcome = operate(op, &lhs, &rhs, &mut scratch.annotations, pos);
            set_outcome(cells, i, outcome, op, return_bool, cell);
        }
    })
}

/// A number cannot be trimmed. As in Prometheus, each step remarks what it was to be trimmed by last.
fn refuse_trims<'a>(
    context: &'a Context<'a>,
    binary: &BinaryExpr,
    vector: &Vector<'a>,
) -> Result<Vector<'a>, EvalError> {
    let mut last = vec![EMPTY; vector.steps()];
    vector.each(context, |_, cells, _| {
        for (last, &kind) in last.iter_mut().zip(&cells.kinds) {
            *last = if kind == EMPTY { *last } else { kind };
        }
        Ok(())
    })?;
    let (op, pos) = (binary.op.as_str(), binary.pos());
    for (kind, name) in [(FLOAT, "float"), (HISTOGRAM, "histogram")] {
        if last.contains(&kind) {
            context.annotate(|a| remarks::incompatible_types(a, op, "float", name, pos));
        }
    }
    Ok(Vector::none())
}

/// Stores what an operator made of the cells; a filtering comparison keeps `kept`.
fn set_outcome(cells: &mut Cells, i: usize, outcome: Outcome, op: BinaryOp, return_bool: bool, kept: Cell) {
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

fn floats_with_scalar(cells: &mut Cells, op: BinaryOp, return_bool: bool, scalar: &Scalar, swapped: bool) {
    for i in 0..cells.len() {
        let (value, number) = (cells.values[i], scalar.at(i));
        let (a, b) = if swapped { (number, value) } else { (value, number) };
        if op.is_comparison() && !return_bool {
            if !compare(op, a, b) {
                cells.kinds[i] = EMPTY;
            }
        } else {
            cells.values[i] = arithmetic(op, a, b);
        }
    }
    debug_assert!(cells.kinds.iter().all(|&k| k == EMPTY || k == FLOAT));
}
