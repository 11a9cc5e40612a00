//! What callers hand to the engine, and what they hear back.

use crate::value::{Encoded, RowValue, Value};
use mytsdb_codec::CodecError;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Exemplar, SeriesRef};
use std::ops::Range;

/// Samples of any number of series, column by column; the three columns have equal length.
///
/// A row is a float, or a native histogram: a series may have both, at different times.
///
/// Row order is the order of appending. Timestamps may come in any order, within and across series. A *point* is rows
/// that are stored or refused together, as the buckets of a histogram are; a row that is in none of `points` is one
/// by itself.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// The series of each sample, as [`Engine::resolve`](crate::Engine::resolve) named it.
    pub refs: Vec<SeriesRef>,
    /// Milliseconds since the Unix epoch.
    pub timestamps_ms: Vec<i64>,
    /// Any float; NaN payloads are kept. What stands in the row of a histogram has no meaning.
    pub values: Vec<f64>,
    /// Since when each row counts, in ms since the Unix epoch, 0 if that is not known: as many as rows, or none.
    pub starts_ms: Vec<i64>,
    /// Rows that are histograms, ascending.
    histograms: Vec<(u32, Encoded)>,
    /// Rows that are to be added to the newest sample, ascending.
    deltas: Vec<u32>,
    /// Rows of each point that has several; ascending, not overlapping.
    pub points: Vec<Range<u32>>,
    /// Series that get samples of their own where rows of this batch are accepted.
    pub companions: Vec<Companion>,
    /// Each with a row of the point that it belongs to, ascending by it.
    pub(crate) exemplars_of_rows: Vec<(u32, SentExemplar)>,
    /// Those of no point.
    pub(crate) exemplars: Vec<SentExemplar>,
    /// Something was said of metrics by [`Engine::describe`](crate::Engine::describe): the batch is done when that is durable,
    /// though it may have no samples.
    pub describes: bool,
    scratch: Vec<u8>,
}

/// An exemplar and its series.
pub(crate) type SentExemplar = (SeriesRef, Exemplar);

/// A series that describes others, as `target_info` does. It is not a point: what becomes of its samples is not reported.
///
/// Where rows among those it describes are accepted it gets a sample, as
/// [`companion_times`](mytsdb_model::companion_times) says; at least
/// [`COMPANION_FILL_MIN`] samples a batch, or as many as it has rows, may lie in between.
#[derive(Debug, Clone, PartialEq)]
pub struct Companion {
    /// Its reference.
    pub series: SeriesRef,
    /// The value of all its samples.
    pub value: f64,
    /// Milliseconds between them, > 0.
    pub step_ms: i64,
    /// The rows that it describes.
    pub rows: Range<u32>,
}

/// Samples of companions that may lie between accepted rows of a small batch.
pub const COMPANION_FILL_MIN: usize = 1_024;

impl Batch {
    /// A batch with room for `sample_count` samples.
    pub fn with_capacity(sample_count: usize) -> Self {
        Self {
            refs: Vec::with_capacity(sample_count),
            timestamps_ms: Vec::with_capacity(sample_count),
            values: Vec::with_capacity(sample_count),
            ..Self::default()
        }
    }

    /// Adds one sample.
    #[inline]
    pub fn push(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64) {
        self.push_since(series, timestamp_ms, 0, value);
    }

    /// Adds one sample that counts from `start_ms` on, in ms since the Unix epoch; 0 if that is not known.
    #[inline]
    pub fn push_since(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        if start_ms != 0 || !self.starts_ms.is_empty() {
            self.starts_ms.resize(self.refs.len(), 0);
            self.starts_ms.push(start_ms);
        }
        self.refs.push(series);
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }

    /// Adds one native histogram; of integers, of floats, or with bounds of its own. A stale marker is one whose sum is the
    /// stale NaN.
    ///
    /// Cost: it is encoded here, some 1 us for 160 buckets.
    ///
    /// # Errors
    /// [`CodecError::Histogram`] or [`CodecError::HistogramTooLarge`] of one that cannot be stored; then the batch is as
    /// it was.
    pub fn push_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: &FloatHistogram,
    ) -> Result<(), CodecError> {
        self.scratch.clear();
        mytsdb_codec::put_histogram(histogram, &mut self.scratch)?;
        self.histograms.push((self.len() as u32, Encoded::from(&self.scratch[..])));
        self.push_since(series, timestamp_ms, start_ms, 0.0);
        Ok(())
    }

    /// Makes the last row one that says what was counted since the sample before: it is added to the newest sample of its
    /// series, and the sum is stored. One that is not newer than that sample is refused, see [`Refusal::Counted`].
    ///
    /// Sums have no start time: since when they count is not known after a gap.
    pub fn add_up_last(&mut self) {
        if let Some(row) = self.len().checked_sub(1) {
            self.deltas.push(row as u32);
            if let Some(start_ms) = self.starts_ms.last_mut() {
                *start_ms = 0;
            }
        }
    }

    /// Adds an exemplar of a series, which belongs to no point.
    pub fn push_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) {
        self.exemplars.push((series, exemplar));
    }

    /// Adds an exemplar of the point that the last row is of: if that is refused, the exemplar is too.
    pub fn push_exemplar_of_last(&mut self, series: SeriesRef, exemplar: Exemplar) {
        match self.len().checked_sub(1) {
            Some(row) => self.exemplars_of_rows.push((row as u32, (series, exemplar))),
            None => self.push_exemplar(series, exemplar),
        }
    }

    /// The number of exemplars.
    pub fn exemplar_count(&self) -> usize {
        self.exemplars_of_rows.len() + self.exemplars.len()
    }

    /// The rows that are deltas, ascending.
    pub(crate) fn deltas(&self) -> &[u32] {
        &self.deltas
    }

    #[inline]
    pub(crate) fn has_deltas(&self) -> bool {
        !self.deltas.is_empty()
    }

    pub(crate) fn is_delta(&self, row: u32) -> bool {
        self.deltas.binary_search(&row).is_ok()
    }

    /// Puts a sum in the place of the delta that became it, and gives back what is there. A histogram that is too large to be
    /// stored leaves the delta in its place.
    pub(crate) fn set_sum(&mut self, row: u32, sum: Value) -> Value {
        match &sum {
            Value::Float(value) => self.values[row as usize] = *value,
            Value::Encoded(bytes) => self.set_histogram(row, bytes.clone()),
            Value::Histogram(histogram) => {
                self.scratch.clear();
                if mytsdb_codec::put_histogram(histogram, &mut self.scratch).is_err() {
                    return self.value(row as usize).to_value();
                }
                let bytes = Encoded::from(&self.scratch[..]);
                self.set_histogram(row, bytes);
            }
        }
        sum
    }

    fn set_histogram(&mut self, row: u32, bytes: Encoded) {
        if let Ok(at) = self.histograms.binary_search_by_key(&row, |(row, _)| *row) {
            self.histograms[at].1 = bytes;
        }
    }

    /// Whether every row is a float without a start time.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.starts_ms.is_empty()
    }

    /// Those in a range of rows.
    pub(crate) fn histograms_in(&self, rows: &Range<usize>) -> &[(u32, Encoded)] {
        let before = |end: usize| self.histograms.partition_point(|(row, _)| (*row as usize) < end);
        if self.histograms.is_empty() { &[] } else { &self.histograms[before(rows.start)..before(rows.end)] }
    }

    /// The value of a row.
    #[inline]
    pub(crate) fn value(&self, row: usize) -> RowValue<'_> {
        if !self.histograms.is_empty()
            && let Ok(at) = self.histograms.binary_search_by_key(&(row as u32), |(row, _)| *row)
        {
            return RowValue::Histogram(&self.histograms[at].1);
        }
        RowValue::Float(self.values[row])
    }

    /// Since when a row counts; 0 if that is not known.
    #[inline]
    pub(crate) fn start_ms(&self, row: usize) -> i64 {
        self.starts_ms.get(row).copied().unwrap_or(0)
    }

    /// Makes the rows from `row` on one point: they are stored or refused together.
    pub fn end_point_of(&mut self, row: u32) {
        let rows = row..self.len() as u32;
        if rows.len() > 1 {
            self.points.push(rows);
        }
    }

    /// The rows of every point, of those of one row too.
    pub(crate) fn each_point(&self) -> impl Iterator<Item = Range<u32>> {
        let (mut row, end, mut several) = (0, self.len() as u32, self.points.iter().peekable());
        std::iter::from_fn(move || {
            let point = several.next_if(|p| p.start == row).cloned().unwrap_or(row..row + 1);
            (row < end).then(|| {
                row = point.end;
                point
            })
        })
    }

    /// # Panics
    /// If a column is shorter than another, or a range is not as its field says: bugs of the caller.
    pub(crate) fn check(&self) {
        let rows = self.refs.len();
        assert!(self.timestamps_ms.len() == rows && self.values.len() == rows, "columns of a batch have equal length");
        assert!(self.starts_ms.is_empty() || self.starts_ms.len() == rows, "columns of a batch have equal length");
        assert!(u32::try_from(rows).is_ok(), "a batch has at most 2^32 rows");
        let mut end = 0;
        for point in &self.points {
            assert!(end <= point.start && point.start < point.end, "points ascend and do not overlap");
            end = point.end;
        }
        assert!(end as usize <= rows, "points are rows of the batch");
        for companion in &self.companions {
            let Range { start, end } = companion.rows;
            assert!(start <= end && end as usize <= rows && companion.step_ms > 0, "companions describe rows");
        }
    }

    /// Makes the exemplars of some rows, which ascend, ones of no point.
    pub(crate) fn free_exemplars(&mut self, rows: &[u32]) {
        if !self.exemplars_of_rows.is_empty() {
            let is_freed = |(row, _): &mut (u32, SentExemplar)| rows.binary_search(row).is_ok();
            self.exemplars.extend(self.exemplars_of_rows.extract_if(.., is_freed).map(|(_, sent)| sent));
        }
    }

    /// Takes rows out, which ascend, and moves the others up.
    pub(crate) fn remove_rows(&mut self, gone: &[u32]) {
        fn compact<T: Copy>(column: &mut Vec<T>, gone: &[u32]) {
            let (mut row, mut next) = (0, gone.iter().peekable());
            column.retain(|_| {
                let goes = next.next_if_eq(&&row).is_some();
                row += 1;
                !goes
            });
        }
        compact(&mut self.refs, gone);
        compact(&mut self.timestamps_ms, gone);
        compact(&mut self.values, gone);
        compact(&mut self.starts_ms, gone);
        let moved = |row: u32| row - gone.partition_point(|g| *g < row) as u32;
        self.histograms.retain(|(row, _)| gone.binary_search(row).is_err());
        for (row, _) in &mut self.histograms {
            *row = moved(*row);
        }
        self.exemplars_of_rows.retain(|(row, _)| gone.binary_search(row).is_err());
        for (row, _) in &mut self.exemplars_of_rows {
            *row = moved(*row);
        }
        self.deltas.retain(|row| gone.binary_search(row).is_err());
        for row in &mut self.deltas {
            *row = moved(*row);
        }
        for rows in self.points.iter_mut().chain(self.companions.iter_mut().map(|c| &mut c.rows)) {
            *rows = moved(rows.start)..moved(rows.end);
        }
        self.points.retain(|point| point.len() > 1);
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.refs.len()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty() && self.exemplar_count() == 0 && !self.describes
    }
}

/// Why a sample was refused for good; sending it again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Older than the retention (`--retention`).
    #[error("timestamp is older than the retention (--retention)")]
    TooOld,
    /// Further ahead of the server's clock than `--future-tolerance`.
    #[error("timestamp is too far in the future (--future-tolerance)")]
    TooFarAhead,
    /// The series already has another value at this time; a float and a histogram are two values. Start times and the hint
    /// of a histogram are no part of a value.
    #[error("a sample with the same timestamp but another value is already stored")]
    Conflict,
    /// What was counted since the sample before, but not newer than the newest sample of its series.
    #[error("a delta that is not newer than the newest sample of its series has been counted, or comes too late to be")]
    Counted,
}

/// What became of a batch that is now as durable as the engine was told to make it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Samples that are new, those of companions among them.
    pub stored: u32,
    /// Samples that were there already, with the same value.
    pub duplicates: u32,
    /// Exemplars that are stored, those that were there already too; the others were refused, which costs no sample.
    pub exemplars: u32,
    /// Rows of the batch that were refused, ascending, each with its reason. The other rows are stored. Of a point all
    /// rows are here or none.
    pub refused: Vec<(u32, Refusal)>,
    /// The series of each of `refused`, in the same order.
    pub refused_series: Vec<SeriesRef>,
}

/// Called once, with the outcome, when the batch is durable and visible to queries, or has failed as a whole.
///
/// Runs on the thread that commits, which may be the one that submits: it must be short and must not call back into the engine.
pub type Done = Box<dyn FnOnce(Result<Outcome, crate::EngineError>) + Send>;
