//! The footer of version 1.
//!
//! | footer offset | field |
//! |---|---|
//! | 0, 24, 48, 72 | offset, length, CRC, 0 of the four sections |
//! | 96, 104 | first and last time |
//! | 112, 120, 128 | sample, chunk and series count |
//! | 132, 136 | version, block id |
//! | 144 | 0 |
//! | 148, 152 | CRC, magic |
//!
//! The whole format is in `docs/format/block.md`.

use crate::bytes::Take;
use crate::layout::{CRC_BYTES, Damage, MAGIC, SECTION_BYTES, Section, check_frame, checked_footer};
use mytsdb_model::TimeRange;

pub(crate) const VERSION: u32 = 1;
const FOOTER_BYTES: usize = 160;
const SECTION_COUNT: usize = 4;
const _: () = assert!(FOOTER_BYTES == SECTION_COUNT * SECTION_BYTES + 4 * 8 + 2 * 4 + 8 + 4 + CRC_BYTES + MAGIC.len());

/// Everything the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) chunks: Section,
    pub(crate) series: Section,
    pub(crate) symbols: Section,
    pub(crate) postings: Section,
    pub(crate) range: TimeRange,
    pub(crate) sample_count: u64,
    pub(crate) chunk_count: u64,
    pub(crate) series_count: u32,
    pub(crate) id: u64,
}

impl Footer {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for section in [self.chunks, self.series, self.symbols, self.postings] {
            section.put(&mut out);
        }
        out.extend_from_slice(&self.range.mint.to_le_bytes());
        out.extend_from_slice(&self.range.maxt.to_le_bytes());
        out.extend_from_slice(&self.sample_count.to_le_bytes());
        out.extend_from_slice(&self.chunk_count.to_le_bytes());
        out.extend_from_slice(&self.series_count.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out.extend_from_slice(&MAGIC);
        debug_assert_eq!(out.len(), FOOTER_BYTES);
        out
    }

    /// Reads and checks header and footer of the whole `file`, including that the sections fill it without a gap.
    ///
    /// The place of a damage is its offset in the file.
    pub(crate) fn read(file: &[u8]) -> Result<Self, Damage> {
        let (footer_at, fields) = checked_footer(file, FOOTER_BYTES)?;
        let (footer, version) = Self::fields(fields).ok_or((footer_at, "footer"))?;
        if version != VERSION {
            return Err((footer_at, "version not supported"));
        }
        let sections = [footer.chunks, footer.series, footer.symbols, footer.postings];
        check_frame(file, footer_at, VERSION, footer.id, &sections)?;
        Ok(footer)
    }

    /// The fields and the version; `None` if bytes are missing or reserved ones are not zero.
    fn fields(bytes: &[u8]) -> Option<(Self, u32)> {
        let mut take = Take::new(bytes);
        let (chunks, series) = (Section::take(&mut take)?, Section::take(&mut take)?);
        let (symbols, postings) = (Section::take(&mut take)?, Section::take(&mut take)?);
        let range = TimeRange::new(take.i64()?, take.i64()?);
        let (sample_count, chunk_count, series_count) = (take.u64()?, take.u64()?, take.u32()?);
        let (version, id) = (take.u32()?, take.u64()?);
        let sound = take.u32()? == 0 && chunks.crc32c == 0;
        let footer = Self { chunks, series, symbols, postings, range, sample_count, chunk_count, series_count, id };
        (sound && take.is_empty()).then_some((footer, version))
    }
}
