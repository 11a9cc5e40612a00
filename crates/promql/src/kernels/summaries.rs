//! Histograms of which only count and sum are looked at: without buckets, and with hints that tell of resets instead.

use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use std::sync::Arc;

/// The steps at which a series is read, and how far each of them reaches back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lookbacks {
    pub first_end_ms: i64,
    pub step_ms: i64,
    pub count: usize,
    /// From the first time that a step sees to its end.
    pub back_ms: i64,
}

impl Lookbacks {
    /// The times at which Prometheus begins to read anew, because nothing of what it has passed is looked at again: what
    /// was before is forgotten there.
    fn beginnings(&self, columns: &Columns) -> Vec<i64> {
        let behind = |times: &[i64], at: i64| times.get(times.partition_point(|&time| time < at)).copied();
        let mut out = Vec::new();
        let mut reached = None;
        for step in 0..self.count {
            let end_ms = self.first_end_ms + self.step_ms * step as i64;
            let from_ms = end_ms - self.back_ms;
            if reached.is_none_or(|reached| from_ms > reached) {
                out.push(from_ms);
            }
            let next = [&columns.timestamps_ms, &columns.histogram_timestamps_ms].map(|times| behind(times, end_ms));
            match next.into_iter().flatten().min() {
                None => return out,
                next => reached = next,
            }
        }
        out
    }
}

/// Writes into the hints what comparing each histogram with the one that was read before it tells, and takes the buckets
/// away. Stale markers are passed over.
pub(crate) fn summarise(columns: &mut Columns, lookbacks: Lookbacks) {
    let unknown = |h: &Arc<FloatHistogram>| h.counter_reset_hint == CounterResetHint::Unknown;
    if columns.histograms.len() > 1 && columns.histograms.iter().any(unknown) {
        let beginnings = lookbacks.beginnings(columns);
        let Columns { histogram_timestamps_ms: times, histograms, .. } = columns;
        let mut last: Option<usize> = None;
        for i in 0..histograms.len() {
            if histograms[i].is_stale() {
                continue;
            }
            let passed = |time: i64| beginnings.partition_point(|&beginning| beginning <= time);
            let known = last.filter(|&last| unknown(&histograms[i]) && passed(times[last]) == passed(times[i]));
            if let Some(last) = known {
                let reset = histograms[i].detect_reset(&histograms[last]);
                let hint = if reset { CounterResetHint::CounterReset } else { CounterResetHint::NotCounterReset };
                Arc::make_mut(&mut histograms[i]).counter_reset_hint = hint;
            }
            last = Some(i);
        }
    }
    for histogram in &mut columns.histograms {
        let &FloatHistogram { schema, count, sum, counter_reset_hint, .. } = &**histogram;
        *histogram = Arc::new(FloatHistogram { schema, count, sum, counter_reset_hint, ..FloatHistogram::default() });
    }
}
