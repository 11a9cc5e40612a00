//! What is noted about nodes, put into practice: once for all steps, once for all equal subtrees, with a meter.

use super::kept::{Entry, Outcome};
use super::results::eval_kept;
use super::{Run, eval_node, eval_scalar_node};
use crate::error::EvalError;
use crate::kernels::grid::Grid;
use crate::kernels::scalar::Scalar;
use crate::plan::{Kind, NodeId, Share, positions};
use crate::rows::context::{CELL_BYTES, Context};
use crate::rows::repeated::{Repeated, SharedRows};
use crate::rows::vector::Vector;
use mytsdb_promql_syntax::PosRange;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Evaluates a vector as planned.
pub(super) fn eval_planned<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Vector<'a>, EvalError> {
    // Selectors are measured where they select, which may be elsewhere.
    let is_selector = matches!(run.node(id).kind, Kind::Select(_));
    let began = run.meter(id).filter(|_| !is_selector).map(|meter| (meter, Instant::now()));
    let vector = match run.node(id).share {
        None => eval_once(run, id, grid)?,
        Some(share) => {
            let outcome = shared(run, id, grid, share, || {
                let rows = eval_once(run, id, grid)?.keep(&run.context)?;
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
pub(super) fn eval_planned_scalar<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Scalar, EvalError> {
    let began = run.meter(id).map(|meter| (meter, Instant::now()));
    let eval = || {
        if run.node(id).once && grid.count > 1 {
            let scalar = eval_scalar_counted(run, id, Grid::single(grid.start_ms))?;
            return Ok(Scalar::Constant(scalar.at(0)));
        }
        eval_scalar_counted(run, id, grid)
    };
    let scalar = match run.node(id).share {
        None => eval()?,
        Some(share) => match shared(run, id, grid, share, || eval().map(Outcome::Scalar))? {
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
pub(super) fn eval_counted<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let vector = eval_node(run, id, grid)?;
    if let (Vector::Kept(rows), Kind::Call(_)) = (&vector, &run.node(id).kind) {
        run.context.hold_bytes((rows.len() * grid.count) as u64 * CELL_BYTES)?;
    }
    Ok(vector)
}

fn eval_scalar_counted<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Scalar, EvalError> {
    let scalar = eval_scalar_node(run, id, grid)?;
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

fn eval_once<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Vector<'a>, EvalError> {
    if run.node(id).kept
        && grid.count > 1
        && let Some(results) = &run.context.options.results
    {
        return eval_kept(run, id, grid, results);
    }
    if !run.node(id).once || grid.count < 2 {
        return eval_counted(run, id, grid);
    }
    let inner = eval_counted(run, id, Grid::single(grid.start_ms))?;
    Ok(Vector::Lazy(Box::new(Repeated { inner, count: grid.count })))
}

/// The kept result of a node like `id`, or what `eval` gives.
fn shared(
    run: &Run<'_>,
    id: NodeId,
    grid: Grid,
    share: Share,
    eval: impl FnOnce() -> Result<Outcome, EvalError>,
) -> Result<Outcome, EvalError> {
    let key = (share.group, grid);
    if let Some((outcome, remarks, from)) = run.kept.take(key) {
        // What was remarked on that place is true of this one.
        let moved: HashMap<PosRange, PosRange> = from.into_iter().zip(positions(run.tree(), id)).collect();
        run.context.annotate(|all| {
            for remark in remarks.iter() {
                let pos = moved.get(&remark.pos).copied().unwrap_or(remark.pos);
                all.add(remark.warning, remark.message.clone(), pos);
            }
        });
        if let Some(meter) = run.meter(id) {
            meter.reused();
        }
        return Ok(outcome);
    }
    let (outcome, remarks) = run.context.listen(eval)?;
    let entry = Entry { outcome: outcome.clone(), remarks, places: positions(run.tree(), id), left: share.uses - 1 };
    run.kept.put(key, entry);
    Ok(outcome)
}
