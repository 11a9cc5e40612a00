//! The 40 bytes that every file of a log begins with.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic `mytsdbWL` |
//! | 8 | 2 | version, 1, 2 or 3 |
//! | 10 | 1 | kind |
//! | 11 | 5 | reserved, 0 |
//! | 16 | 8 | segment id |
//! | 24 | 8 | first sequence |
//! | 32 | 4 | reserved, 0 |
//! | 36 | 4 | crc32c of 0..36 |

use crate::SegmentId;

pub(crate) const FILE_HEADER_BYTES: usize = 40;
/// What is written; versions from 1 on are read.
pub(crate) const VERSION: u16 = 3;
const MAGIC: &[u8; 8] = b"mytsdbWL";
const CRC_AT: usize = 36;
const _: () = assert!(CRC_AT + 4 == FILE_HEADER_BYTES);

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment = 0,
    Checkpoint = 1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) kind: FileKind,
    pub(crate) segment: SegmentId,
    pub(crate) first_sequence: u64,
}

/// Why bytes are not the header that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadHeader {
    Damaged,
    Version(u16),
}

pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        self.encode_as(VERSION)
    }

    fn encode_as(&self, version: u16) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&version.to_le_bytes());
        bytes[10] = self.kind as u8;
        bytes[16..24].copy_from_slice(&self.segment.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_sequence.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of a file that should be `kind` and `segment`.
    pub(crate) fn decode(
        bytes: &[u8; FILE_HEADER_BYTES],
        kind: FileKind,
        segment: SegmentId,
    ) -> Result<Self, BadHeader> {
        if bytes[..8] != *MAGIC || crc32c::crc32c(&bytes[..CRC_AT]) != le_u32(bytes, CRC_AT) {
            return Err(BadHeader::Damaged);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if !(1..=VERSION).contains(&version) {
            return Err(BadHeader::Version(version));
        }
        let header = FileHeader { kind, segment, first_sequence: le_u64(bytes, 24) };
        // Encoding again compares the kind, the id and the reserved bytes at once.
        if header.encode_as(version) == *bytes && header.first_sequence > 0 {
            Ok(header)
        } else {
            Err(BadHeader::Damaged)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_seen_and_other_versions_are_named() {
        let header = FileHeader { kind: FileKind::Checkpoint, segment: SegmentId(7), first_sequence: 99 };
        let bytes = header.encode();
        let decode = |bytes: &[u8; FILE_HEADER_BYTES]| FileHeader::decode(bytes, FileKind::Checkpoint, SegmentId(7));
        assert_eq!(decode(&bytes), Ok(header));
        for bit in 0..FILE_HEADER_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), Err(BadHeader::Damaged), "bit {bit}");
        }
        assert!(FileHeader::decode(&bytes, FileKind::Segment, SegmentId(7)).is_err());
        assert!(FileHeader::decode(&bytes, FileKind::Checkpoint, SegmentId(8)).is_err());
        let mut newer = bytes;
        for (version, read) in [(0, false), (1, true), (2, true), (3, true), (4, false)] {
            newer[8] = version;
            let crc = crc32c::crc32c(&newer[..CRC_AT]).to_le_bytes();
            newer[CRC_AT..].copy_from_slice(&crc);
            let expected = if read { Ok(header) } else { Err(BadHeader::Version(u16::from(version))) };
            assert_eq!(decode(&newer), expected);
        }
    }
}
