//! An in-memory storage for tests: small, exact, and filled with series notation.

mod load;
mod nhcb;

pub use load::{LoadedSample, LoadedSeries, parse_load};

use crate::error::StorageError;
use crate::options::Cancel;
use crate::storage::{Columns, LabelStorage, SelectHints, SeriesSet, Storage};
use mytsdb_codec::{CounterResetHint, FloatHistogram};
use mytsdb_model::{Labels, Matcher, TimeRange, is_stale_nan};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Samples of a few series in memory.
///
/// Histograms read back bear the counter reset hints that Prometheus' chunks would give them: gauge stays gauge, the
/// first one of a chunk is unknown, all others are "not reset".
#[derive(Debug, Default, Clone)]
pub struct TestStorage {
    series: BTreeMap<Labels, TestSeries>,
}

#[derive(Debug, Default, Clone)]
struct TestSeries {
    columns: Columns,
    /// The histogram that was appended last, as it came, while its chunk is open.
    open_chunk: Option<Arc<FloatHistogram>>,
}

impl TestStorage {
    /// A storage without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a float with its start timestamp (0 = unknown). Times ascend within a series.
    ///
    /// # Errors
    /// The sample is not newer than the last one.
    pub fn append(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        value: f64,
        start_ms: i64,
    ) -> Result<(), StorageError> {
        let series = self.series.entry(labels.clone()).or_default();
        series.check_time(labels, timestamp_ms)?;
        series.open_chunk = None;
        series.columns.timestamps_ms.push(timestamp_ms);
        series.columns.values.push(value);
        series.columns.start_timestamps_ms.push(start_ms);
        Ok(())
    }

    /// Appends a histogram with its start timestamp (0 = unknown). Times ascend within a series.
    ///
    /// # Errors
    /// The sample is not newer than the last one.
    pub fn append_histogram(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        histogram: &Arc<FloatHistogram>,
        start_ms: i64,
    ) -> Result<(), StorageError> {
        let series = self.series.entry(labels.clone()).or_default();
        series.check_time(labels, timestamp_ms)?;
        let continues = series.open_chunk.as_ref().is_some_and(|last| same_chunk(last, histogram));
        let hint = match histogram.counter_reset_hint {
            CounterResetHint::Gauge => CounterResetHint::Gauge,
            _ if continues => CounterResetHint::NotCounterReset,
            _ => CounterResetHint::Unknown,
        };
        let mut stored = Arc::clone(histogram);
        if stored.counter_reset_hint != hint {
            Arc::make_mut(&mut stored).counter_reset_hint = hint;
        }
        series.columns.histogram_timestamps_ms.push(timestamp_ms);
        series.columns.histograms.push(stored);
        series.columns.histogram_start_timestamps_ms.push(start_ms);
        series.open_chunk = (!histogram.is_stale()).then(|| Arc::clone(histogram));
        Ok(())
    }
}

/// Whether `next` may follow `last` in one chunk.
fn same_chunk(last: &FloatHistogram, next: &FloatHistogram) -> bool {
    let gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    if next.counter_reset_hint == CounterResetHint::CounterReset
        || gauge(last) != gauge(next)
        || last.schema != next.schema
        || last.zero_threshold != next.zero_threshold
        || last.custom_values != next.custom_values
        || is_stale_nan(next.sum)
    {
        return false;
    }
    if gauge(next) {
        return true;
    }
    // What the writer says about resets does not bind the storage.
    let unknown = |h: &FloatHistogram| FloatHistogram { counter_reset_hint: CounterResetHint::Unknown, ..h.clone() };
    !unknown(next).detect_reset(&unknown(last))
}

impl TestSeries {
    fn check_time(&self, labels: &Labels, timestamp_ms: i64) -> Result<(), StorageError> {
        let last = self.columns.timestamps_ms.last().max(self.columns.histogram_timestamps_ms.last());
        if last.is_some_and(|&last| last >= timestamp_ms) {
            return Err(StorageError::new(format!("out of order sample at {timestamp_ms} ms of {labels}")));
        }
        Ok(())
    }
}

struct TestSet<'a>(Vec<(&'a Labels, &'a TestSeries)>);

impl SeriesSet for TestSet<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.0[index].0
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        let from = &self.0[index].1.columns;
        let inside = |times: &[i64]| {
            let end = times.partition_point(|&t| t <= range.maxt);
            times.partition_point(|&t| t < range.mint).min(end)..end
        };
        let (floats, histograms) = (inside(&from.timestamps_ms), inside(&from.histogram_timestamps_ms));
        out.timestamps_ms.extend_from_slice(&from.timestamps_ms[floats.clone()]);
        out.values.extend_from_slice(&from.values[floats.clone()]);
        if from.start_timestamps_ms.iter().any(|&s| s != 0) {
            out.start_timestamps_ms.extend_from_slice(&from.start_timestamps_ms[floats]);
        }
        out.histogram_timestamps_ms.extend_from_slice(&from.histogram_timestamps_ms[histograms.clone()]);
        out.histograms.extend_from_slice(&from.histograms[histograms.clone()]);
        if from.histogram_start_timestamps_ms.iter().any(|&s| s != 0) {
            out.histogram_start_timestamps_ms.extend_from_slice(&from.histogram_start_timestamps_ms[histograms]);
        }
        Ok(())
    }
}

fn matches(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
}

impl TestStorage {
    fn matching<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = (&'a Labels, &'a TestSeries)> {
        self.series.iter().filter(|(labels, _)| matches(labels, matchers))
    }
}

fn limited(found: BTreeSet<&str>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    found.into_iter().take(limit).map(str::to_owned).collect()
}

impl Storage for TestStorage {
    fn select(&self, _hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let found = self.series.iter().filter(|(labels, _)| matches(labels, matchers)).collect();
        Ok(Box::new(TestSet(found)))
    }

    fn is_plain(&self) -> bool {
        self.series.iter().all(|(labels, series)| {
            let columns = &series.columns;
            let schema = labels.get("__type__").or(labels.get("__unit__"));
            let started = columns.start_timestamps_ms.iter().any(|&start| start != 0);
            columns.histograms.is_empty() && !started && schema.is_none()
        })
    }
}

impl LabelStorage for TestStorage {
    fn label_names(
        &self,
        _range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        _cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let names = self.matching(matchers).flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
        Ok(limited(names, limit))
    }

    fn label_values(
        &self,
        name: &str,
        _range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        _cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Ok(limited(self.matching(matchers).filter_map(|(labels, _)| labels.get(name)).collect(), limit))
    }
}
