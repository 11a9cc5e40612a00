//! Grows an XOR chunk sample by sample.
//!
//! | field | size |
//! |---|---|
//! | sample count | u16, big-endian |
//! | first time, first value, first delta | varint, 64 bits, uvarint |
//! | value 1 | 1-77 bits |
//! | then per sample: difference of deltas, value | 1-68, 1-77 bits |
//!
//! The whole layout is in `docs/format/xor-chunk.md`.

use super::COUNT_BYTES;
use super::decode::Cursor;
use super::window::Window;
use crate::CodecError;
use crate::bits::put_bits;
use crate::varint::{VARINT_BYTES_MAX, put_uvarint, put_varint};
use mytsdb_model::TimeRange;

/// Spare bytes that make any push free of allocation: 68 + 77 bits and what `put_bits` writes and cuts again, or
/// the front of a chunk.
const SPARE_BYTES_MIN: usize = 32;
const _: () = assert!(SPARE_BYTES_MIN >= (7usize + 68 + 77).div_ceil(8) + 7);
const _: () = assert!(SPARE_BYTES_MIN >= COUNT_BYTES + VARINT_BYTES_MAX + 8);
/// Least growth of the byte vector.
const GROWTH_BYTES_MIN: usize = 64;

/// An XOR chunk that is being written; its bytes are a complete chunk after every push.
///
/// 64 bytes on its own, plus the chunk on the heap: nothing before the first sample, then at most one and a half
/// times the chunk's size and 64 bytes. A push costs some 10 ns.
#[derive(Debug, Clone)]
pub struct XorAppender {
    bytes: Vec<u8>,
    first_ms: i64,
    last_ms: i64,
    last_value: u64,
    last_delta: u64,
    count: u16,
    window: Window,
    free_bits: u8,
}

const _: () = assert!(size_of::<XorAppender>() <= 64, "one of these lies in every head series");

impl XorAppender {
    /// Most samples in one chunk.
    pub const SAMPLE_COUNT_MAX: usize = u16::MAX as usize;

    /// A chunk without samples; allocates nothing.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            first_ms: 0,
            last_ms: 0,
            last_value: 0,
            last_delta: 0,
            count: 0,
            window: Window::NONE,
            free_bits: 0,
        }
    }

    /// Continues a chunk that was written before. Cost: decodes it.
    ///
    /// # Errors
    /// As [`decode`](crate::decode); the bytes are checked in full.
    pub fn resume(mut bytes: Vec<u8>) -> Result<Self, CodecError> {
        let mut cursor = Cursor::open(&bytes)?;
        let first_ms = cursor.timestamp_ms;
        while cursor.next_sample()? {}
        let bits_left = cursor.finish()?;
        let state = Self {
            bytes: Vec::new(),
            first_ms,
            last_ms: cursor.timestamp_ms,
            last_value: cursor.value,
            last_delta: cursor.delta,
            count: cursor.count,
            window: if cursor.has_window {
                Window::of(cursor.leading, 64 - cursor.leading - cursor.significant)
            } else {
                Window::NONE
            },
            free_bits: (bits_left % 8) as u8,
        };
        // A foreign writer may have left one empty byte at the end, which is where our next bits belong.
        bytes.truncate(bytes.len() - bits_left / 8);
        if state.count == 0 {
            bytes.clear();
        }
        Ok(Self { bytes, ..state })
    }

    /// Appends a sample, later than all before it.
    ///
    /// # Errors
    /// [`CodecError::OutOfOrder`] and [`CodecError::Full`]; the chunk is unchanged.
    #[inline]
    pub fn push(&mut self, timestamp_ms: i64, value: f64) -> Result<(), CodecError> {
        if self.count > 0 && timestamp_ms <= self.last_ms {
            return Err(CodecError::OutOfOrder { timestamp_ms, last_ms: self.last_ms });
        }
        if self.count == u16::MAX {
            return Err(CodecError::Full { count: Self::SAMPLE_COUNT_MAX });
        }
        if self.bytes.capacity() - self.bytes.len() < SPARE_BYTES_MIN {
            // Growing by half: doubling would leave a third of the memory of a large head unused.
            self.bytes.reserve_exact((self.bytes.len() / 2).max(GROWTH_BYTES_MIN));
        }
        let value = value.to_bits();
        if self.count == 0 {
            self.bytes.extend_from_slice(&[0; COUNT_BYTES]);
            put_varint(&mut self.bytes, timestamp_ms);
            self.bytes.extend_from_slice(&value.to_be_bytes());
            self.first_ms = timestamp_ms;
        } else {
            let delta = timestamp_ms.wrapping_sub(self.last_ms) as u64;
            if self.count == 1 {
                put_uvarint(&mut self.bytes, delta);
            } else {
                self.put_dod(delta.wrapping_sub(self.last_delta) as i64);
            }
            self.last_delta = delta;
            self.window.put(&mut self.bytes, &mut self.free_bits, value ^ self.last_value);
        }
        self.last_ms = timestamp_ms;
        self.last_value = value;
        self.count += 1;
        self.bytes[..COUNT_BYTES].copy_from_slice(&self.count.to_be_bytes());
        Ok(())
    }

    /// The number of samples pushed.
    pub fn sample_count(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// First and last time; [`TimeRange::EMPTY`] without samples.
    pub fn time_range(&self) -> TimeRange {
        if self.is_empty() { TimeRange::EMPTY } else { TimeRange::new(self.first_ms, self.last_ms) }
    }

    /// The last sample's value; 0 without samples.
    pub fn last_value(&self) -> f64 {
        f64::from_bits(self.last_value)
    }

    /// The chunk as it stands, complete and decodable.
    pub fn bytes(&self) -> &[u8] {
        if self.is_empty() { &[0; COUNT_BYTES] } else { &self.bytes }
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The finished chunk, without spare capacity.
    pub fn finish(self) -> Box<[u8]> {
        if self.is_empty() { Box::new([0; COUNT_BYTES]) } else { self.bytes.into_boxed_slice() }
    }

    #[inline]
    fn put(&mut self, value: u64, count: u32) {
        put_bits(&mut self.bytes, &mut self.free_bits, value, count);
    }

    #[inline]
    fn put_dod(&mut self, dod: i64) {
        let low = |bits: u32| dod as u64 & (u64::MAX >> (64 - bits));
        match dod {
            0 => self.put(0, 1),
            -8_191..=8_192 => self.put(0b10 << 14 | low(14), 16),
            -65_535..=65_536 => self.put(0b110 << 17 | low(17), 20),
            -524_287..=524_288 => self.put(0b1110 << 20 | low(20), 24),
            _ => {
                self.put(0b1111, 4);
                self.put(dod as u64, 64);
            }
        }
    }
}

impl Default for XorAppender {
    fn default() -> Self {
        Self::new()
    }
}
