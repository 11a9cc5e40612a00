//! Results of an instant query: samples at one time, and raw samples in one window.

use super::groups::all_unique;
use crate::error::EvalError;
use crate::kernels::cells::{Cell, Row};
use crate::kernels::extended::edged_samples;
use crate::kernels::window::{Extension, Window};
use crate::rows::context::{Context, drop_schema};
use crate::rows::range_vector::RangeVector;
use crate::rows::vector::{Vector, merge_equal, same_labelset, sorted};
use crate::value::{SampleValue, Series, VectorSample};
use mytsdb_columns::Columns;

/// Drops the metric names that are marked for it; rows that become equal are joined.
pub(super) fn final_rows(context: &Context<'_>, mut rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
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

/// The samples of a vector at a single time.
pub(crate) fn vector_samples<'a>(
    context: &'a Context<'a>,
    vector: Vector<'a>,
    timestamp_ms: i64,
) -> Result<Vec<VectorSample>, EvalError> {
    let rows = final_rows(context, vector.keep(context)?)?;
    context.stoppable(|looks| {
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
    })
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
pub(crate) fn raw_samples<'a>(context: &'a Context<'a>, vector: &RangeVector<'a>) -> Result<Vec<Series>, EvalError> {
    let mut scratch = context.scratch();
    let mut out: Vec<Series> = Vec::new();
    let start_ms = vector.first_end_ms - vector.range_ms;
    for index in 0..vector.samples.len() {
        context.cancel.check()?;
        let mut columns = Columns::default();
        vector.samples.read(index, &mut scratch, &mut columns)?;
        if vector.extension != Extension::None {
            columns = edges_and_samples(&columns, vector)?;
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
