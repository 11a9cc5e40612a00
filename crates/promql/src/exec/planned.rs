//! What a plan says about nodes, put into practice: once for all steps, once for all equal subtrees, with a meter.

use super::kept::{Entry, Outcome};
use super::{Run, eval_node, eval_scalar_node};
use crate::error::EvalError;
use crate::eval::context::{CELL_BYTES, Context};
use crate::eval::grid::Grid;
use crate::eval::repeated::{Repeated, SharedRows};
use crate::eval::rows::Vector;
use crate::eval::scalar::Scalar;
use crate::plan::{self, Decision, Share};
use mytsdb_promql_syntax::{Expr, PosRange};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Evaluates a vector as planned.
pub(super) fn eval_planned<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let Some(decision) = run.decisions.of(expr) else { return eval_counted(run, expr, grid) };
    // Selectors are measured where they select, which may be elsewhere.
    let meter = if matches!(expr, Expr::Vector(_)) { None } else { run.decisions.meter(decision) };
    let began = meter.map(|meter| (meter, Instant::now()));
    let vector = match decision.share {
        None => eval_once(run, expr, grid, decision)?,
        Some(share) => {
            let outcome = shared(run, expr, grid, (share, decision), || {
                let rows = eval_once(run, expr, grid, decision)?.keep(&run.context)?;
                Ok(Outcome::Rows(Arc::new(rows)))
            })?;
            match outcome {
                Outcome::Rows(rows) => Vector::Lazy(Box::new(SharedRows(rows))),
                Outcome::Scalar(_) => return Err(EvalError::execution("expected an instant vector")),
            }
        }
    };
    if let Some((meter, began)) = began {
        meter.evaluated(began.elapsed(), vector.len());
    }
    Ok(vector)
}

/// Evaluates a scalar as planned.
pub(super) fn eval_planned_scalar<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    let Some(decision) = run.decisions.of(expr) else { return eval_scalar_counted(run, expr, grid) };
    let began = run.decisions.meter(decision).map(|meter| (meter, Instant::now()));
    let eval = || {
        if decision.once && grid.count > 1 {
            let scalar = eval_scalar_counted(run, expr, Grid::single(grid.start_ms))?;
            return Ok(Scalar::Constant(scalar.at(0)));
        }
        eval_scalar_counted(run, expr, grid)
    };
    let scalar = match decision.share {
        None => eval()?,
        Some(share) => match shared(run, expr, grid, (share, decision), || eval().map(Outcome::Scalar))? {
            Outcome::Scalar(scalar) => scalar,
            Outcome::Rows(_) => return Err(EvalError::execution("expected a scalar")),
        },
    };
    if let Some((meter, began)) = began {
        meter.evaluated(began.elapsed(), 1);
    }
    Ok(scalar)
}

/// Evaluates a node and counts rows that no selector or aggregation has counted, like those of `vector(1)`.
fn eval_counted<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let vector = eval_node(run, expr, grid)?;
    if let (Vector::Kept(rows), Expr::Call(_)) = (&vector, expr) {
        run.context.hold_bytes((rows.len() * grid.count) as u64 * CELL_BYTES)?;
    }
    Ok(vector)
}

fn eval_scalar_counted<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    let scalar = eval_scalar_node(run, expr, grid)?;
    hold_scalar(&run.context, &scalar)?;
    Ok(scalar)
}

/// Counts the numbers of all steps.
pub(super) fn hold_scalar(context: &Context<'_>, scalar: &Scalar) -> Result<(), EvalError> {
    if let Scalar::Steps(values) = scalar {
        context.cancel.check()?;
        context.hold_bytes(size_of_val(&values[..]) as u64)?;
    }
    Ok(())
}

fn eval_once<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid, decision: Decision) -> Result<Vector<'a>, EvalError> {
    if !decision.once || grid.count < 2 {
        return eval_counted(run, expr, grid);
    }
    let inner = eval_counted(run, expr, Grid::single(grid.start_ms))?;
    Ok(Vector::Lazy(Box::new(Repeated { inner, count: grid.count })))
}

/// The kept result of a node like `expr`, or what `eval` gives.
fn shared(
    run: &Run<'_>,
    expr: &Expr,
    grid: Grid,
    (share, decision): (Share, Decision),
    eval: impl FnOnce() -> Result<Outcome, EvalError>,
) -> Result<Outcome, EvalError> {
    let key = (share.group, grid);
    if let Some((outcome, remarks, from)) = run.kept.take(key) {
        // What was remarked on that place is true of this one.
        let moved: HashMap<PosRange, PosRange> = from.into_iter().zip(plan::positions(expr)).collect();
        run.context.annotate(|all| {
            for remark in remarks.iter() {
                let pos = moved.get(&remark.pos).copied().unwrap_or(remark.pos);
                all.add(remark.warning, remark.message.clone(), pos);
            }
        });
        if let Some(meter) = run.decisions.meter(decision) {
            meter.reused();
        }
        return Ok(outcome);
    }
    let (outcome, remarks) = run.context.listen(eval)?;
    let entry = Entry { outcome: outcome.clone(), remarks, places: plan::positions(expr), left: share.uses - 1 };
    run.kept.put(key, entry);
    Ok(outcome)
}
