//! Cuts samples into runs, and finds the columns of a run.

use super::parts::{hint_number, indices, is_marker, parts_of, spans_of};
use super::{HISTOGRAM_PARTS_MAX, RUN_CELLS_MAX, SPARE_COLUMNS};
use crate::CodecError;
use mytsdb_histogram::{FloatHistogram, Span};
use std::sync::Arc;

/// Samples that follow each other and share their columns.
#[derive(Debug, Default)]
pub(super) struct Run<'a> {
    /// Stale markers included.
    pub(super) rows: usize,
    /// Rows times the entries that each takes.
    pub(super) cells: usize,
    /// One histogram of each layout.
    pub(super) layouts: Vec<&'a FloatHistogram>,
    /// Of each row: 0 for a marker, else 1 + hint + 4 * layout.
    pub(super) shapes: Vec<i64>,
    pub(super) columns: RunColumns,
}

/// The bucket indices of a run's columns, ascending on each side.
#[derive(Debug, Default)]
pub(super) struct RunColumns {
    pub(super) positive: Vec<i64>,
    pub(super) negative: Vec<i64>,
}

impl<'a> Run<'a> {
    /// The run at the front of `histograms`, which are not empty; of no rows if `cells_left` have no room for one.
    ///
    /// `first` is the number of the first of them, for errors.
    pub(super) fn of_front(
        histograms: &'a [Arc<FloatHistogram>],
        first: usize,
        cells_left: usize,
    ) -> Result<Self, CodecError> {
        let mut run = Self::default();
        let (mut weight, mut spans_max, mut widest, mut last_layout) = (0, 0, 0, 0);
        for histogram in histograms {
            if is_marker(histogram) {
                let cells = (run.rows + 1) * weight;
                if cells > RUN_CELLS_MAX.min(cells_left) {
                    break;
                }
                run.push(0, cells);
                continue;
            }
            check(histogram, first + run.rows)?;
            if run.layouts.first().is_some_and(|other| !is_alike(histogram, other)) {
                break;
            }
            let known = run.layouts.get(last_layout).is_some_and(|other| has_layout(histogram, other));
            let known =
                if known { Some(last_layout) } else { run.layouts.iter().position(|l| has_layout(histogram, l)) };
            let mut columns = None;
            if known.is_none() {
                let wider = run.columns.with(histogram);
                spans_max = spans_max.max(spans_of(histogram));
                widest = widest.max(histogram.positive_buckets.len() + histogram.negative_buckets.len());
                weight = wider.len() + spans_max + histogram.custom_values.len();
                if !run.layouts.is_empty() && wider.len() > 2 * widest + SPARE_COLUMNS {
                    break;
                }
                columns = Some(wider);
            }
            let cells = (run.rows + 1) * weight;
            if cells > RUN_CELLS_MAX.min(cells_left) {
                break;
            }
            last_layout = known.unwrap_or(run.layouts.len());
            if let Some(columns) = columns {
                run.columns = columns;
                run.layouts.push(histogram);
            }
            run.push(1 + i64::from(hint_number(histogram.counter_reset_hint)) + 4 * last_layout as i64, cells);
        }
        Ok(run)
    }

    fn push(&mut self, shape: i64, cells: usize) {
        self.shapes.push(shape);
        self.rows += 1;
        self.cells = cells;
    }
}

fn check(histogram: &FloatHistogram, sample: usize) -> Result<(), CodecError> {
    let parts = parts_of(histogram);
    if parts > HISTOGRAM_PARTS_MAX {
        return Err(CodecError::HistogramTooLarge { parts });
    }
    histogram.validate().map_err(|source| CodecError::Histogram { sample, source })
}

/// Whether two histograms can be in one run.
fn is_alike(left: &FloatHistogram, right: &FloatHistogram) -> bool {
    left.schema == right.schema
        && left.zero_threshold.to_bits() == right.zero_threshold.to_bits()
        && left.custom_values.len() == right.custom_values.len()
        && left.custom_values.iter().zip(&right.custom_values).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn has_layout(left: &FloatHistogram, right: &FloatHistogram) -> bool {
    left.positive_spans == right.positive_spans && left.negative_spans == right.negative_spans
}

impl RunColumns {
    pub(super) fn len(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// These and the columns of a histogram.
    fn with(&self, histogram: &FloatHistogram) -> Self {
        Self {
            positive: united(&self.positive, &histogram.positive_spans),
            negative: united(&self.negative, &histogram.negative_spans),
        }
    }

    /// Adds the buckets of the spans of both sides.
    pub(super) fn add(&mut self, positive: &[Span], negative: &[Span]) {
        self.positive = united(&self.positive, positive);
        self.negative = united(&self.negative, negative);
    }

    /// The column of each bucket of these spans, positive ones first. All of them are among the columns.
    pub(super) fn places(&self, positive: &[Span], negative: &[Span]) -> Vec<u32> {
        let mut places = Vec::new();
        push_places(&self.positive, 0, positive, &mut places);
        push_places(&self.negative, self.positive.len(), negative, &mut places);
        places
    }
}

fn united(sorted: &[i64], spans: &[Span]) -> Vec<i64> {
    let mut all = sorted.to_vec();
    all.extend(indices(spans));
    all.sort_unstable();
    all.dedup();
    all
}

fn push_places(columns: &[i64], first: usize, spans: &[Span], places: &mut Vec<u32>) {
    let mut at = 0;
    for index in indices(spans) {
        while columns.get(at).is_some_and(|&column| column < index) {
            at += 1;
        }
        places.push((first + at) as u32);
    }
}
