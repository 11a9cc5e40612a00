//! Binary operators: between scalars, between a vector and a scalar, between two vectors.

pub(crate) mod arithmetic;
mod columns;
mod join;
pub(crate) mod operate;
mod restrict;
pub(crate) mod result_labels;
pub(crate) mod signatures;

pub(crate) use arithmetic::{Operation, arithmetic, changes_quantity};
pub(crate) use join::join;
pub(crate) use restrict::{Union, restrict, unite};
pub(super) use signatures::shown;

use columns::Operand;
use operate::{operate, set_outcome};

use super::mapped::map_rows;
use super::reference::cells::floats_with_scalar;
use crate::error::EvalError;
use crate::kernels::cells::{Cell, EMPTY, FLOAT, HISTOGRAM};
use crate::kernels::remarks;
use crate::kernels::scalar::Scalar;
use crate::options::Kernels;
use crate::rows::context::Context;
use crate::rows::vector::Vector;
use mytsdb_promql_syntax::BinaryOp;

/// Operates on two scalars.
pub(crate) fn operate_scalars(op: BinaryOp, lhs: &Scalar, rhs: &Scalar, count: usize) -> Scalar {
    lhs.zip(rhs, count, |a, b| arithmetic(op, a, b))
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
    let optimise = context.kernels == Kernels::Columnar;
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
