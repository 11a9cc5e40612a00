//! Binary operators: between scalars, between a vector and a scalar, between two vectors.

mod arithmetic;
mod columns;
mod fill;
mod join;
mod matching;
mod operate;
mod restrict;
mod set;
mod signatures;

pub(crate) use arithmetic::{Operation, arithmetic, changes_quantity};
pub(crate) use restrict::Union;
pub(super) use signatures::shown;

use arithmetic::compare;
use columns::Operand;
use matching::eval_kept;
use operate::{operate, set_outcome};
use signatures::PLAIN_MATCHING;

use super::cells::{Cell, Cells, EMPTY, FLOAT, HISTOGRAM};
use super::context::Context;
use super::grid::Grid;
use super::mapped::map_rows;
use super::remarks;
use super::rows::Vector;
use super::scalar::Scalar;
use crate::error::EvalError;
use mytsdb_promql_syntax::BinaryOp;

/// Operates on two scalars.
pub(crate) fn operate_scalars(op: BinaryOp, lhs: &Scalar, rhs: &Scalar, count: usize) -> Scalar {
    lhs.zip(rhs, count, |a, b| arithmetic(op, a, b))
}

/// Operates on two vectors.
pub(crate) fn operate_vectors<'a>(
    context: &'a Context<'a>,
    binary: &'a Operation,
    (lhs, rhs): (Vector<'a>, Vector<'a>),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let matching = binary.matching.as_ref().unwrap_or(&PLAIN_MATCHING);
    if !context.options.optimise {
        let (lhs, rhs) = (lhs.keep(context)?, rhs.keep(context)?);
        if binary.op.is_set() {
            return set::operate(context, binary.op, (lhs, rhs), matching, grid.count).map(Vector::Kept);
        }
        return eval_kept(context, binary, matching, (lhs, rhs), grid);
    }
    match binary.op {
        BinaryOp::And | BinaryOp::Unless => {
            let rows = restrict::restrict(context, matching, (lhs, &rhs), binary.op == BinaryOp::And, grid)?;
            rhs.give_back(context)?;
            Ok(rows)
        }
        BinaryOp::Or => restrict::or(context, matching, (lhs, rhs), grid),
        _ if matching.fill_left.is_some() || matching.fill_right.is_some() => {
            eval_kept(context, binary, matching, (lhs.keep(context)?, rhs.keep(context)?), grid)
        }
        _ => join::join(context, binary, matching, (lhs, rhs), grid),
    }
}

/// Operates on each cell of a vector and a scalar; `swapped` if the scalar stands on the left.
pub(crate) fn operate_with_scalar<'a>(
    context: &'a Context<'a>,
    binary: &Operation,
    vector: Vector<'a>,
    scalar: Scalar,
    swapped: bool,
) -> Result<Vector<'a>, EvalError> {
    let (op, return_bool) = (binary.op, binary.return_bool);
    let drops_name = return_bool || changes_quantity(op);
    let pos = binary.pos;
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
    binary: &Operation,
    vector: &Vector<'a>,
) -> Result<Vector<'a>, EvalError> {
    let mut last = vec![EMPTY; vector.steps()];
    vector.each(context, |_, cells, _| {
        for (last, &kind) in last.iter_mut().zip(&cells.kinds) {
            *last = if kind == EMPTY { *last } else { kind };
        }
        Ok(())
    })?;
    let (op, pos) = (binary.op.as_str(), binary.pos);
    for (kind, name) in [(FLOAT, "float"), (HISTOGRAM, "histogram")] {
        if last.contains(&kind) {
            context.annotate(|a| remarks::incompatible_types(a, op, "float", name, pos));
        }
    }
    Ok(Vector::none())
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
