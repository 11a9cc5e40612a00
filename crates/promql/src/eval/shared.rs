//! What a plan says about nodes, put into practice: once for all steps, once for all equal subtrees, with a meter.

use super::binary::arithmetic;
use super::cells::{Cells, Row};
use super::context::{CELL_BYTES, Context, Scratch};
use super::expr::{Scalar, eval_node, eval_scalar_node};
use super::grid::Bounds;
use super::grid::Grid;
use super::prepare::{prepare, summarised_selectors};
use super::rows::{Rows, Vector};
use crate::annotations::Annotations;
use crate::error::EvalError;
use crate::options::{Cancel, QueryOptions};
use crate::plan::{self, Decision, Facts, Plan, Share};
use crate::storage::Storage;
use crate::value::Summary;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::PosRange;
use mytsdb_promql_syntax::{BinaryOp, Expr};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Plans `expr` and evaluates it.
pub(super) fn evaluate<T>(
    storage: &dyn Storage,
    expr: &Expr,
    (bounds, instant): (Bounds, bool),
    options: &QueryOptions,
    cancel: &Cancel,
    value: impl for<'a> FnOnce(&'a Context<'a>, &'a Expr) -> Result<T, EvalError>,
) -> Result<(T, Summary), EvalError> {
    let began = Instant::now();
    let mut expr = prepare(expr, bounds, options.default_step_ms)?;
    let summarised = summarised_selectors(&expr);
    let facts = facts(storage, &expr, bounds, instant, options);
    let rewrites = plan::rewrite(&mut expr, options, facts);
    let decisions = plan::decide(&expr, options, facts, &summarised, rewrites);
    let context = Context::new(storage, options, cancel, bounds, summarised, instant).with(decisions);
    let value = value(&context, &expr)?;
    cancel.check()?;
    let plan = options.profile.then(|| plan::plan_of(&expr, &context.decisions, options).after(began.elapsed()));
    let (annotations, stats) = context.finish();
    Ok((value, Summary { annotations, stats, plan }))
}

fn facts(storage: &dyn Storage, expr: &Expr, bounds: Bounds, instant: bool, options: &QueryOptions) -> Facts {
    // The storage has to look at its labels, so it is only asked where the answer may make a difference.
    let passes = options.optimisations.push_matchers || options.optimisations.simplify;
    let mut matters = false;
    if options.optimise && passes {
        expr.walk(&mut |node| {
            matters |= match node {
                Expr::Binary(binary) => match binary.op {
                    BinaryOp::Or => false,
                    BinaryOp::Mul | BinaryOp::Div => true,
                    // The operands are vectors.
                    _ => binary.matching.is_some(),
                },
                _ => false,
            };
            !matters
        });
    }
    let plain = matters && storage.is_plain();
    Facts { times: bounds, instant, plain }
}

/// How `expr` would be evaluated over `start_ms..=end_ms` (`step_ms` 0: at `start_ms`), without reading samples. The
/// series of selectors are looked up.
///
/// # Errors
/// Durations that cannot be computed, and whatever keeps the storage from finding the series.
pub fn explain(
    storage: &dyn Storage,
    expr: &Expr,
    (start_ms, end_ms, step_ms): (i64, i64, i64),
    options: &QueryOptions,
    cancel: &Cancel,
) -> Result<Plan, EvalError> {
    let instant = step_ms == 0;
    let bounds = Bounds { start_ms, end_ms: if instant { start_ms } else { end_ms }, step_ms };
    super::check_times(&[bounds.start_ms, bounds.end_ms])?;
    let options = QueryOptions { profile: true, ..options.clone() };
    let mut expr = prepare(expr, bounds, options.default_step_ms)?;
    let summarised = summarised_selectors(&expr);
    let facts = facts(storage, &expr, bounds, instant, &options);
    let rewrites = plan::rewrite(&mut expr, &options, facts);
    let decisions = plan::decide(&expr, &options, facts, &summarised, rewrites);
    plan::estimated(plan::plan_of(&expr, &decisions, &options), storage, &expr, facts, &options, cancel)
}

/// An operator on two numbers, as the evaluator computes it.
pub(crate) fn operate_on_numbers(op: BinaryOp, a: f64, b: f64) -> f64 {
    arithmetic(op, a, b)
}

/// A result that is kept for more nodes.
#[derive(Clone)]
enum Outcome {
    Rows(Arc<Vec<Row>>),
    Scalar(Scalar),
}

struct Entry {
    outcome: Outcome,
    remarks: Annotations,
    /// Places of the nodes that the result was made by.
    places: Vec<PosRange>,
    /// Nodes that have not asked for it yet.
    left: usize,
}

/// Results by group of subtrees and grid.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<(usize, Grid), Entry>>);

impl Kept {
    /// What there is.
    pub fn keys(&self) -> HashSet<(usize, Grid)> {
        self.lock().keys().copied().collect()
    }

    /// Forgets all results but those.
    pub fn only(&self, keys: &HashSet<(usize, Grid)>) {
        self.lock().retain(|key, _| keys.contains(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(usize, Grid), Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Evaluates a vector as planned.
pub(super) fn eval_planned<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let Some(decision) = context.decisions.of(expr) else { return eval_counted(context, expr, grid) };
    // Selectors are measured where they select, which may be elsewhere.
    let meter = if matches!(expr, Expr::Vector(_)) { None } else { context.decisions.meter(decision) };
    let began = meter.map(|meter| (meter, Instant::now()));
    let vector = match decision.share {
        None => eval_once(context, expr, grid, decision)?,
        Some(share) => {
            let outcome = shared(context, expr, grid, (share, decision), || {
                let rows = eval_once(context, expr, grid, decision)?.keep(context)?;
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
pub(super) fn eval_planned_scalar<'a>(
    context: &'a Context<'a>,
    expr: &'a Expr,
    grid: Grid,
) -> Result<Scalar, EvalError> {
    let Some(decision) = context.decisions.of(expr) else { return eval_scalar_counted(context, expr, grid) };
    let began = context.decisions.meter(decision).map(|meter| (meter, Instant::now()));
    let eval = || {
        if decision.once && grid.count > 1 {
            let scalar = eval_scalar_counted(context, expr, Grid::single(grid.start_ms))?;
            return Ok(Scalar::Constant(scalar.at(0)));
        }
        eval_scalar_counted(context, expr, grid)
    };
    let scalar = match decision.share {
        None => eval()?,
        Some(share) => match shared(context, expr, grid, (share, decision), || eval().map(Outcome::Scalar))? {
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
fn eval_counted<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let vector = eval_node(context, expr, grid)?;
    if let (Vector::Kept(rows), Expr::Call(_)) = (&vector, expr) {
        context.hold_bytes((rows.len() * grid.count) as u64 * CELL_BYTES)?;
    }
    Ok(vector)
}

fn eval_scalar_counted<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    let scalar = eval_scalar_node(context, expr, grid)?;
    hold_scalar(context, &scalar)?;
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

fn eval_once<'a>(
    context: &'a Context<'a>,
    expr: &'a Expr,
    grid: Grid,
    decision: Decision,
) -> Result<Vector<'a>, EvalError> {
    if !decision.once || grid.count < 2 {
        return eval_counted(context, expr, grid);
    }
    let inner = eval_counted(context, expr, Grid::single(grid.start_ms))?;
    Ok(Vector::Lazy(Box::new(Repeated { inner, count: grid.count })))
}

/// The kept result of a node like `expr`, or what `eval` gives.
fn shared(
    context: &Context<'_>,
    expr: &Expr,
    grid: Grid,
    (share, decision): (Share, Decision),
    eval: impl FnOnce() -> Result<Outcome, EvalError>,
) -> Result<Outcome, EvalError> {
    let key = (share.group, grid);
    let known = {
        let mut all = context.kept.lock();
        let found = all.get_mut(&key).map(|entry| {
            entry.left = entry.left.saturating_sub(1);
            let places = if entry.remarks.is_empty() { Vec::new() } else { entry.places.clone() };
            (entry.outcome.clone(), entry.remarks.clone(), places, entry.left == 0)
        });
        if found.as_ref().is_some_and(|found| found.3) {
            all.remove(&key);
        }
        found
    };
    if let Some((outcome, remarks, from, _)) = known {
        // What was remarked on that place is true of this one.
        let moved: HashMap<PosRange, PosRange> = from.into_iter().zip(plan::positions(expr)).collect();
        context.annotate(|all| {
            for remark in remarks.iter() {
                let pos = moved.get(&remark.pos).copied().unwrap_or(remark.pos);
                all.add(remark.warning, remark.message.clone(), pos);
            }
        });
        if let Some(meter) = context.decisions.meter(decision) {
            meter.reused();
        }
        return Ok(outcome);
    }
    let (outcome, remarks) = context.listen(eval)?;
    let entry = Entry { outcome: outcome.clone(), remarks, places: plan::positions(expr), left: share.uses - 1 };
    context.kept.lock().insert(key, entry);
    Ok(outcome)
}

struct SharedRows(Arc<Vec<Row>>);

impl Rows for SharedRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn steps(&self) -> usize {
        self.0.first().map_or(0, |row| row.cells.len())
    }

    fn height(&self) -> usize {
        1
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0[index].labels
    }

    fn drop_name(&self, index: usize) -> bool {
        self.0[index].drop_name
    }

    fn read(&self, index: usize, _scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        out.copy_from(&self.0[index].cells);
        Ok(())
    }
}

/// Rows of one step, repeated.
struct Repeated<'a> {
    inner: Vector<'a>,
    count: usize,
}

impl Rows for Repeated<'_> {
    fn give_back(self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        self.inner.give_back(context)
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn steps(&self) -> usize {
        self.count
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(index)
    }

    fn nameless(&self) -> bool {
        self.inner.nameless()
    }

    fn same_schema(&self) -> bool {
        self.inner.same_schema()
    }

    fn drop_name(&self, index: usize) -> bool {
        self.inner.drop_name(index)
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        self.inner.read(index, scratch, out)?;
        out.broadcast(self.count);
        Ok(())
    }
}
