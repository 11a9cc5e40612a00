//! The second frozen form of an index: one section with dictionaries, packed postings and columns of value numbers.
//!
//! The layout is in `docs/format/block-v2.md`. Nothing is loaded: every answer is read from the bytes, every length
//! checked when it is used. Checksums are the block's business.

mod bits;
mod dictionary;
mod lists;
mod names;
mod reader;
mod verify;
mod writer;

pub use reader::PackedIndex;
pub use writer::PackedSection;

use crate::IndexError;

/// Bytes in front of the names.
const HEADER_BYTES: usize = 8;

/// Bytes of a name's entry.
const NAME_BYTES: usize = 24;

/// A label that fewer than one in so many series have gets no forward column.
const FORWARD_SHARE: u64 = 8;

/// Marks the only series of a value in the array of postings; ordinals are below.
const ONLY: u32 = 1 << 31;

#[cold]
fn corrupt(offset: usize, reason: &'static str) -> IndexError {
    IndexError::Corrupt { section: "index", offset: offset as u64, reason }
}

#[inline]
fn u32_at(entries: &[[u8; 4]], index: usize) -> Option<u32> {
    entries.get(index).map(|entry| u32::from_le_bytes(*entry))
}
