//! Rows of a range query on their way out: as they are computed where their order is known, else sorted.

use super::results::final_rows;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, Row};
use crate::kernels::grid::Grid;
use crate::kernels::scalar::Scalar;
use crate::names::is_schema;
use crate::rows::context::{Context, drop_schema};
use crate::rows::vector::{Vector, sorted};
use crate::rows::workers::in_parts;
use crate::value::{SeriesSink, SeriesView};
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::Labels;
use std::borrow::Cow;
use std::sync::Arc;

/// Hands the numbers of all steps to `sink`, as a series without labels.
pub(crate) fn scalar_row(scalar: &Scalar, grid: Grid, sink: &mut dyn SeriesSink) -> Result<(), EvalError> {
    let mut cells = Cells::empty(grid.count);
    (0..grid.count).for_each(|i| cells.set(i, scalar.at(i)));
    sink.series(Views::new(grid).of(&Labels::empty(), &cells))
}

/// Hands every series that holds anything to `sink`. What streams counts as held while the sink has it, and for good if
/// the sink `keeps` it.
pub(crate) fn vector_rows<'a>(
    context: &'a Context<'a>,
    vector: Vector<'a>,
    grid: Grid,
    keeps: bool,
    sink: &mut dyn SeriesSink,
) -> Result<(), EvalError> {
    let mut views = Views::new(grid);
    if matches!(vector, Vector::Lazy(_)) && ascending(context, &vector)? {
        let labels = |row: usize, cells: &mut Cells| (!cells.is_blank()).then(|| final_labels(&vector, row));
        return vector.each_tagged(context, labels, |_, labels, cells, _| {
            let Some(labels) = labels else { return Ok(()) };
            context.hold_row(&labels, cells)?;
            sink.series(views.of(&labels, cells))?;
            if !keeps {
                context.release_row(&labels, cells);
            }
            Ok(())
        });
    }
    let rows = final_rows(context, vector.keep(context)?)?;
    let rows = sorted(context, rows, |a, b| a.labels.cmp(&b.labels))?;
    // Each series is freed as soon as the sink has taken it.
    for Row { labels, cells, .. } in rows {
        context.cancel.check()?;
        sink.series(views.of(&labels, &cells))?;
    }
    Ok(())
}

fn loses_name(vector: &Vector<'_>, row: usize) -> bool {
    vector.nameless() || vector.drop_name(row)
}

/// The labels that row `row` has in the end.
fn final_labels<'v>(vector: &'v Vector<'_>, row: usize) -> Cow<'v, Labels> {
    let labels = vector.source_labels(row);
    if loses_name(vector, row) { Cow::Owned(drop_schema(labels)) } else { Cow::Borrowed(labels) }
}

/// Whether the labels that the rows have in the end ascend strictly, so that the rows need neither be sorted nor
/// joined. Cost: one comparison a row; no cell is read.
fn ascending(context: &Context<'_>, vector: &Vector<'_>) -> Result<bool, EvalError> {
    let ascends = |row: usize| {
        let (a, b) = (vector.source_labels(row - 1), vector.source_labels(row));
        match (loses_name(vector, row - 1), loses_name(vector, row)) {
            (false, false) => a < b,
            (a_nameless, b_nameless) => {
                let left = |nameless: bool| move |(name, _): &(&str, &str)| !(nameless && is_schema(name));
                a.iter().filter(left(a_nameless)).lt(b.iter().filter(left(b_nameless)))
            }
        }
    };
    let pairs = vector.len().saturating_sub(1);
    let parts = in_parts(context, pairs, |mut rows| rows.all(|before| ascends(before + 1)))?;
    Ok(parts.into_iter().all(|ascending| ascending))
}

/// Cells as series; nothing is copied of a row of floats without gaps.
struct Views {
    /// Times of the steps.
    times_ms: Vec<i64>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
    histogram_timestamps_ms: Vec<i64>,
    histograms: Vec<Arc<FloatHistogram>>,
}

impl Views {
    fn new(grid: Grid) -> Self {
        Self {
            times_ms: (0..grid.count).map(|step| grid.time(step)).collect(),
            timestamps_ms: Vec::new(),
            values: Vec::new(),
            histogram_timestamps_ms: Vec::new(),
            histograms: Vec::new(),
        }
    }

    fn of<'s>(&'s mut self, labels: &'s Labels, cells: &'s Cells) -> SeriesView<'s> {
        self.histogram_timestamps_ms.clear();
        self.histograms.clear();
        if cells.all_floats() {
            return SeriesView {
                labels,
                timestamps_ms: &self.times_ms,
                values: &cells.values,
                histogram_timestamps_ms: &[],
                histograms: &[],
            };
        }
        self.timestamps_ms.clear();
        self.values.clear();
        for run in cells.float_runs() {
            self.timestamps_ms.extend_from_slice(&self.times_ms[run.clone()]);
            self.values.extend_from_slice(&cells.values[run]);
        }
        if cells.has_histograms() {
            for (step, &time_ms) in self.times_ms.iter().enumerate() {
                if let Some(histogram) = cells.histogram(step) {
                    self.histogram_timestamps_ms.push(time_ms);
                    self.histograms.push(Arc::clone(histogram));
                }
            }
        }
        SeriesView {
            labels,
            timestamps_ms: &self.timestamps_ms,
            values: &self.values,
            histogram_timestamps_ms: &self.histogram_timestamps_ms,
            histograms: &self.histograms,
        }
    }
}
