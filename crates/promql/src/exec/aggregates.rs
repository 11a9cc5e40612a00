//! Aggregations: their inputs, and the operator that each of them is.

use super::{Run, eval_scalar, eval_vector};
use crate::error::EvalError;
use crate::eval::aggregate::{fold, quantile_by};
use crate::eval::count_values::{count_values, values_label};
use crate::eval::grid::Grid;
use crate::eval::rows::Vector;
use crate::eval::scalar::Scalar;
use crate::eval::selection::{limit_ratio, limitk, topk};
use crate::plan::is_pinned;
use mytsdb_promql_syntax::{AggregateExpr, AggregateOp, Expr};

/// Evaluates an aggregation.
pub(super) fn eval_aggregate<'a>(
    run: &'a Run<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let context = &run.context;
    let operand = || eval_vector(run, &aggregate.expr, grid);
    match aggregate.op {
        AggregateOp::Topk | AggregateOp::Bottomk => {
            let param = parameter(run, aggregate, grid)?;
            over_grids(run, &aggregate.expr, |input| topk(context, aggregate, &param, input, grid))
        }
        AggregateOp::Quantile => {
            let q = parameter(run, aggregate, grid)?;
            over_grids(run, &aggregate.expr, |input| quantile_by(context, aggregate, &q, input, grid))
        }
        AggregateOp::Limitk => {
            let param = parameter(run, aggregate, grid)?;
            limitk(context, aggregate, &param, &operand()?, grid)
        }
        AggregateOp::LimitRatio => {
            let param = parameter(run, aggregate, grid)?;
            limit_ratio(context, aggregate, &param, operand()?, grid)
        }
        AggregateOp::CountValues => {
            let Some(Expr::String(param)) = aggregate.param.as_ref().map(Expr::unwrap_parens) else {
                return Err(EvalError::execution("count_values needs a label name"));
            };
            let label = values_label(&param.value)?;
            count_values(context, aggregate, label, operand()?, grid)
        }
        AggregateOp::Avg
        | AggregateOp::Count
        | AggregateOp::Group
        | AggregateOp::Max
        | AggregateOp::Min
        | AggregateOp::Stddev
        | AggregateOp::Stdvar
        | AggregateOp::Sum => fold(context, aggregate, operand()?, grid),
    }
}

/// The number before the operand. As in Prometheus, that of the first step for all of them if the operand is pinned to
/// one time: it asks of the operand alone whether the aggregation is the same at every step.
fn parameter<'a>(run: &'a Run<'a>, aggregate: &'a AggregateExpr, grid: Grid) -> Result<Scalar, EvalError> {
    let param = aggregate.param.as_ref().ok_or_else(|| EvalError::execution("aggregation needs a parameter"))?;
    if grid.count > 1 && is_pinned(&aggregate.expr, false) {
        return Ok(Scalar::Constant(eval_scalar(run, param, Grid::single(grid.start_ms))?.at(0)));
    }
    eval_scalar(run, param, grid)
}

/// Hands `operator` a function that evaluates `operand`, first over all steps and then, maybe, over some at a time. What
/// is kept for other nodes of these goes before the next ones come.
fn over_grids<'a>(
    run: &'a Run<'a>,
    operand: &'a Expr,
    operator: impl FnOnce(&mut dyn FnMut(Grid) -> Result<Vector<'a>, EvalError>) -> Result<Vector<'a>, EvalError>,
) -> Result<Vector<'a>, EvalError> {
    let mut kept = None;
    let result = operator(&mut |grid| {
        if let Some(kept) = &kept {
            run.kept.only(kept);
        }
        let vector = eval_vector(run, operand, grid)?;
        if kept.is_none() {
            kept = Some(run.kept.keys());
        }
        Ok(vector)
    })?;
    if let Some(kept) = &kept {
        run.kept.only(kept);
    }
    Ok(result)
}
