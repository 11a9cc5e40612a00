//! Time columns that several chunks share: the writer's memory of them, and their table in the file.

use crate::bytes::Take;
use crate::chunk::ChunkMeta;
use mytsdb_model::TimeRange;
use std::collections::HashMap;

/// Bytes of a column's entry.
pub(super) const COLUMN_BYTES: usize = 40;

/// Most bytes of columns that the writer remembers. Beyond that it forgets those that nobody has shared yet.
const REMEMBERED_BYTES_MAX: usize = 16 << 20;

/// What a remembered column costs beside its bytes.
const REMEMBERED_BYTES_EACH: usize = 96;

/// Where a column's bytes are, and what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeColumn {
    /// Offset in the file.
    pub(super) offset: u64,
    pub(super) range: TimeRange,
    pub(super) bytes: u32,
    pub(super) sample_count: u32,
    pub(super) crc32c: u32,
}

impl TimeColumn {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.range.mint.to_le_bytes());
        out.extend_from_slice(&self.range.maxt.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.sample_count.to_le_bytes());
        out.extend_from_slice(&self.crc32c.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }
}

/// The table, read in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeColumns<'a>(&'a [[u8; COLUMN_BYTES]]);

impl<'a> TimeColumns<'a> {
    /// `None` if the section is no whole number of entries.
    pub(super) fn new(section: &'a [u8]) -> Option<Self> {
        let (columns, rest) = section.as_chunks();
        rest.is_empty().then_some(Self(columns))
    }

    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// `None` if there is no such column or its entry cannot be right; where it lies has not been checked.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<TimeColumn> {
        let mut take = Take::new(self.0.get(number as usize)?);
        let (offset, range) = (take.u64()?, TimeRange::new(take.i64()?, take.i64()?));
        let (bytes, sample_count, crc32c, reserved) = (take.u32()?, take.u32()?, take.u32()?, take.u32()?);
        let sound = !range.is_empty()
            && (1..=ChunkMeta::BYTES_MAX).contains(&(bytes as usize))
            && (1..=mytsdb_codec::DX_SAMPLES_MAX).contains(&(sample_count as usize))
            && reserved == 0;
        sound.then_some(TimeColumn { offset, range, bytes, sample_count, crc32c })
    }
}

/// A column that the writer has written.
#[derive(Debug)]
pub(super) struct Known {
    range: TimeRange,
    sample_count: u32,
    offset: u64,
    number: Option<u32>,
}

/// The columns that the writer knows, by their bytes.
#[derive(Debug, Default)]
pub(super) struct KnownTimes {
    by_bytes: HashMap<Box<[u8]>, Known>,
    bytes: usize,
    /// The table so far.
    pub(super) table: Vec<u8>,
}

impl KnownTimes {
    /// The number of a column that has been written before, its first user's or another's.
    pub(super) fn share(&mut self, column: &[u8]) -> Option<u32> {
        let known = self.by_bytes.get_mut(column)?;
        let number = *known.number.get_or_insert_with(|| {
            let (offset, range, sample_count) = (known.offset, known.range, known.sample_count);
            let crc32c = crc32c::crc32c(column);
            TimeColumn { offset, range, bytes: column.len() as u32, sample_count, crc32c }.put(&mut self.table);
            (self.table.len() / COLUMN_BYTES - 1) as u32
        });
        Some(number)
    }

    /// Remembers a column whose first user has just been written.
    pub(super) fn remember(&mut self, column: &[u8], offset: u64, range: TimeRange, sample_count: u32) {
        if self.bytes >= REMEMBERED_BYTES_MAX {
            self.by_bytes.retain(|_, known| known.number.is_some());
            self.bytes = self.by_bytes.keys().map(|column| column.len() + REMEMBERED_BYTES_EACH).sum();
        }
        if self.bytes < REMEMBERED_BYTES_MAX {
            self.bytes += column.len() + REMEMBERED_BYTES_EACH;
            self.by_bytes.insert(column.into(), Known { range, sample_count, offset, number: None });
        }
    }
}
