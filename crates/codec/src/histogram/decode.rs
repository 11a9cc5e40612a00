//! Reads histogram chunks; checks every length before it is used.

use super::parts::{Layout, hint_of, marker, take_array, take_schema, take_threshold};
use super::plan::RunColumns;
use super::{CHUNK_CELLS_MAX, HAS_STARTS, HISTOGRAM_PARTS_MAX, HISTOGRAM_SAMPLES_MAX, RUN_CELLS_MAX, flag};
use crate::CodecError;
use crate::dx::{DxChunk, take_count, take_integers, take_values};
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use std::sync::Arc;

/// A column is at least a mode and a number.
pub(super) const COLUMN_BYTES_MIN: usize = 2;

/// The columns of a run beside those of its buckets: count, zero count, sum.
pub(super) const FIELD_COLUMNS: usize = 3;

/// The bytes of a histogram chunk whose front was read and checked.
///
/// ```
/// use mytsdb_codec::{HistogramChunk, HistogramEncoder};
/// use mytsdb_columns::Columns;
/// use mytsdb_histogram::FloatHistogram;
///
/// let histogram = FloatHistogram { count: 3.0, zero_count: 3.0, ..FloatHistogram::default() };
/// let mut bytes = Vec::new();
/// let written = HistogramEncoder::default().encode(&[1_000], &[], &[histogram.clone().into()], &mut bytes)?;
/// let chunk = HistogramChunk::parse(&bytes)?;
/// let mut columns = Columns::default();
/// chunk.decode(&mut columns)?;
/// assert_eq!((written, chunk.sample_count()), (1, 1));
/// assert_eq!((columns.histogram_timestamps_ms, &*columns.histograms[0]), (vec![1_000], &histogram));
/// # Ok::<(), mytsdb_codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct HistogramChunk<'a> {
    /// The front is that of a DX chunk; what would be the values are the histograms.
    front: DxChunk<'a>,
}

impl<'a> HistogramChunk<'a> {
    /// Reads the front; `bytes` is the whole chunk. The rest is checked when it is decoded.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CodecError> {
        Self::of(DxChunk::parse(bytes)?)
    }

    /// The same for columns that are kept apart, as [`time_column`](Self::time_column) and
    /// [`histogram_columns`](Self::histogram_columns) give them.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`].
    pub fn from_columns(time_column: &'a [u8], histograms: &'a [u8]) -> Result<Self, CodecError> {
        Self::of(DxChunk::from_columns(time_column, histograms)?)
    }

    fn of(front: DxChunk<'a>) -> Result<Self, CodecError> {
        if front.sample_count() > HISTOGRAM_SAMPLES_MAX {
            return Err(CodecError::Damaged { reason: "more histograms than a chunk may have" });
        }
        Ok(Self { front })
    }

    /// The number of samples, 1 to [`HISTOGRAM_SAMPLES_MAX`].
    pub fn sample_count(&self) -> usize {
        self.front.sample_count()
    }

    /// The encoded time column, in the form it has in a DX chunk: equal bytes are equal times.
    pub fn time_column(&self) -> &'a [u8] {
        self.front.time_column()
    }

    /// All that follows the time column.
    pub fn histogram_columns(&self) -> &'a [u8] {
        self.front.value_column()
    }

    /// Appends the times, in ms since the epoch, strictly ascending.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`]; then `out` is as it was.
    pub fn decode_times(&self, out: &mut Vec<i64>) -> Result<(), CodecError> {
        self.front.decode_times(out)
    }

    /// Appends the samples, bit for bit as they were encoded, each a valid histogram.
    ///
    /// Allocates at most 8 MiB for what histograms hold, 2 MiB for a while, and 200 bytes for each sample.
    ///
    /// # Errors
    /// [`CodecError::Truncated`], [`CodecError::Damaged`] or [`CodecError::Histogram`]; then `out` is as it was.
    pub fn decode(&self, out: &mut Columns) -> Result<(), CodecError> {
        out.pad_starts();
        let mark = out.mark();
        let read = self.decode_some(out);
        if read.is_err() {
            out.truncate(mark);
        }
        read
    }

    fn decode_some(&self, out: &mut Columns) -> Result<(), CodecError> {
        let (mut times, mut starts) = (Vec::new(), Vec::new());
        let mut rest = self.take_times(&mut times, &mut starts)?;
        let mut times = times.into_iter().zip(starts);
        let mut first = 0;
        let mut cells_left = CHUNK_CELLS_MAX;
        while times.len() > 0 {
            let front = RunFront::take(&mut rest, times.len(), &mut cells_left)?;
            let rows = front.shapes.len();
            front.decode(&mut rest, first, times.by_ref().take(rows), out)?;
            first += rows;
        }
        if rest.is_empty() { Ok(()) } else { Err(CodecError::Damaged { reason: "bytes behind the last run" }) }
    }

    /// Appends the times and as many start times; returns what follows them: the runs.
    pub(super) fn take_times(&self, times: &mut Vec<i64>, starts: &mut Vec<i64>) -> Result<&'a [u8], CodecError> {
        self.decode_times(times)?;
        let mut rest = self.histogram_columns();
        match take_array::<1>(&mut rest, "flags")? {
            [0] => starts.resize(times.len(), 0),
            [HAS_STARTS] => take_integers(&mut rest, times.len(), starts)?,
            _ => return Err(CodecError::Damaged { reason: "unknown flag of the chunk" }),
        }
        Ok(rest)
    }
}

/// What a run says before its columns.
pub(super) struct RunFront {
    pub(super) flags: u8,
    schema: i32,
    bounds: Vec<f64>,
    zero_threshold: f64,
    pub(super) layouts: Vec<Layout>,
    pub(super) columns: RunColumns,
    pub(super) shapes: Vec<i64>,
}

impl RunFront {
    /// A front that was checked against the bounds; `rows_left` is at least 1.
    pub(super) fn take(rest: &mut &[u8], rows_left: usize, cells_left: &mut usize) -> Result<Self, CodecError> {
        let rows = take_count(rest, rows_left - 1, "rows of a run")? + 1;
        let [flags] = take_array::<1>(rest, "flags of a run")?;
        if flags & !(flag::VALUES | flag::CUSTOM) != 0 {
            return Err(CodecError::Damaged { reason: "unknown flag of a run" });
        }
        let is_custom = flags & flag::CUSTOM != 0;
        let schema = take_schema(rest, is_custom)?;
        let cells_max = RUN_CELLS_MAX.min(*cells_left);
        let mut bounds = Vec::new();
        if is_custom {
            let bound_count = take_count(rest, HISTOGRAM_PARTS_MAX, "custom bounds")?;
            if bound_count * rows > cells_max {
                return Err(TOO_MANY_CELLS);
            }
            if bound_count > 0 {
                take_values(rest, bound_count, &mut bounds)?;
            }
        }
        let zero_threshold = take_threshold(rest)?;

        let layout_count = take_count(rest, rows, "layouts")?;
        let mut layouts: Vec<Layout> = Vec::new();
        let mut columns = RunColumns::default();
        let (mut spans_max, mut cells) = (0, 0);
        for _ in 0..layout_count {
            let layout = Layout::take(rest)?;
            spans_max = spans_max.max(layout.span_count());
            // The union of the layouts has at least as many columns, so this bound is checked before the union is made.
            if (layout.bucket_count() + spans_max + bounds.len()) * rows > cells_max {
                return Err(TOO_MANY_CELLS);
            }
            columns.add(&layout.positive, &layout.negative);
            cells = (columns.len() + spans_max + bounds.len()) * rows;
            if cells > cells_max || columns.len() * COLUMN_BYTES_MIN > rest.len() {
                return Err(TOO_MANY_CELLS);
            }
            layouts.push(layout);
        }
        *cells_left -= cells;

        let mut shapes = Vec::new();
        take_integers(rest, rows, &mut shapes)?;
        let shapes_max = 4 * layouts.len() as i64;
        if shapes.iter().any(|shape| !(0..=shapes_max).contains(shape)) {
            return Err(CodecError::Damaged { reason: "a shape that no layout has" });
        }
        Ok(Self { flags, schema, bounds, zero_threshold, layouts, columns, shapes })
    }

    /// Reads the columns and appends the samples, of which `first` is the number of the first in the chunk.
    fn decode(
        &self,
        rest: &mut &[u8],
        first: usize,
        times: impl Iterator<Item = (i64, i64)>,
        out: &mut Columns,
    ) -> Result<(), CodecError> {
        let rows = self.shapes.iter().filter(|&&shape| shape > 0).count();
        if rows > 0 && rest.len() < (self.columns.len() + FIELD_COLUMNS) * COLUMN_BYTES_MIN {
            return Err(CodecError::Truncated { field: "columns of a run", bytes: rest.len() });
        }
        if self.flags & flag::VALUES == 0 {
            let entries = Entries::take_integers(rest, rows, self.columns.len())?;
            self.assemble(&entries, |integer| integer as f64, first, times, out)
        } else {
            let entries = Entries::take_values(rest, rows, self.columns.len())?;
            self.assemble(&entries, |value| value, first, times, out)
        }
    }

    fn assemble<T: Copy>(
        &self,
        entries: &Entries<T>,
        to_count: impl Fn(T) -> f64,
        first: usize,
        times: impl Iterator<Item = (i64, i64)>,
        out: &mut Columns,
    ) -> Result<(), CodecError> {
        let places: Vec<Vec<u32>> =
            self.layouts.iter().map(|l| self.columns.places(&l.positive, &l.negative)).collect();
        let stale = Arc::new(marker());
        let mut row = 0;
        for (number, (&shape, (timestamp_ms, start_ms))) in self.shapes.iter().zip(times).enumerate() {
            if shape == 0 {
                out.push_histogram_since(timestamp_ms, start_ms, stale.clone());
                continue;
            }
            let (hint, layout) = (hint_of((shape - 1) as u8), (shape - 1) as usize / 4);
            let (own, layout) = (&places[layout], &self.layouts[layout]);
            let (positive, negative) = own.split_at(layout.positive_count);
            let histogram = self.frame(hint, layout);
            let histogram = FloatHistogram {
                count: to_count(entries.counts[row]),
                zero_count: to_count(entries.zero_counts[row]),
                sum: entries.sums[row],
                positive_buckets: entries.buckets(row, positive, &to_count),
                negative_buckets: entries.buckets(row, negative, &to_count),
                ..histogram
            };
            histogram.validate().map_err(|source| CodecError::Histogram { sample: first + number, source })?;
            out.push_histogram_since(timestamp_ms, start_ms, Arc::new(histogram));
            row += 1;
        }
        Ok(())
    }

    /// What all rows of a layout share.
    pub(super) fn frame(&self, counter_reset_hint: CounterResetHint, layout: &Layout) -> FloatHistogram {
        FloatHistogram {
            counter_reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            positive_spans: layout.positive.clone(),
            negative_spans: layout.negative.clone(),
            custom_values: self.bounds.clone(),
            ..FloatHistogram::default()
        }
    }
}

const TOO_MANY_CELLS: CodecError = CodecError::Damaged { reason: "a run beyond the bounds" };

/// The columns of a run.
struct Entries<T> {
    counts: Vec<T>,
    zero_counts: Vec<T>,
    sums: Vec<f64>,
    /// Column after column, each with some room behind it.
    buckets: Vec<T>,
    stride: usize,
}

impl<T: Copy> Entries<T> {
    /// The counts of the buckets in these columns.
    #[inline]
    fn buckets(&self, row: usize, places: &[u32], to_count: &impl Fn(T) -> f64) -> Vec<f64> {
        places.iter().map(|&place| to_count(self.buckets[place as usize * self.stride + row])).collect()
    }
}

/// Distance from one column to the next, in entries. It avoids multiples of many cache lines: such columns would compete for the same cache sets.
pub(super) fn stride_of(rows: usize) -> usize {
    if rows.is_multiple_of(64) { rows + 8 } else { rows }
}

impl Entries<i64> {
    /// Nothing is read if there are no rows.
    fn take_integers(rest: &mut &[u8], rows: usize, columns: usize) -> Result<Self, CodecError> {
        let stride = stride_of(rows);
        let mut own = Self { counts: vec![], zero_counts: vec![], sums: vec![], buckets: vec![], stride };
        if rows == 0 {
            return Ok(own);
        }
        take_integers(rest, rows, &mut own.counts)?;
        take_integers(rest, rows, &mut own.zero_counts)?;
        take_values(rest, rows, &mut own.sums)?;
        own.buckets.reserve(columns * stride);
        for column in 0..columns {
            take_integers(rest, rows, &mut own.buckets)?;
            for (count, &bucket) in own.counts.iter_mut().zip(&own.buckets[column * stride..]) {
                *count = count.wrapping_add(bucket);
            }
            own.buckets.resize((column + 1) * stride, 0);
        }
        for (count, &zero_count) in own.counts.iter_mut().zip(&own.zero_counts) {
            *count = count.wrapping_add(zero_count);
        }
        Ok(own)
    }
}

impl Entries<f64> {
    /// Nothing is read if there are no rows.
    fn take_values(rest: &mut &[u8], rows: usize, columns: usize) -> Result<Self, CodecError> {
        let stride = stride_of(rows);
        let mut own = Self { counts: vec![], zero_counts: vec![], sums: vec![], buckets: vec![], stride };
        if rows == 0 {
            return Ok(own);
        }
        take_values(rest, rows, &mut own.counts)?;
        take_values(rest, rows, &mut own.zero_counts)?;
        take_values(rest, rows, &mut own.sums)?;
        own.buckets.reserve(columns * stride);
        for column in 0..columns {
            take_values(rest, rows, &mut own.buckets)?;
            own.buckets.resize((column + 1) * stride, 0.0);
        }
        Ok(own)
    }
}
