//! Reads XOR chunks; checks every length before it is used.
//!
//! Layout: `docs/format/xor-chunk.md`. Cost: some 5-10 ns per sample, by how much the values change (`benches/xor.rs`).
#![expect(clippy::inline_always, reason = "decoding is a third faster when its state stays in registers")]

use super::COUNT_BYTES;
use crate::CodecError;
use crate::bits::{BitReader, OutOfBits};
use crate::varint::{take_uvarint, take_varint};

/// The bytes of an XOR chunk whose front was read and checked.
#[derive(Debug, Clone, Copy)]
pub struct XorChunk<'a> {
    bytes: &'a [u8],
    count: u16,
    first_ms: i64,
}

impl<'a> XorChunk<'a> {
    /// Reads the front of a chunk: its count and first time. The samples are checked by [`XorChunk::decode`].
    ///
    /// # Errors
    /// [`CodecError::Truncated`] or [`CodecError::Damaged`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let cursor = Cursor::open(bytes)?;
        Ok(Self { bytes, count: cursor.count, first_ms: cursor.timestamp_ms })
    }

    /// The number of samples.
    pub fn sample_count(&self) -> usize {
        usize::from(self.count)
    }

    /// Time of the first sample, if there is one.
    pub fn first_timestamp_ms(&self) -> Option<i64> {
        (self.count > 0).then_some(self.first_ms)
    }

    /// The bytes as given.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// As [`decode`](crate::decode).
    ///
    /// # Errors
    /// As [`decode`](crate::decode).
    pub fn decode(&self, timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), CodecError> {
        decode(self.bytes, timestamps_ms, values)
    }
}

/// Appends the samples of a chunk to two columns, in strictly ascending time.
///
/// Allocates at most 64 bytes per byte of input. NaN payloads are kept.
///
/// # Errors
/// [`CodecError::Truncated`] or [`CodecError::Damaged`]; then both columns are as they were.
pub fn decode(bytes: &[u8], timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), CodecError> {
    let mut cursor = Cursor::open(bytes)?;
    let count = usize::from(cursor.count);
    if count == 0 {
        cursor.finish()?;
        return Ok(());
    }
    let (first_time, first_value) = (timestamps_ms.len(), values.len());
    timestamps_ms.resize(first_time + count, cursor.timestamp_ms);
    values.resize(first_value + count, f64::from_bits(cursor.value));
    let result = decode_rest(&mut cursor, &mut timestamps_ms[first_time + 1..], &mut values[first_value + 1..])
        .and_then(|()| cursor.finish());
    if let Err(error) = result {
        timestamps_ms.truncate(first_time);
        values.truncate(first_value);
        return Err(error);
    }
    Ok(())
}

/// The slices are equally long; every element is overwritten or an error returned.
fn decode_rest(cursor: &mut Cursor<'_>, timestamps_ms: &mut [i64], values: &mut [f64]) -> Result<(), CodecError> {
    let mut times_and_values = timestamps_ms.iter_mut().zip(values);
    if let Some((time, value)) = times_and_values.next() {
        cursor.next_sample()?;
        (*time, *value) = (cursor.timestamp_ms, f64::from_bits(cursor.value));
    }
    // Works on a local copy, which the compiler keeps in registers.
    let mut local = *cursor;
    for (time, value) in times_and_values {
        if let Err(fault) = local.later_sample() {
            return Err(fault.error(local.chunk_bytes));
        }
        (*time, *value) = (local.timestamp_ms, f64::from_bits(local.value));
    }
    *cursor = local;
    Ok(())
}

/// Why a sample could not be read; one byte, so that the hot path returns it in a register.
#[derive(Debug, Clone, Copy)]
enum Fault {
    OutOfBits,
    WideWindow,
    TimeNotAscending,
}

impl Fault {
    #[cold]
    fn error(self, chunk_bytes: usize) -> CodecError {
        match self {
            Fault::OutOfBits => CodecError::Truncated { field: "sample", bytes: chunk_bytes },
            Fault::WideWindow => CodecError::Damaged { reason: "window of more than 64 bits" },
            Fault::TimeNotAscending => CodecError::Damaged { reason: "times do not ascend" },
        }
    }
}

impl From<OutOfBits> for Fault {
    fn from(_: OutOfBits) -> Self {
        Fault::OutOfBits
    }
}

/// Stands on one sample of a chunk; on none if `count` is 0.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    bits: BitReader<'a>,
    chunk_bytes: usize,
    pub(crate) count: u16,
    /// Samples not yet reached.
    left: u16,
    pub(crate) timestamp_ms: i64,
    pub(crate) delta: u64,
    pub(crate) value: u64,
    pub(crate) leading: u32,
    pub(crate) significant: u32,
    pub(crate) has_window: bool,
}

impl<'a> Cursor<'a> {
    /// Reads everything that is byte-aligned; stands on the first sample then.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let short = |field| CodecError::Truncated { field, bytes: bytes.len() };
        let (count, mut rest) = bytes.split_first_chunk::<COUNT_BYTES>().ok_or_else(|| short("sample count"))?;
        let count = u16::from_be_bytes(*count);
        let (mut timestamp_ms, mut delta, mut value) = (0, 0, 0);
        if count >= 1 {
            timestamp_ms = take_varint(&mut rest, "first time")?;
            let (first, behind) = rest.split_first_chunk::<8>().ok_or_else(|| short("first value"))?;
            value = u64::from_be_bytes(*first);
            rest = behind;
        }
        if count >= 2 {
            delta = take_uvarint(&mut rest, "first delta")?;
            let bits_min = 2 * usize::from(count) - 3;
            if rest.len() * 8 < bits_min {
                return Err(short("announced sample count"));
            }
        }
        Ok(Self {
            bits: BitReader::new(rest),
            chunk_bytes: bytes.len(),
            count,
            left: count.saturating_sub(1),
            timestamp_ms,
            delta,
            value,
            leading: 0,
            significant: 64,
            has_window: false,
        })
    }

    /// Steps to the next sample; false if there is none.
    pub(crate) fn next_sample(&mut self) -> Result<bool, CodecError> {
        if self.left == 0 {
            return Ok(false);
        }
        let step = if self.left + 1 < self.count {
            self.later_sample()
        } else {
            // The second sample's delta was read with the front.
            self.bits.refill();
            self.step_time().and_then(|()| self.step_value())
        };
        step.map_err(|fault| fault.error(self.chunk_bytes))?;
        self.left -= 1;
        Ok(true)
    }

    /// Steps to a sample that is neither the first nor the second; the caller knows that there is one and counts.
    #[inline(always)]
    fn later_sample(&mut self) -> Result<(), Fault> {
        self.bits.refill();
        let dod = self.take_dod()?;
        self.delta = self.delta.wrapping_add(dod as u64);
        self.step_time()?;
        self.step_value()
    }

    /// Checks what lies behind the last sample; returns the number of unused bits.
    pub(crate) fn finish(&self) -> Result<usize, CodecError> {
        let bits_left = self.bits.bits_left();
        if bits_left >= 16 {
            return Err(CodecError::Damaged { reason: "bytes behind the last sample" });
        }
        if !self.bits.rest_is_zero() {
            return Err(CodecError::Damaged { reason: "padding is not zero" });
        }
        Ok(bits_left)
    }

    #[inline(always)]
    fn step_time(&mut self) -> Result<(), Fault> {
        let next = self.timestamp_ms.wrapping_add(self.delta as i64);
        if next <= self.timestamp_ms {
            return Err(Fault::TimeNotAscending);
        }
        self.timestamp_ms = next;
        Ok(())
    }

    #[inline(always)]
    fn take_dod(&mut self) -> Result<i64, OutOfBits> {
        let next = self.bits.peek();
        if next >> 63 == 0 {
            self.bits.consume(1)?;
            return Ok(0);
        }
        match (!next).leading_zeros() {
            1 => {
                self.bits.consume(16)?;
                Ok(unfold(next >> 48, 14))
            }
            2 => {
                self.bits.consume(20)?;
                Ok(unfold(next >> 44, 17))
            }
            3 => {
                self.bits.consume(24)?;
                Ok(unfold(next >> 40, 20))
            }
            _ => {
                self.bits.consume(4)?;
                Ok(self.bits.take(64)? as i64)
            }
        }
    }

    #[inline(always)]
    fn step_value(&mut self) -> Result<(), Fault> {
        if self.bits.peek() >> 63 == 0 {
            // The zero may come from an empty buffer: then there is no bit to consume.
            if self.bits.consume(1).is_ok() {
                return Ok(());
            }
        }
        self.bits.refill();
        let next = self.bits.peek();
        let control_bits = if next >> 62 == 0b11 {
            let significant = (next >> 51) as u32 & 63;
            self.leading = (next >> 57) as u32 & 31;
            self.significant = if significant == 0 { 64 } else { significant };
            if self.leading + self.significant > 64 {
                return Err(Fault::WideWindow);
            }
            self.has_window = true;
            13
        } else if next >> 62 == 0b10 {
            2
        } else {
            return Ok(self.bits.consume(1)?);
        };
        self.bits.consume(control_bits)?;
        let xor = self.bits.take(self.significant)?;
        self.value ^= xor << (64 - self.leading - self.significant);
        Ok(())
    }
}

/// The number that the low `bits` bits stand for: above 2^(bits-1) it is negative.
#[inline]
fn unfold(field: u64, bits: u32) -> i64 {
    let value = (field & (u64::MAX >> (64 - bits))) as i64;
    if value > 1 << (bits - 1) { value - (1 << bits) } else { value }
}
