//! Writes a chunk of histograms that are in single form and alike, without building the histograms.

use super::parts::{INTEGER_MAX, Layout, take_array, take_f64, take_schema, take_threshold};
use super::{HISTOGRAM_SAMPLES_MAX, HistogramEncoder, RUN_CELLS_MAX, flag};
use crate::CodecError;
use crate::varint::{put_uvarint, take_uvarint, take_varint};

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

    /// Adds a row whose columns begin at an offset; false if a count is none that a column of integers may have.
    fn take(&mut self, single: &[u8], columns_at: usize, sides: [usize; 2]) -> Result<bool, CodecError> {
        let mut rest = &single[columns_at..];
        let sum = take_f64(&mut rest, "sum")?;
        let (count, zero_count) = (take_uvarint(&mut rest, "count")?, take_uvarint(&mut rest, "zero count")?);
        let mut all = count.max(zero_count);
        for buckets in sides {
            let mut before = 0i64;
            for _ in 0..buckets {
                before = before.wrapping_add(take_varint(&mut rest, "bucket")?);
                // A negative count is a large number.
                all |= before as u64;
                self.buckets.push(before);
            }
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
