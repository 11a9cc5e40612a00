//! An in-memory storage for tests: small, exact, and filled with series notation.

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{Cancel, Finding, LabelStorage, SelectHints, SeriesSet, Storage, StorageError};
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
        let continues = series.open_chunk.as_ref().is_some_and(|last| histogram.continues(last));
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

impl TestSeries {
    fn has_samples(&self, range: TimeRange) -> bool {
        let columns = &self.columns;
        [&columns.timestamps_ms, &columns.histogram_timestamps_ms].iter().any(|times| !inside(times, range).is_empty())
    }

    fn check_time(&self, labels: &Labels, timestamp_ms: i64) -> Result<(), StorageError> {
        let last = self.columns.timestamps_ms.last().max(self.columns.histogram_timestamps_ms.last());
        if last.is_some_and(|&last| last >= timestamp_ms) {
            return Err(StorageError::new(format!("out of order sample at {timestamp_ms} ms of {labels}")));
        }
        Ok(())
    }
}

/// The samples whose times, which ascend, lie in `range`.
fn inside(timestamps_ms: &[i64], range: TimeRange) -> std::ops::Range<usize> {
    let end = timestamps_ms.partition_point(|&t| t <= range.maxt);
    timestamps_ms.partition_point(|&t| t < range.mint).min(end)..end
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
        let (floats, histograms) = (inside(&from.timestamps_ms, range), inside(&from.histogram_timestamps_ms, range));
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

    fn may_have_label(&self, _: &str) -> bool {
        true
    }

    fn recall(&self, _: &[u8]) -> Option<Finding> {
        None
    }

    fn remember(&self, _: &[u8], _: Finding, _: usize) {}

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

fn matches(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
}

impl TestStorage {
    /// The series that satisfy the matchers and have samples in `range`.
    fn stored<'a>(
        &'a self,
        range: TimeRange,
        matchers: &[Matcher],
    ) -> impl Iterator<Item = (&'a Labels, &'a TestSeries)> {
        self.series.iter().filter(move |(labels, series)| matches(labels, matchers) && series.has_samples(range))
    }
}

fn limited(found: BTreeSet<&str>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    found.into_iter().take(limit).map(str::to_owned).collect()
}

impl Storage for TestStorage {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        // A query finds out by reading which series have samples; a list of series must know.
        let range = if hints.stored { hints.range } else { TimeRange::ALL };
        Ok(Box::new(TestSet(self.stored(range, matchers).collect())))
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
        range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        _cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let names = self.stored(range, matchers).flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
        Ok(limited(names, limit))
    }

    fn label_values(
        &self,
        name: &str,
        range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        _cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Ok(limited(self.stored(range, matchers).filter_map(|(labels, _)| labels.get(name)).collect(), limit))
    }
}
