//! The columns, and what is appended to them.

use mytsdb_histogram::FloatHistogram;
use mytsdb_model::TimeRange;
use std::sync::Arc;

/// Samples of one series as columns.
///
/// Times are ms since the epoch. A start time says since when a counter counts; 0 means that it is not known.
///
/// Invariant S: a column of start times is empty or as long as its times. Whoever appends to the public columns keeps
/// that, by [`pad_starts`](Self::pad_starts) if need be. Finished columns are in order: both columns of times ascend
/// strictly and have no time in common. What is being filled need not be.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Times of the float samples, ascending.
    pub timestamps_ms: Vec<i64>,
    /// The float samples.
    pub values: Vec<f64>,
    /// Times of the histogram samples, ascending, disjoint from `timestamps_ms`.
    pub histogram_timestamps_ms: Vec<i64>,
    /// The histogram samples. A stale marker has a stale NaN as its sum.
    pub histograms: Vec<Arc<FloatHistogram>>,
    /// Start timestamps of the float samples (0 = unknown): empty, or as long as `timestamps_ms`.
    pub start_timestamps_ms: Vec<i64>,
    /// Start timestamps of the histogram samples: empty, or as long as `histogram_timestamps_ms`.
    pub histogram_start_timestamps_ms: Vec<i64>,
}

/// A place between samples: behind all that were there when it was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Float samples before it.
    pub floats: usize,
    /// Histogram samples before it.
    pub histograms: usize,
}

impl Columns {
    /// Empties every column and keeps its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.truncate(Mark::default());
    }

    /// Number of samples of both kinds.
    #[inline]
    pub fn len(&self) -> usize {
        self.timestamps_ms.len() + self.histogram_timestamps_ms.len()
    }

    /// Whether there are no samples.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end of what is there.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { floats: self.timestamps_ms.len(), histograms: self.histogram_timestamps_ms.len() }
    }

    /// Appends a float whose start time is not known.
    #[inline]
    pub fn push_float(&mut self, timestamp_ms: i64, value: f64) {
        self.push_float_since(timestamp_ms, 0, value);
    }

    /// Appends a float that counts from `start_ms` on; 0 if that is not known.
    #[inline]
    pub fn push_float_since(&mut self, timestamp_ms: i64, start_ms: i64, value: f64) {
        push_start(&mut self.start_timestamps_ms, self.timestamps_ms.len(), start_ms);
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }

    /// Appends a histogram whose start time is not known.
    #[inline]
    pub fn push_histogram(&mut self, timestamp_ms: i64, histogram: Arc<FloatHistogram>) {
        self.push_histogram_since(timestamp_ms, 0, histogram);
    }

    /// Appends a histogram that counts from `start_ms` on; 0 if that is not known.
    #[inline]
    pub fn push_histogram_since(&mut self, timestamp_ms: i64, start_ms: i64, histogram: Arc<FloatHistogram>) {
        push_start(&mut self.histogram_start_timestamps_ms, self.histogram_timestamps_ms.len(), start_ms);
        self.histogram_timestamps_ms.push(timestamp_ms);
        self.histograms.push(histogram);
    }

    /// Appends the samples of `other` in `range`; `other` is in order.
    pub fn extend_from(&mut self, other: &Self, range: TimeRange) {
        self.pad_starts();
        let floats = inside(&other.timestamps_ms, range);
        append_starts(&mut self.start_timestamps_ms, self.timestamps_ms.len(), &other.start_timestamps_ms, &floats);
        self.timestamps_ms.extend_from_slice(&other.timestamps_ms[floats.clone()]);
        self.values.extend_from_slice(&other.values[floats]);
        let histograms = inside(&other.histogram_timestamps_ms, range);
        append_starts(
            &mut self.histogram_start_timestamps_ms,
            self.histogram_timestamps_ms.len(),
            &other.histogram_start_timestamps_ms,
            &histograms,
        );
        self.histogram_timestamps_ms.extend_from_slice(&other.histogram_timestamps_ms[histograms.clone()]);
        self.histograms.extend_from_slice(&other.histograms[histograms]);
        self.pad_starts();
    }

    /// Restores Invariant S after samples were appended to the public columns without start times: those are not known.
    #[inline]
    pub fn pad_starts(&mut self) {
        if !self.start_timestamps_ms.is_empty() {
            self.start_timestamps_ms.resize(self.timestamps_ms.len(), 0);
        }
        if !self.histogram_start_timestamps_ms.is_empty() {
            self.histogram_start_timestamps_ms.resize(self.histogram_timestamps_ms.len(), 0);
        }
    }

    /// Removes what was appended after `mark` was taken; keeps the memory.
    #[inline]
    pub fn truncate(&mut self, mark: Mark) {
        self.timestamps_ms.truncate(mark.floats);
        self.values.truncate(mark.floats);
        self.start_timestamps_ms.truncate(mark.floats);
        self.histogram_timestamps_ms.truncate(mark.histograms);
        self.histograms.truncate(mark.histograms);
        self.histogram_start_timestamps_ms.truncate(mark.histograms);
    }

    /// Moves what was appended after `mark` was taken into columns of its own.
    #[must_use]
    pub fn split_off(&mut self, mark: Mark) -> Self {
        let starts =
            |starts: &mut Vec<i64>, at: usize| if starts.is_empty() { Vec::new() } else { starts.split_off(at) };
        self.pad_starts();
        Self {
            timestamps_ms: self.timestamps_ms.split_off(mark.floats),
            values: self.values.split_off(mark.floats),
            histogram_timestamps_ms: self.histogram_timestamps_ms.split_off(mark.histograms),
            histograms: self.histograms.split_off(mark.histograms),
            start_timestamps_ms: starts(&mut self.start_timestamps_ms, mark.floats),
            histogram_start_timestamps_ms: starts(&mut self.histogram_start_timestamps_ms, mark.histograms),
        }
    }

    /// Moves all samples of `other`, in whatever order they are, behind these.
    pub fn append(&mut self, other: &mut Self) {
        other.pad_starts();
        let floats = 0..other.timestamps_ms.len();
        append_starts(&mut self.start_timestamps_ms, self.timestamps_ms.len(), &other.start_timestamps_ms, &floats);
        let histograms = 0..other.histogram_timestamps_ms.len();
        let (starts, before) = (&mut self.histogram_start_timestamps_ms, self.histogram_timestamps_ms.len());
        append_starts(starts, before, &other.histogram_start_timestamps_ms, &histograms);
        self.timestamps_ms.append(&mut other.timestamps_ms);
        self.values.append(&mut other.values);
        self.histogram_timestamps_ms.append(&mut other.histogram_timestamps_ms);
        self.histograms.append(&mut other.histograms);
        self.pad_starts();
        other.clear();
    }

    /// The range of the samples from `from` on, which are in order; empty if there are none.
    pub fn range(&self, from: Mark) -> TimeRange {
        [&self.timestamps_ms[from.floats..], &self.histogram_timestamps_ms[from.histograms..]]
            .into_iter()
            .filter_map(|times| Some(TimeRange::new(*times.first()?, *times.last()?)))
            .fold(TimeRange::EMPTY, TimeRange::cover)
    }

    /// Gives back room that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.timestamps_ms.shrink_to_fit();
        self.values.shrink_to_fit();
        self.histogram_timestamps_ms.shrink_to_fit();
        self.histograms.shrink_to_fit();
        self.start_timestamps_ms.shrink_to_fit();
        self.histogram_start_timestamps_ms.shrink_to_fit();
    }

    /// Bytes of the columns, unused room included. Histograms are shared: only the pointers to them count.
    pub fn heap_bytes(&self) -> usize {
        let words = self.timestamps_ms.capacity()
            + self.values.capacity()
            + self.histogram_timestamps_ms.capacity()
            + self.histograms.capacity()
            + self.start_timestamps_ms.capacity()
            + self.histogram_start_timestamps_ms.capacity();
        words * size_of::<u64>()
    }
}

/// Appends a start time to those of `before` samples.
#[inline]
fn push_start(starts: &mut Vec<i64>, before: usize, start_ms: i64) {
    if start_ms != 0 || !starts.is_empty() {
        starts.resize(before, 0);
        starts.push(start_ms);
    }
}

/// Appends some of the start times of another column, if any of them is known.
fn append_starts(starts: &mut Vec<i64>, before: usize, others: &[i64], places: &std::ops::Range<usize>) {
    let own = others.get(places.clone()).unwrap_or_default();
    if own.iter().any(|&start_ms| start_ms != 0) {
        starts.resize(before, 0);
        starts.extend_from_slice(own);
    }
}

/// The places of the times in `range`, in a column that ascends.
pub(crate) fn inside(times: &[i64], range: TimeRange) -> std::ops::Range<usize> {
    // Mostly all of a chunk is asked for.
    if let (Some(first), Some(last)) = (times.first(), times.last())
        && range.mint <= *first
        && *last <= range.maxt
    {
        return 0..times.len();
    }
    let end = times.partition_point(|&time| time <= range.maxt);
    let start = times[..end].partition_point(|&time| time < range.mint);
    start..end
}
