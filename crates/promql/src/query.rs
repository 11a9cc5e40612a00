//! Queries: what callers ask, from a syntax tree to a result.

use crate::error::EvalError;
use crate::exec::{Run, eval_range, eval_scalar, eval_vector};
use crate::kernels::grid::{Bounds, Grid};
use crate::operators::results::{raw_samples, vector_samples};
use crate::operators::stream::{scalar_row, vector_rows};
use crate::options::{Cancel, QueryOptions};
use crate::plan::{Kind, NodeId, Plan, TIME_MS_MAX, estimated, plan, plan_of};
use crate::rows::context::Context;
use crate::storage::Storage;
use crate::value::{QueryResult, QueryValue, Series, SeriesSink, SeriesView, Summary};
use mytsdb_promql_syntax::{Expr, ValueType};
use std::time::Instant;

/// Most steps of a range query.
const STEPS_MAX: usize = 1 << 24;

/// Evaluates `expr` at one time.
///
/// The order of a vector is that of the outermost function (`sort`, `topk`), else that of the storage. A range vector
/// gives its raw samples.
///
/// # Errors
/// See [`EvalError`].
pub fn instant(
    storage: &dyn Storage,
    expr: &Expr,
    timestamp_ms: i64,
    options: &QueryOptions,
    cancel: &Cancel,
) -> Result<QueryResult, EvalError> {
    check_times(&[timestamp_ms])?;
    let bounds = Bounds { start_ms: timestamp_ms, end_ms: timestamp_ms, step_ms: 0 };
    let (value, summary) =
        evaluate(storage, expr, (bounds, true), options, cancel, |run, root| instant_value(run, root, timestamp_ms))?;
    Ok(result(value, summary))
}

fn result(value: QueryValue, Summary { annotations, stats, plan }: Summary) -> QueryResult {
    QueryResult { value, annotations, stats, plan }
}

/// Evaluates `expr` at `start_ms`, `start_ms + step_ms`, … up to `end_ms`. Series come in ascending order of labels.
///
/// # Errors
/// See [`EvalError`]; also if `step_ms` is not above 0 or `expr` is neither a scalar nor an instant vector.
pub fn range(
    storage: &dyn Storage,
    expr: &Expr,
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    options: &QueryOptions,
    cancel: &Cancel,
) -> Result<QueryResult, EvalError> {
    let mut all = Collected(Vec::new());
    let summary = range_to(storage, expr, (start_ms, end_ms, step_ms), options, cancel, (&mut all, true))?;
    Ok(result(QueryValue::Matrix(all.0), summary))
}

struct Collected(Vec<Series>);

impl SeriesSink for Collected {
    fn series(&mut self, series: SeriesView<'_>) -> Result<(), EvalError> {
        self.0.push(series.to_series());
        Ok(())
    }
}

/// [`range`], but each series goes into `sink`, and where the query allows it as soon as it is computed: that of
/// selectors, and of functions and operators on single series. Then only a few series are held at a time.
///
/// The sink is called on this thread. It may wait; nobody else is kept from anything meanwhile.
///
/// # Errors
/// See [`range`], and whatever the sink returns. The sink may have got series before.
pub fn range_into(
    storage: &dyn Storage,
    expr: &Expr,
    (start_ms, end_ms, step_ms): (i64, i64, i64),
    options: &QueryOptions,
    cancel: &Cancel,
    sink: &mut dyn SeriesSink,
) -> Result<Summary, EvalError> {
    range_to(storage, expr, (start_ms, end_ms, step_ms), options, cancel, (sink, false))
}

/// [`range_into`] a sink that `keeps` what it gets, so that this counts as held.
fn range_to(
    storage: &dyn Storage,
    expr: &Expr,
    (start_ms, end_ms, step_ms): (i64, i64, i64),
    options: &QueryOptions,
    cancel: &Cancel,
    (sink, keeps): (&mut dyn SeriesSink, bool),
) -> Result<Summary, EvalError> {
    let found = expr.value_type();
    if !matches!(found, ValueType::Scalar | ValueType::Vector) {
        return Err(EvalError::Query(format!(
            "invalid expression type {} for range query, must be Scalar or instant Vector",
            mytsdb_promql_syntax::quote(found.documented())
        )));
    }
    check_times(&[start_ms, end_ms])?;
    if step_ms <= 0 || step_ms > TIME_MS_MAX {
        return Err(EvalError::execution("the step of a range query must be above 0"));
    }
    let grid = Grid::between(start_ms, end_ms, step_ms);
    if grid.count > STEPS_MAX {
        return Err(EvalError::TooManySamples);
    }
    let bounds = Bounds { start_ms, end_ms, step_ms };
    let ((), summary) = evaluate(storage, expr, (bounds, false), options, cancel, |run, root| {
        range_value(run, root, grid, (sink, keeps))
    })?;
    Ok(summary)
}

fn check_times(times_ms: &[i64]) -> Result<(), EvalError> {
    match times_ms.iter().find(|t| !(-TIME_MS_MAX..=TIME_MS_MAX).contains(*t)) {
        Some(time) => Err(EvalError::Execution(format!("evaluation time of {time} ms is out of range"))),
        None => Ok(()),
    }
}

fn instant_value<'a>(run: &'a Run<'a>, root: NodeId, timestamp_ms: i64) -> Result<QueryValue, EvalError> {
    let (context, grid) = (&run.context, Grid::single(timestamp_ms));
    let node = &run.planned.tree[root];
    match node.value {
        ValueType::Scalar => Ok(QueryValue::Scalar(timestamp_ms, eval_scalar(run, root, grid)?.at(0))),
        ValueType::String => match &node.kind {
            Kind::Text(text) => Ok(QueryValue::String(timestamp_ms, String::from_utf8_lossy(text).into_owned())),
            _ => Err(EvalError::execution("expected a string literal")),
        },
        ValueType::Vector => {
            let samples = vector_samples(context, eval_vector(run, root, grid)?, timestamp_ms)?;
            Ok(QueryValue::Vector(samples))
        }
        ValueType::Matrix => raw_samples(context, &eval_range(run, root, grid)?).map(QueryValue::Matrix),
    }
}

/// Evaluates a plan and hands every series to a sink that keeps it or not.
fn range_value<'a>(
    run: &'a Run<'a>,
    root: NodeId,
    grid: Grid,
    (sink, keeps): (&mut dyn SeriesSink, bool),
) -> Result<(), EvalError> {
    if grid.count == 0 {
        return Ok(());
    }
    if run.planned.tree[root].value == ValueType::Scalar {
        return scalar_row(&eval_scalar(run, root, grid)?, grid, sink);
    }
    vector_rows(&run.context, eval_vector(run, root, grid)?, grid, keeps, sink)
}

/// Plans `expr` and evaluates it.
fn evaluate<T>(
    storage: &dyn Storage,
    expr: &Expr,
    (bounds, instant): (Bounds, bool),
    options: &QueryOptions,
    cancel: &Cancel,
    value: impl for<'a> FnOnce(&'a Run<'a>, NodeId) -> Result<T, EvalError>,
) -> Result<(T, Summary), EvalError> {
    let began = Instant::now();
    let planned = plan(storage, expr, (bounds, instant), options)?;
    let root = planned.root;
    let run = Run::new(Context::new(storage, options, cancel, bounds, instant), planned);
    let value = value(&run, root)?;
    cancel.check()?;
    let plan = options.profile.then(|| plan_of(&run.planned, &run.meters).after(began.elapsed()));
    let (annotations, stats) = run.context.finish();
    Ok((value, Summary { annotations, stats, plan }))
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
    check_times(&[bounds.start_ms, bounds.end_ms])?;
    let planned = plan(storage, expr, (bounds, instant), options)?;
    estimated(plan_of(&planned, &[]), storage, &planned, options, cancel)
}
