//! Evaluation: a settled syntax tree over a grid of steps, to rows, to a result.

mod aggregate;
mod best;
mod binary;
mod blocks;
mod cells;
mod context;
mod count_values;
mod expr;
mod folds;
mod functions;
mod grid;
mod groups;
mod kahan;
mod label_key;
mod plain_folds;
mod prepare;
mod quantiles;
mod ranks;
mod remarks;
mod rows;
mod selection;
mod selector;
mod shared;
mod stream;
mod summaries;
mod window;
mod window_table;
mod workers;

use crate::error::EvalError;
use crate::options::{Cancel, QueryOptions};
use crate::storage::Storage;
use crate::value::{QueryResult, QueryValue, SampleValue, Series, SeriesSink, SeriesView, Summary, VectorSample};
use cells::{Cell, Row};
use context::{Context, drop_schema};
use expr::{eval_scalar, eval_vector};
use functions::extended::edged_samples;
use grid::Grid;
use groups::all_unique;
use mytsdb_columns::Columns;
use mytsdb_promql_syntax::{Expr, ValueType};
use prepare::TIME_MS_MAX;
use rows::{merge_equal, same_labelset, sorted};
use window::{Extension, RangeVector, Window};

pub(crate) use binary::changes_quantity;
pub(crate) use functions::{Compute, ScalarCompute, VectorCompute, compute};
pub(crate) use grid::Bounds;
use shared::evaluate;
pub use shared::explain;
pub(crate) use shared::operate_on_numbers;

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
    let (value, summary) = evaluate(storage, expr, (bounds, true), options, cancel, |context, expr| {
        instant_value(context, expr, timestamp_ms)
    })?;
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
    let ((), summary) = evaluate(storage, expr, (bounds, false), options, cancel, |context, expr| {
        stream::range_rows(context, expr, grid, keeps, sink)
    })?;
    Ok(summary)
}

fn check_times(times_ms: &[i64]) -> Result<(), EvalError> {
    match times_ms.iter().find(|t| !(-TIME_MS_MAX..=TIME_MS_MAX).contains(*t)) {
        Some(time) => Err(EvalError::Execution(format!("evaluation time of {time} ms is out of range"))),
        None => Ok(()),
    }
}

/// Drops the metric names that are marked for it; rows that become equal are joined.
fn final_rows(context: &Context<'_>, mut rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    context.stoppable(|looks| {
        for row in &mut rows {
            looks.before(2)?;
            if row.drop_name {
                row.labels = drop_schema(&row.labels);
            }
        }
        Ok(())
    })?;
    if all_unique(context, rows.iter().map(|row| &row.labels))? { Ok(rows) } else { merge_equal(context, rows) }
}

fn instant_value<'a>(context: &'a Context<'a>, expr: &'a Expr, timestamp_ms: i64) -> Result<QueryValue, EvalError> {
    let grid = Grid::single(timestamp_ms);
    match expr.value_type() {
        ValueType::Scalar => Ok(QueryValue::Scalar(timestamp_ms, eval_scalar(context, expr, grid)?.at(0))),
        ValueType::String => match expr.unwrap_parens() {
            Expr::String(text) => Ok(QueryValue::String(timestamp_ms, text.text().into_owned())),
            _ => Err(EvalError::execution("expected a string literal")),
        },
        ValueType::Vector => {
            let rows = final_rows(context, eval_vector(context, expr, grid)?.keep(context)?)?;
            let samples = context.stoppable(|looks| {
                let mut samples = Vec::with_capacity(rows.len());
                for row in rows {
                    looks.before(1)?;
                    let value = match row.cells.get(0) {
                        Some(Cell::Float(value)) => SampleValue::Float(value),
                        Some(Cell::Histogram(histogram)) => SampleValue::Histogram(histogram),
                        None => continue,
                    };
                    samples.push(VectorSample { labels: row.labels, timestamp_ms, value });
                }
                Ok(samples)
            })?;
            Ok(QueryValue::Vector(samples))
        }
        ValueType::Matrix => raw_samples(context, expr, grid).map(QueryValue::Matrix),
    }
}

/// The floats of an extended window with the values at its edges.
fn edges_and_samples(columns: &Columns, vector: &RangeVector<'_>) -> Result<Columns, EvalError> {
    let smoothed = vector.extension == Extension::Smoothed;
    if !columns.histograms.is_empty() {
        let word = if smoothed { "smoothed" } else { "anchored" };
        return Err(EvalError::Execution(format!("{word} modifier is not supported with histograms")));
    }
    let window = Window {
        columns,
        floats: 0..columns.values.len(),
        histograms: 0..0,
        start_ms: vector.first_end_ms - vector.range_ms,
        end_ms: vector.first_end_ms,
        eval_ms: vector.first_end_ms,
        range_ms: vector.range_ms,
    };
    let (timestamps_ms, values) = edged_samples(&window, smoothed).unwrap_or_default();
    Ok(Columns { timestamps_ms, values, ..Columns::default() })
}

/// The samples in the window of a range vector, as they are; of an extended one with the values at its edges.
fn raw_samples<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let vector = selector::range_vector(context, expr, grid)?;
    let mut scratch = context.scratch();
    let mut out: Vec<Series> = Vec::new();
    let start_ms = vector.first_end_ms - vector.range_ms;
    for index in 0..vector.samples.len() {
        context.cancel.check()?;
        let mut columns = Columns::default();
        vector.samples.read(index, &mut scratch, &mut columns)?;
        if vector.extension != Extension::None {
            columns = edges_and_samples(&columns, &vector)?;
        }
        let inside = |times: &[i64]| {
            // An edge that was put there lies on the start.
            let edge_ms = if vector.extension == Extension::None { start_ms } else { start_ms - 1 };
            times.partition_point(|&t| t <= edge_ms)..times.partition_point(|&t| t <= vector.first_end_ms)
        };
        let (floats, histograms) = (inside(&columns.timestamps_ms), inside(&columns.histogram_timestamps_ms));
        if floats.is_empty() && histograms.is_empty() {
            continue;
        }
        context.hold((floats.len() + histograms.len()) as u64)?;
        let labels = vector.samples.labels(index);
        out.push(Series {
            labels: if vector.samples.nameless() || vector.samples.drop_name(index) {
                drop_schema(labels)
            } else {
                labels.clone()
            },
            timestamps_ms: columns.timestamps_ms[floats.clone()].to_vec(),
            values: columns.values[floats].to_vec(),
            histogram_timestamps_ms: columns.histogram_timestamps_ms[histograms.clone()].to_vec(),
            histograms: columns.histograms[histograms].to_vec(),
        });
    }
    let out = sorted(context, out, |a, b| a.labels.cmp(&b.labels))?;
    if out.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
        return Err(same_labelset());
    }
    Ok(out)
}
