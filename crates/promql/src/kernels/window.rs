//! The samples of one series in the window of one step.

use crate::annotations::Annotations;
use mytsdb_columns::Columns;
use mytsdb_promql_syntax::PosRange;
use std::ops::Range;

/// How windows reach beyond their bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    None,
    Anchored,
    Smoothed,
}

/// The samples of one step.
pub(crate) struct Window<'w> {
    pub columns: &'w Columns,
    /// Indexes of the floats in the window.
    pub floats: Range<usize>,
    /// Indexes of the histograms in the window.
    pub histograms: Range<usize>,
    /// The window is `(start_ms, end_ms]`; extended windows hold samples from outside.
    pub start_ms: i64,
    pub end_ms: i64,
    /// The time at which the step is evaluated.
    pub eval_ms: i64,
    pub range_ms: i64,
}

impl<'w> Window<'w> {
    #[inline]
    pub fn times(&self) -> &'w [i64] {
        &self.columns.timestamps_ms[self.floats.clone()]
    }

    #[inline]
    pub fn values(&self) -> &'w [f64] {
        &self.columns.values[self.floats.clone()]
    }

    pub fn histogram_times(&self) -> &'w [i64] {
        &self.columns.histogram_timestamps_ms[self.histograms.clone()]
    }

    pub fn histograms(&self) -> &'w [std::sync::Arc<mytsdb_histogram::FloatHistogram>] {
        &self.columns.histograms[self.histograms.clone()]
    }

    /// Start timestamps of the floats; empty if none are known.
    #[inline]
    pub fn start_times(&self) -> &'w [i64] {
        let all = &self.columns.start_timestamps_ms;
        if all.is_empty() { all } else { &all[self.floats.clone()] }
    }

    pub fn histogram_start_times(&self) -> &'w [i64] {
        let all = &self.columns.histogram_start_timestamps_ms;
        if all.is_empty() { all } else { &all[self.histograms.clone()] }
    }

    #[inline]
    pub fn mixed(&self) -> bool {
        !self.floats.is_empty() && !self.histograms.is_empty()
    }
}

/// What a kernel knows about the series besides its samples.
pub(crate) struct Remarks<'r> {
    pub annotations: &'r mut Annotations,
    pub metric: &'r str,
    /// Place of the range vector in the query.
    pub pos: PosRange,
    /// The place of what is evaluated when something is remarked, by which it is told what came last.
    pub told_by: PosRange,
}

/// Whether there is a NaN, as stale markers are: much faster than a look at the bits of each.
pub(crate) fn any_nan(values: &[f64]) -> bool {
    values.iter().fold(false, |any, value| any | value.is_nan())
}

/// Removes stale markers.
pub(crate) fn drop_stale(columns: &mut Columns) {
    if any_nan(&columns.values) && columns.values.iter().any(|&v| mytsdb_model::is_stale_nan(v)) {
        let keep: Vec<bool> = columns.values.iter().map(|&v| !mytsdb_model::is_stale_nan(v)).collect();
        retain(&mut columns.timestamps_ms, &keep);
        retain(&mut columns.values, &keep);
        retain(&mut columns.start_timestamps_ms, &keep);
    }
    if columns.histograms.iter().any(|h| h.is_stale()) {
        let keep: Vec<bool> = columns.histograms.iter().map(|h| !h.is_stale()).collect();
        retain(&mut columns.histogram_timestamps_ms, &keep);
        retain(&mut columns.histograms, &keep);
        retain(&mut columns.histogram_start_timestamps_ms, &keep);
    }
}

fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
    if !column.is_empty() {
        let mut flags = keep.iter();
        column.retain(|_| *flags.next().unwrap_or(&true));
    }
}
