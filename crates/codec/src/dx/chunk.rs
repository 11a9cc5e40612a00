//! A DX chunk as read: bounds first, columns on demand.
#![expect(clippy::inline_always, reason = "compiled anew for each instruction set, which only inlined code is")]

use super::integers::{IntegerColumn, take_count};
use super::kernels::{Kernel, Work};
use super::{BLOCK_SAMPLES, DX_SAMPLES_MAX, values};
use crate::CodecError;
use mytsdb_model::TimeRange;
use std::ops::Range;

/// The bytes of a DX chunk whose header and column bounds were read and checked.
///
/// ```
/// use mytsdb_codec::{DxChunk, DxEncoder};
///
/// let mut bytes = Vec::new();
/// DxEncoder::default().encode(&[1_000, 16_000, 31_000], &[0.5, 0.75, 1.5], &mut bytes)?;
/// let chunk = DxChunk::parse(&bytes)?;
/// let mut values = Vec::new();
/// chunk.decode_values(&mut values)?;
/// assert_eq!((chunk.sample_count(), values), (3, vec![0.5, 0.75, 1.5]));
/// # Ok::<(), mytsdb_codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DxChunk<'a> {
    sample_count: usize,
    time_column: &'a [u8],
    times: IntegerColumn<'a>,
    values: &'a [u8],
}

impl<'a> DxChunk<'a> {
    /// Reads the front of both columns; `bytes` is the whole chunk. The blocks are checked when they are decoded.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut rest = bytes;
        let time_bytes = take_count(&mut rest, bytes.len(), "size of the time column")?;
        let Some((time_column, values)) = rest.split_at_checked(time_bytes) else {
            return Err(CodecError::Truncated { field: "time column", bytes: bytes.len() });
        };
        Self::from_columns(time_column, values)
    }

    /// The same for columns that are kept apart, as [`time_column`](Self::time_column) and
    /// [`value_column`](Self::value_column) give them.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`].
    #[inline]
    pub fn from_columns(time_column: &'a [u8], values: &'a [u8]) -> Result<Self, CodecError> {
        let mut times = time_column;
        let sample_count = take_count(&mut times, DX_SAMPLES_MAX - 1, "sample count")? + 1;
        let times = IntegerColumn::parse(times, sample_count)?;
        Ok(Self { sample_count, time_column, times, values })
    }

    /// The number of samples, 1 to [`DX_SAMPLES_MAX`].
    pub fn sample_count(&self) -> usize {
        self.sample_count
    }

    /// The encoded time column, with the sample count: equal bytes are equal times.
    pub fn time_column(&self) -> &'a [u8] {
        self.time_column
    }

    /// The encoded value column.
    pub fn value_column(&self) -> &'a [u8] {
        self.values
    }

    /// The value that all samples have, if the column says no more than that. Cost: some ns.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`].
    pub fn same_value(&self) -> Result<Option<f64>, CodecError> {
        values::same_value(self.values, self.sample_count)
    }

    /// Appends the times, in ms since the epoch, strictly ascending.
    ///
    /// Allocates at most 8 bytes per sample; a byte of input is at most 512 bytes of output, but a line, which is up to
    /// 512 KiB.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`], also if times do not ascend; then `out` is as it was.
    #[inline]
    pub fn decode_times(&self, out: &mut Vec<i64>) -> Result<(), CodecError> {
        self.decode_times_by(Kernel::best(), out)
    }

    /// Whether one of the times is this one. Cost: some ns if they are a line, else that of decoding them.
    ///
    /// # Errors
    /// As [`decode_times`](Self::decode_times); not of a line that does not ascend.
    pub fn has_time(&self, timestamp_ms: i64) -> Result<bool, CodecError> {
        if let Some((start, step)) = self.times.exact_line() {
            // Exact modulo 2^64, as both are.
            let (behind, step) = (timestamp_ms.wrapping_sub(start) as u64, step as u64);
            let is_on_line = if step == 0 { behind == 0 } else { behind.is_multiple_of(step) };
            let steps = behind.checked_div(step).unwrap_or(0);
            return Ok(timestamp_ms >= start && is_on_line && steps < self.sample_count as u64);
        }
        let mut times = Vec::new();
        self.decode_times(&mut times)?;
        Ok(times.binary_search(&timestamp_ms).is_ok())
    }

    /// Appends the values, bit for bit as they were encoded.
    ///
    /// Allocates as [`decode_times`](Self::decode_times) does.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`]; then `out` is as it was.
    #[inline]
    pub fn decode_values(&self, out: &mut Vec<f64>) -> Result<(), CodecError> {
        self.decode_values_by(Kernel::best(), out)
    }

    /// As [`decode_values`](Self::decode_values), by plain code; for the bench to compare with.
    ///
    /// # Errors
    /// As [`decode_values`](Self::decode_values).
    #[doc(hidden)]
    pub fn decode_values_scalar(&self, out: &mut Vec<f64>) -> Result<(), CodecError> {
        self.decode_values_by(Kernel::Scalar, out)
    }

    /// Appends times and values of the samples in a range alone; gives the times of the first and the last sample of the chunk.
    ///
    /// Cost: that of the samples in the range, if times are a line and values are not deltas; else deltas before the range are added up, and times that
    /// are no line are all decoded. Of the values behind it only the length is looked at.
    ///
    /// ```
    /// use mytsdb_codec::{DxChunk, DxEncoder};
    /// use mytsdb_model::TimeRange;
    ///
    /// let mut bytes = Vec::new();
    /// DxEncoder::default().encode(&[1_000, 16_000, 31_000], &[0.5, 0.75, 1.5], &mut bytes)?;
    /// let (mut times, mut values) = (Vec::new(), Vec::new());
    /// let ends = DxChunk::parse(&bytes)?.decode_within(TimeRange::new(1_001, 20_000), &mut times, &mut values)?;
    /// assert_eq!((ends, times, values), (TimeRange::new(1_000, 31_000), vec![16_000], vec![0.75]));
    /// # Ok::<(), mytsdb_codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`]; then both columns are as they were.
    pub fn decode_within(
        &self,
        range: TimeRange,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<TimeRange, CodecError> {
        self.decode_within_by(Kernel::best(), range, times, values)
    }

    fn decode_within_by(
        &self,
        kernel: Kernel,
        range: TimeRange,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<TimeRange, CodecError> {
        let (first_time, first_value) = (times.len(), values.len());
        let read = self.decode_times_within(range, kernel, times).and_then(|(ends, numbers)| {
            values::decode(self.values, self.sample_count, numbers, kernel, values)?;
            Ok(ends)
        });
        if read.is_err() {
            times.truncate(first_time);
            values.truncate(first_value);
        }
        read
    }

    /// Appends the times in a range; gives the ends of all times, and the numbers of those in the range.
    fn decode_times_within(
        &self,
        range: TimeRange,
        kernel: Kernel,
        out: &mut Vec<i64>,
    ) -> Result<(TimeRange, Range<usize>), CodecError> {
        let count = self.sample_count;
        if let Some((start, step)) = self.times.exact_line() {
            let last = last_of_line(start, step, count)?;
            // How many times are before one: exact, since they ascend.
            let before = |time: i64| {
                let behind = u64::try_from(i128::from(time) - i128::from(start)).unwrap_or(0);
                (behind.div_ceil((step as u64).max(1)) as usize).min(count)
            };
            let end = range.maxt.checked_add(1).map_or(count, before);
            let numbers = before(range.mint).min(end)..end;
            let first = start.wrapping_add(step.wrapping_mul(numbers.start as i64));
            put_line(first, step, numbers.len(), kernel, out);
            return Ok((TimeRange::new(start, last), numbers));
        }
        let first = out.len();
        self.decode_times_by(kernel, out)?;
        let own = &out[first..];
        let ends = TimeRange::new(own[0], own[count - 1]);
        let end = own.partition_point(|&time| time <= range.maxt);
        let numbers = own[..end].partition_point(|&time| time < range.mint)..end;
        out.truncate(first + numbers.end);
        out.drain(first..first + numbers.start);
        Ok((ends, numbers))
    }

    fn decode_times_by(&self, kernel: Kernel, out: &mut Vec<i64>) -> Result<(), CodecError> {
        let first = out.len();
        if let Some((start, step)) = self.times.exact_line() {
            return append_line(start, step, self.sample_count, kernel, out);
        }
        out.reserve(self.sample_count);
        let mut ascends = true;
        let read = self.times.for_each_block(kernel, |lanes, count| {
            let own = &lanes.0[..count];
            ascends &= kernel.ascends(own) && (out.len() == first || out.last() < own.first());
            out.extend_from_slice(own);
            Ok(())
        });
        let read = read.and(if ascends { Ok(()) } else { Err(NOT_ASCENDING) });
        if read.is_err() {
            out.truncate(first);
        }
        read
    }

    fn decode_values_by(&self, kernel: Kernel, out: &mut Vec<f64>) -> Result<(), CodecError> {
        let first = out.len();
        let read = values::decode(self.values, self.sample_count, 0..self.sample_count, kernel, out);
        if read.is_err() {
            out.truncate(first);
        }
        read
    }
}

const NOT_ASCENDING: CodecError = CodecError::Damaged { reason: "times do not ascend" };

/// Appends `start + i * step`; nothing if that does not ascend.
fn append_line(start: i64, step: i64, count: usize, kernel: Kernel, out: &mut Vec<i64>) -> Result<(), CodecError> {
    last_of_line(start, step, count)?;
    put_line(start, step, count, kernel, out);
    Ok(())
}

/// The last of `start + i * step`, if that ascends.
fn last_of_line(start: i64, step: i64, count: usize) -> Result<i64, CodecError> {
    // Two times may differ by more than i64 holds. All steps are therefore computed modulo 2^64.
    let last = i128::from(start) + i128::from(step as u64) * (count as i128 - 1);
    let last = i64::try_from(last).ok().filter(|_| count < 2 || step != 0);
    last.ok_or(NOT_ASCENDING)
}

/// Appends `start + i * step`.
fn put_line(start: i64, step: i64, count: usize, kernel: Kernel, out: &mut Vec<i64>) {
    out.reserve(count);
    let mut block = [0; BLOCK_SAMPLES];
    for at in (0..count).step_by(BLOCK_SAMPLES) {
        // The times are made on the stack first: zeroing the room in `out` would cost as much as filling it.
        let times = &mut block[..BLOCK_SAMPLES.min(count - at)];
        kernel.run(Line { start: start.wrapping_add(step.wrapping_mul(at as i64)), step, times });
        out.extend_from_slice(times);
    }
}

struct Line<'a> {
    start: i64,
    step: i64,
    times: &'a mut [i64],
}

impl Work for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let offsets: [i64; 8] = std::array::from_fn(|i| self.step.wrapping_mul(i as i64));
        let stride = self.step.wrapping_mul(8);
        let mut start = self.start;
        let (eights, rest) = self.times.as_chunks_mut::<8>();
        for eight in eights {
            for (time, offset) in eight.iter_mut().zip(offsets) {
                *time = start.wrapping_add(offset);
            }
            start = start.wrapping_add(stride);
        }
        for (time, offset) in rest.iter_mut().zip(offsets) {
            *time = start.wrapping_add(offset);
        }
    }
}

#[cfg(test)]
mod tests;
