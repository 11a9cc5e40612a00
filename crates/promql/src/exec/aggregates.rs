//! Aggregations: their inputs, and the operator that each of them is.

use super::{Run, eval_scalar, eval_vector};
use crate::error::EvalError;
use crate::kernels::cells::Row;
use crate::kernels::grid::Grid;
use crate::kernels::scalar::Scalar;
use crate::operators::aggregate::{Aggregation, Firsts, fold, fold_with_firsts, quantile_by};
use crate::operators::best::best;
use crate::operators::count_values::{count_values, values_label};
use crate::operators::groups::GroupBy;
use crate::operators::selection::{limit_ratio, limitk, topk};
use crate::plan::{Kind, NodeId, Operator};
use crate::rows::vector::Vector;
use mytsdb_promql_syntax::AggregateOp;

/// Evaluates an aggregation.
pub(super) fn eval_aggregate<'a>(
    run: &'a Run<'a>,
    (id, operator): (NodeId, Operator),
    (op, by): (AggregateOp, &'a GroupBy),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let context = &run.context;
    let (param, operand) = (run.tree().param(id), run.tree().operand(id));
    let aggregation = aggregation(run, id, (op, by));
    let number = || parameter(run, param, operand, grid);
    let rows = || eval_vector(run, operand, grid);
    match operator {
        Operator::Best(count) => best(context, &aggregation, rows()?, grid, count),
        Operator::Choose => {
            let count = number()?;
            over_grids(run, operand, |input| topk(context, &aggregation, &count, input, grid))
        }
        Operator::Quantiles => {
            let q = number()?;
            over_grids(run, operand, |input| quantile_by(context, &aggregation, &q, input, grid))
        }
        Operator::Limit => {
            let count = number()?;
            limitk(context, &aggregation, &count, &rows()?, grid)
        }
        Operator::Share => {
            let ratio = number()?;
            // There is nothing to remark about the samples of a selector.
            let silent = matches!(&run.node(operand).kind, Kind::Select(s) if !s.selector.smoothed);
            limit_ratio(context, &aggregation, &ratio, (rows()?, !silent), grid)
        }
        Operator::CountValues => {
            let Some(Kind::Text(label)) = param.map(|param| &run.node(param).kind) else {
                return Err(EvalError::execution("count_values needs a label name"));
            };
            let label = values_label(label)?;
            count_values(context, &aggregation, label, rows()?, grid)
        }
        Operator::Fold => fold(context, &aggregation, rows()?, grid),
        _ => Err(EvalError::execution("expected an aggregation")),
    }
}

fn aggregation<'a>(run: &'a Run<'_>, id: NodeId, (op, by): (AggregateOp, &'a GroupBy)) -> Aggregation<'a> {
    let (param, operand) = (run.tree().param(id), run.tree().operand(id));
    let place = |id: NodeId| run.node(id).pos;
    let pos = place(id);
    Aggregation { op, by, pos, operand: place(operand), param: param.map_or(pos, place) }
}

/// Evaluates an aggregation that folds, with the series that come first.
pub(super) fn eval_fold<'a>(
    run: &'a Run<'a>,
    id: NodeId,
    (op, by): (AggregateOp, &'a GroupBy),
    grid: Grid,
) -> Result<(Vec<Row>, Firsts), EvalError> {
    let rows = eval_vector(run, run.tree().operand(id), grid)?;
    fold_with_firsts(&run.context, &aggregation(run, id, (op, by)), rows, grid)
}

/// The number before the operand. As in Prometheus, that of the first step for all of them if the operand is pinned to
/// one time: it asks of the operand alone whether the aggregation is the same at every step.
fn parameter<'a>(run: &'a Run<'a>, param: Option<NodeId>, operand: NodeId, grid: Grid) -> Result<Scalar, EvalError> {
    let param = param.ok_or_else(|| EvalError::execution("aggregation needs a parameter"))?;
    if grid.count > 1 && run.node(operand).traits.pinned {
        return Ok(Scalar::Constant(eval_scalar(run, param, Grid::single(grid.start_ms))?.at(0)));
    }
    eval_scalar(run, param, grid)
}

/// Hands `operator` a function that evaluates `operand`, first over all steps and then, maybe, over some at a time. What
/// is kept for other nodes of these goes before the next ones come.
fn over_grids<'a>(
    run: &'a Run<'a>,
    operand: NodeId,
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
