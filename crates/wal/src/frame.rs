//! Frames: the unit that is checksummed, found again after damage, and numbered.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `0xF3A95C1E` |
//! | 4 | 4 | payload bytes |
//! | 8 | 8 | sequence |
//! | 16 | 8 | durable sequence |
//! | 24 | 4 | payload crc32c |
//! | 28 | 4 | header crc32c, seeded with kind, segment id and offset |

use crate::header::{FileKind, le_u32, le_u64};
use crate::{SegmentId, WalError};

pub(crate) const FRAME_HEADER_BYTES: usize = 32;
pub(crate) const FRAME_MAGIC: [u8; 4] = 0xF3A9_5C1E_u32.to_le_bytes();
/// Frames are closed before their payload passes this, unless one record is larger.
pub(crate) const PAYLOAD_BYTES_TARGET: usize = 1 << 20;
/// No frame is larger; a length above it is damage.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 20;
const HEADER_CRC_AT: usize = 28;
const _: () = assert!(HEADER_CRC_AT + 4 == FRAME_HEADER_BYTES);

/// Where a frame lies; its header crc is bound to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: FileKind,
    pub(crate) segment: SegmentId,
    pub(crate) offset: u64,
}

impl Place {
    fn header_crc(&self, header: &[u8]) -> u32 {
        let mut place = [0; 17];
        place[0] = self.kind as u8;
        place[1..9].copy_from_slice(&self.segment.0.to_le_bytes());
        place[9..].copy_from_slice(&self.offset.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&place), &header[..HEADER_CRC_AT])
    }
}

/// A frame header whose own checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) payload_bytes: usize,
    pub(crate) sequence: u64,
    pub(crate) durable_sequence: u64,
    payload_crc: u32,
}

impl FrameHeader {
    /// `None` unless these are the bytes that were written at `place`.
    pub(crate) fn decode(bytes: &[u8], place: Place) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        if bytes[..4] != FRAME_MAGIC || place.header_crc(bytes) != le_u32(bytes, HEADER_CRC_AT) {
            return None;
        }
        let header = FrameHeader {
            payload_bytes: le_u32(bytes, 4) as usize,
            sequence: le_u64(bytes, 8),
            durable_sequence: le_u64(bytes, 16),
            payload_crc: le_u32(bytes, 24),
        };
        let legal = (1..=PAYLOAD_BYTES_MAX).contains(&header.payload_bytes)
            && header.durable_sequence < header.sequence
            && header.sequence < u64::MAX / 2;
        legal.then_some(header)
    }

    pub(crate) fn accepts(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes && crc32c::crc32c(payload) == self.payload_crc
    }
}

/// Frames under construction: payloads are complete, headers stay blank until [`seal`](FrameBuffer::seal).
pub(crate) struct FrameBuffer {
    payload_bytes_target: usize,
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// The size of a record that did not fit.
    too_large: Option<usize>,
    /// Where records are encoded; kept for its allocation.
    scratch: Vec<u8>,
}

impl FrameBuffer {
    pub(crate) fn new(payload_bytes_target: usize) -> Self {
        Self { payload_bytes_target, bytes: Vec::new(), starts: Vec::new(), too_large: None, scratch: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.too_large.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn frame_count(&self) -> u64 {
        self.starts.len() as u64
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.too_large = None;
    }

    pub(crate) fn check_sizes(&self) -> Result<(), WalError> {
        match self.too_large {
            Some(bytes) => Err(WalError::RecordTooLarge { bytes, limit: PAYLOAD_BYTES_MAX }),
            None => Ok(()),
        }
    }

    /// Drops the record that did not fit; the others stay.
    pub(crate) fn forget_too_large(&mut self) {
        self.too_large = None;
    }

    /// Lends bytes of any content and length; give them back with [`give_scratch`](Self::give_scratch).
    pub(crate) fn take_scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.scratch)
    }

    pub(crate) fn give_scratch(&mut self, scratch: Vec<u8>) {
        self.scratch = scratch;
    }

    /// Where the next record goes, which has `record_bytes` bytes; opens a frame if the last is full.
    ///
    /// `None` if no frame can hold it; `check_sizes` will tell.
    pub(crate) fn begin_record(&mut self, record_bytes: usize) -> Option<&mut Vec<u8>> {
        if record_bytes > PAYLOAD_BYTES_MAX {
            self.too_large = Some(record_bytes);
            return None;
        }
        let payload_bytes = self.starts.last().map(|start| self.bytes.len() - start - FRAME_HEADER_BYTES);
        if payload_bytes.is_none_or(|bytes| bytes + record_bytes > self.payload_bytes_target) {
            self.starts.push(self.bytes.len());
            self.bytes.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        }
        Some(&mut self.bytes)
    }

    /// Adds the frames of `other` behind these.
    pub(crate) fn append(&mut self, other: &FrameBuffer) {
        let base = self.bytes.len();
        self.starts.extend(other.starts.iter().map(|start| base + start));
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Fills in the headers for frames that will lie at `place` and after, numbered from `sequence`.
    pub(crate) fn seal(&mut self, place: Place, sequence: u64, durable_sequence: u64) {
        for i in 0..self.starts.len() {
            let start = self.starts[i];
            let end = self.starts.get(i + 1).copied().unwrap_or(self.bytes.len());
            let (header, payload) = self.bytes[start..end].split_at_mut(FRAME_HEADER_BYTES);
            header[..4].copy_from_slice(&FRAME_MAGIC);
            header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            header[8..16].copy_from_slice(&(sequence + i as u64).to_le_bytes());
            header[16..24].copy_from_slice(&durable_sequence.to_le_bytes());
            header[24..28].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
            let crc = Place { offset: place.offset + start as u64, ..place }.header_crc(header);
            header[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_valid_only_where_it_was_written() {
        let mut buffer = FrameBuffer::new(PAYLOAD_BYTES_TARGET);
        for record in [b"one".as_slice(), b"two"] {
            buffer.begin_record(PAYLOAD_BYTES_TARGET - 1).unwrap().extend_from_slice(record);
        }
        let place = Place { kind: FileKind::Segment, segment: SegmentId(3), offset: 40 };
        buffer.seal(place, 5, 4);
        assert_eq!(buffer.frame_count(), 2);
        let first = FrameHeader::decode(buffer.bytes(), place).unwrap();
        assert_eq!((first.sequence, first.durable_sequence, first.payload_bytes), (5, 4, 3));
        assert!(first.accepts(b"one") && !first.accepts(b"onf") && !first.accepts(b"on"));
        let at = Place { offset: 75, ..place };
        assert_eq!(FrameHeader::decode(&buffer.bytes()[35..], at).unwrap().sequence, 6);
        for wrong in [
            Place { offset: 41, ..place },
            Place { segment: SegmentId(4), ..place },
            Place { kind: FileKind::Checkpoint, ..place },
        ] {
            assert_eq!(FrameHeader::decode(buffer.bytes(), wrong), None);
        }
    }

    #[test]
    fn a_record_over_the_limit_is_named_not_written() {
        let mut buffer = FrameBuffer::new(PAYLOAD_BYTES_TARGET);
        assert!(buffer.begin_record(PAYLOAD_BYTES_MAX + 1).is_none());
        assert!(matches!(buffer.check_sizes(), Err(WalError::RecordTooLarge { .. })));
        assert!(!buffer.is_empty());
        buffer.clear();
        assert!(buffer.is_empty() && buffer.check_sizes().is_ok());
    }
}
