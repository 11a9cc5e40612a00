//! Histograms that are in single form and alike, made a chunk or rows of a table without building the histograms.

use super::decode::stride_of;
use super::parts::{INTEGER_MAX, Layout, hint_of, marker, take_array, take_f64, take_schema, take_threshold};
use super::{HISTOGRAM_SAMPLES_MAX, HistogramEncoder, RUN_CELLS_MAX, flag};
use crate::CodecError;
use crate::varint::{put_uvarint, take_uvarint, take_varint};
use mytsdb_columns::{HistogramRows, HistogramTable};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::is_stale_nan;
use mytsdb_varint::unzigzag;

/// Rows that are read before their buckets are put into columns: a cache line of each column.
const ROWS: usize = 8;

/// The columns of rows that are read one by one.
#[derive(Debug, Default)]
pub(super) struct Rows {
    shapes: Vec<i64>,
    counts: Vec<i64>,
    zero_counts: Vec<i64>,
    sums: Vec<f64>,
    /// Some rows, one behind the other.
    buckets: Vec<i64>,
    /// Counts and then zero counts.
    float_counts: Vec<f64>,
}

impl HistogramEncoder {
    /// Appends one chunk of all of the histograms, which are in the form that [`put_histogram`](crate::put_histogram) gives, if
    /// they are integers of one schema, zero threshold and spans, without bounds of their own, and a chunk has room for
    /// them in one run. Else `false`, and nothing is appended.
    ///
    /// Times and start times are as [`encode`](Self::encode) has them, and the bytes are those that it gives for the same
    /// histograms. It costs less than [`take_histogram`](crate::take_histogram) and `encode`, and allocates next to nothing.
    ///
    /// # Errors
    /// [`CodecError::Columns`], [`CodecError::OutOfOrder`], [`CodecError::Truncated`], [`CodecError::Damaged`]; then `out` is as
    /// it was.
    pub fn encode_singles(
        &mut self,
        timestamps_ms: &[i64],
        start_timestamps_ms: &[i64],
        singles: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<bool, CodecError> {
        super::encode::check(timestamps_ms, start_timestamps_ms, singles.len())?;
        let (mut run, mut rows) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.rows));
        run.clear();
        let is_done = self.put_alike(singles, &mut rows, &mut run);
        if let Ok(true) = is_done {
            self.put_front(timestamps_ms, start_timestamps_ms, out);
            out.extend_from_slice(&run);
        }
        (self.bytes, self.rows) = (run, rows);
        is_done
    }

    fn put_alike(&mut self, singles: &[&[u8]], rows: &mut Rows, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        let Some(&first) = singles.first().filter(|first| is_plain(first)) else { return Ok(false) };
        // Flags, then schema and threshold, then spans.
        let mut rest = &first[1..];
        take_schema(&mut rest, false)?;
        take_threshold(&mut rest)?;
        let spans_at = first.len() - rest.len();
        let layout = Layout::take(&mut rest)?;
        let front = &first[1..first.len() - rest.len()];
        let (row_count, column_count) = (singles.len(), layout.bucket_count());
        let cells = row_count.saturating_mul(column_count + layout.span_count());
        let are_alike = singles.iter().all(|single| is_plain(single) && single[1..].starts_with(front));
        if !are_alike || row_count > HISTOGRAM_SAMPLES_MAX || cells > RUN_CELLS_MAX {
            return Ok(false);
        }

        self.integers.clear();
        self.integers.resize(column_count * row_count, 0);
        rows.clear();
        for (part, some) in singles.chunks(ROWS).enumerate() {
            rows.buckets.clear();
            for single in some {
                let sides = [layout.positive_count, layout.negative_count];
                if !rows.take(single, 1 + front.len(), sides)? {
                    return Ok(false);
                }
            }
            for (column, entries) in self.integers.chunks_exact_mut(row_count).enumerate() {
                let of_column = rows.buckets[column..].iter().step_by(column_count);
                for (entry, &bucket) in entries[part * ROWS..].iter_mut().zip(of_column) {
                    *entry = bucket;
                }
            }
        }
        put_uvarint(out, row_count as u64 - 1);
        out.push(0);
        out.extend_from_slice(&first[1..spans_at]);
        put_uvarint(out, 1);
        out.extend_from_slice(&front[spans_at - 1..]);
        self.writer.put_integers(&rows.shapes, out);
        self.put_integer_columns(&rows.counts, &rows.zero_counts, &rows.sums, out);
        Ok(true)
    }
}

/// Appends histograms, each in the form that [`put_histogram`](crate::put_histogram) gives and with its time and start time, as
/// rows of a table, if they are integers and have no bounds of their own. Else `false`, and `out` has no meaning.
///
/// # Errors
/// [`CodecError::Truncated`], [`CodecError::Damaged`] or [`CodecError::Histogram`]; then `out` has no meaning.
///
/// # Panics
/// If there are not as many times and start times as histograms.
pub fn take_singles(
    timestamps_ms: &[i64],
    start_timestamps_ms: &[i64],
    singles: &[&[u8]],
    out: &mut HistogramTable,
) -> Result<bool, CodecError> {
    let mut rows = Rows::default();
    let mut first = 0;
    while let Some(&single) = singles.get(first) {
        let taken = if single == [flag::STALE] {
            rows.clear();
            rows.push_marker();
            out.push_run(marker(), Vec::new(), &rows.of_table(&timestamps_ms[first..], &start_timestamps_ms[first..]));
            1
        } else {
            let Some(front) = Front::of(single)? else { return Ok(false) };
            let count = singles[first..].iter().take_while(|single| front.is_of(single)).count();
            if !front.push_run(
                &singles[first..first + count],
                (&timestamps_ms[first..], &start_timestamps_ms[first..]),
                &mut rows,
                out,
            )? {
                return Ok(false);
            }
            count
        };
        first += taken;
    }
    Ok(true)
}

/// What histograms in single form have in common, if they are plain and their bytes begin alike.
struct Front<'a> {
    hint: CounterResetHint,
    schema: i32,
    zero_threshold: f64,
    layout: Layout,
    /// All between the flags and the sum.
    bytes: &'a [u8],
}

impl<'a> Front<'a> {
    fn of(single: &'a [u8]) -> Result<Option<Self>, CodecError> {
        if !is_plain(single) {
            return Ok(None);
        }
        let mut rest = &single[1..];
        let schema = take_schema(&mut rest, false)?;
        let zero_threshold = take_threshold(&mut rest)?;
        let layout = Layout::take(&mut rest)?;
        let bytes = &single[1..single.len() - rest.len()];
        Ok(Some(Self { hint: gauge_or_not(single), schema, zero_threshold, layout, bytes }))
    }

    fn is_of(&self, single: &[u8]) -> bool {
        is_plain(single) && gauge_or_not(single) == self.hint && single[1..].starts_with(self.bytes)
    }

    /// Appends histograms that all have this front; times and start times are as many or more.
    fn push_run(
        &self,
        singles: &[&[u8]],
        (timestamps_ms, starts_ms): (&[i64], &[i64]),
        rows: &mut Rows,
        out: &mut HistogramTable,
    ) -> Result<bool, CodecError> {
        rows.clear();
        rows.buckets.clear();
        for single in singles {
            if !rows.take(single, 1 + self.bytes.len(), [self.layout.positive_count, self.layout.negative_count])? {
                return Ok(false);
            }
        }
        if rows.sums.iter().any(|&sum| is_stale_nan(sum)) {
            return Ok(false);
        }
        let (base, stride, columns) = (out.cells_len(), stride_of(singles.len()), self.layout.bucket_count());
        let cells = out.cells_mut();
        cells.resize(base + columns * stride, 0.0);
        // Some rows at a time, so that what is read and written stays in the cache.
        for (part, some) in rows.buckets.chunks(ROWS * columns.max(1)).enumerate() {
            for (column, entries) in cells[base..].chunks_exact_mut(stride).enumerate() {
                let of_column = some[column..].iter().step_by(columns);
                for (entry, &bucket) in entries[part * ROWS..].iter_mut().zip(of_column) {
                    *entry = bucket as f64;
                }
            }
        }
        let spans = |spans: &[Span]| spans.to_vec();
        let frame = FloatHistogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            positive_spans: spans(&self.layout.positive),
            negative_spans: spans(&self.layout.negative),
            ..FloatHistogram::default()
        };
        let (first, places) = (out.len(), (0..columns).map(|column| (base + column * stride) as u32).collect());
        out.push_run(frame, places, &rows.of_table(timestamps_ms, starts_ms));
        for (place, single) in singles.iter().enumerate() {
            if hint_of(single[0] >> flag::HINT_SHIFT) == CounterResetHint::CounterReset {
                out.note_reset(first + place);
            }
        }
        let checked = out.histogram(first).validate();
        checked.map_err(|source| CodecError::Histogram { sample: first, source })?;
        Ok(true)
    }
}

/// The hint as far as it tells gauges.
fn gauge_or_not(single: &[u8]) -> CounterResetHint {
    match hint_of(single[0] >> flag::HINT_SHIFT) {
        CounterResetHint::Gauge => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

/// Whether bytes are of a histogram of integers without bounds of its own, as far as the flags tell.
fn is_plain(single: &[u8]) -> bool {
    single.first().is_some_and(|flags| flags & !(flag::HINT_BITS << flag::HINT_SHIFT) == 0)
}

impl Rows {
    fn clear(&mut self) {
        self.shapes.clear();
        self.counts.clear();
        self.zero_counts.clear();
        self.sums.clear();
    }

    /// Adds the row of a stale marker.
    fn push_marker(&mut self) {
        let FloatHistogram { count, zero_count, sum, .. } = marker();
        self.counts.push(count as i64);
        self.zero_counts.push(zero_count as i64);
        self.sums.push(sum);
    }

    /// The rows as those of a table, at the first of some times.
    fn of_table<'a>(&'a mut self, timestamps_ms: &'a [i64], starts_ms: &'a [i64]) -> HistogramRows<'a> {
        let count = self.sums.len();
        self.float_counts.clear();
        self.float_counts.extend(self.counts.iter().chain(&self.zero_counts).map(|&count| count as f64));
        let (counts, zero_counts) = self.float_counts.split_at(count);
        HistogramRows {
            timestamps_ms: &timestamps_ms[..count],
            start_timestamps_ms: &starts_ms[..count],
            counts,
            zero_counts,
            sums: &self.sums,
        }
    }

    /// Adds a row whose columns begin at an offset; false if a count is none that a column of integers may have.
    fn take(&mut self, single: &[u8], columns_at: usize, sides: [usize; 2]) -> Result<bool, CodecError> {
        let mut rest = &single[columns_at..];
        let sum = take_f64(&mut rest, "sum")?;
        let (count, zero_count) = (take_uvarint(&mut rest, "count")?, take_uvarint(&mut rest, "zero count")?);
        let mut all = count.max(zero_count);
        for buckets in sides {
            // A negative count is a large number.
            all |= take_counts(&mut rest, buckets, &mut self.buckets)?;
        }
        if let Ok([_]) = take_array::<1>(&mut rest, "") {
            return Err(CodecError::Damaged { reason: "bytes behind a histogram" });
        }
        self.shapes.push(1 + i64::from(single[0] >> flag::HINT_SHIFT));
        self.counts.push(count as i64);
        self.zero_counts.push(zero_count as i64);
        self.sums.push(sum);
        Ok(all < INTEGER_MAX as u64)
    }
}

/// The bit of the last byte of an integer, in each of eight bytes.
const LAST_BYTES: u64 = !u64::from_le_bytes([0x7f; 8]);

/// Appends counts, each read as its difference to the one before; returns the bits of all of them. Sizes of neighbours differ, so nothing
/// branches on them but on those that are rare: two at a time have mostly up to four bytes each.
fn take_counts(rest: &mut &[u8], count: usize, out: &mut Vec<i64>) -> Result<u64, CodecError> {
    let (mut before, mut all, mut left) = (0i64, 0, count);
    out.reserve(count.min(rest.len()));
    let mut push = |difference: i64| {
        before = before.wrapping_add(difference);
        all |= before as u64;
        out.push(before);
    };
    while left > 0 {
        if let Some(word) = rest.first_chunk::<8>().filter(|_| left >= 2) {
            let word = u64::from_le_bytes(*word);
            let ends = !word & LAST_BYTES;
            // The last bits of the first and of the second integer.
            let (first, second) = (ends.trailing_zeros(), (ends & ends.wrapping_sub(1)).trailing_zeros());
            if first < 32 && second - first <= 32 && second < 64 {
                push(unzigzag(in_four(word & (u64::MAX >> (63 - first)))));
                push(unzigzag(in_four((word >> (first + 1)) & (u64::MAX >> (64 - (second - first))))));
                *rest = &rest[(second as usize + 1) / 8..];
                left -= 2;
                continue;
            }
        }
        push(take_varint(rest, "bucket")?);
        left -= 1;
    }
    Ok(all)
}

/// The integer that is in at most four bytes, of seven bits each.
#[inline]
fn in_four(bytes: u64) -> u64 {
    bytes & 0x7f | (bytes >> 1) & 0x3f80 | (bytes >> 2) & 0x001f_c000 | (bytes >> 3) & 0x0fe0_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::varint::put_varint;
    use mytsdb_testkit::{Random, seed};

    #[test]
    fn counts_are_read_as_one_by_one_whatever_their_sizes_and_wherever_they_end() {
        let mut random = Random::new(seed(1));
        for case in 0..2_000 {
            let (count, shift) = (random.index(20), random.below(64));
            let mut bytes = Vec::new();
            for _ in 0..count {
                put_varint(&mut bytes, (random.bits() >> (shift + random.below(64 - shift))) as i64);
            }
            bytes.extend([0x80; 9].iter().take(random.index(10)));
            for cut in [bytes.len(), random.index(bytes.len() + 1)] {
                let (mut rest, mut slow) = (&bytes[..cut], &bytes[..cut]);
                let (mut counts, mut expected, mut before) = (Vec::new(), Vec::new(), 0i64);
                let read = take_counts(&mut rest, count, &mut counts);
                let one_by_one = (0..count).try_for_each(|_| {
                    before = before.wrapping_add(take_varint(&mut slow, "bucket")?);
                    expected.push(before);
                    Ok::<(), CodecError>(())
                });
                let all = expected.iter().fold(0, |all, &count| all | count as u64);
                assert_eq!(read, one_by_one.map(|()| all), "case {case}");
                assert_eq!((counts, rest), (expected, slow), "case {case}");
            }
        }
    }
}
