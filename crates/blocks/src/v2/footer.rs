//! The footer of version 2.
//!
//! | footer offset | field |
//! |---|---|
//! | 0, 24, 48, 72, 96 | offset, length, CRC, 0 of the five sections |
//! | 120, 128 | first and last time |
//! | 136, 144, 152 | sample, chunk and series count |
//! | 156, 160 | version (2 plain, 3 not), block id |
//! | 168 | 0 |
//! | 172, 176 | CRC, magic |
//!
//! The whole format is in `docs/format/block-v2.md`.

use crate::bytes::Take;
use crate::layout::{CRC_BYTES, Damage, MAGIC, SECTION_BYTES, Section, check_frame, checked_footer};
use mytsdb_model::TimeRange;

pub(crate) const VERSION: u32 = 2;
/// What the footer says if some chunk is none of plain floats, so that a reader that knows no others refuses the block.
const VERSION_NOT_PLAIN: u32 = 3;
const FOOTER_BYTES: usize = 184;
const SECTION_COUNT: usize = 5;
const _: () = assert!(FOOTER_BYTES == SECTION_COUNT * SECTION_BYTES + 4 * 8 + 2 * 4 + 8 + 4 + CRC_BYTES + MAGIC.len());

/// Everything the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) chunks: Section,
    pub(crate) times: Section,
    pub(crate) series: Section,
    pub(crate) hashes: Section,
    pub(crate) index: Section,
    pub(crate) range: TimeRange,
    pub(crate) sample_count: u64,
    pub(crate) chunk_count: u64,
    pub(crate) series_count: u32,
    pub(crate) id: u64,
    /// All chunks are of encodings of floats without start times.
    pub(crate) is_plain: bool,
}

impl Footer {
    /// The footer of a block without series.
    pub(crate) fn empty(id: u64, chunks: Section) -> Self {
        let none = Section::default();
        Self {
            chunks,
            times: none,
            series: none,
            hashes: none,
            index: none,
            range: TimeRange::EMPTY,
            sample_count: 0,
            chunk_count: 0,
            series_count: 0,
            id,
            is_plain: true,
        }
    }

    /// The sections in the order of the file, with their names.
    pub(crate) fn sections(&self) -> [(&'static str, Section); SECTION_COUNT] {
        [
            ("chunk area", self.chunks),
            ("time columns", self.times),
            ("series", self.series),
            ("hashes", self.hashes),
            ("index", self.index),
        ]
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for (_, section) in self.sections() {
            section.put(&mut out);
        }
        out.extend_from_slice(&self.range.mint.to_le_bytes());
        out.extend_from_slice(&self.range.maxt.to_le_bytes());
        out.extend_from_slice(&self.sample_count.to_le_bytes());
        out.extend_from_slice(&self.chunk_count.to_le_bytes());
        out.extend_from_slice(&self.series_count.to_le_bytes());
        let version = if self.is_plain { VERSION } else { VERSION_NOT_PLAIN };
        out.extend_from_slice(&version.to_le_bytes());
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
        let (mut footer, version) = Self::fields(fields).ok_or((footer_at, "footer"))?;
        if version != VERSION && version != VERSION_NOT_PLAIN {
            return Err((footer_at, "version not supported"));
        }
        footer.is_plain = version == VERSION;
        check_frame(file, footer_at, VERSION, footer.id, &footer.sections().map(|(_, section)| section))?;
        Ok(footer)
    }

    /// The version that a footer says, if its checksum holds and it is none of those that are known.
    pub(crate) fn unknown_version(file: &[u8]) -> Option<u32> {
        let (_, fields) = checked_footer(file, FOOTER_BYTES).ok()?;
        let (_, version) = Self::fields(fields)?;
        (version != VERSION && version != VERSION_NOT_PLAIN).then_some(version)
    }

    /// The fields and the version; `None` if bytes are missing or reserved ones are not zero.
    fn fields(bytes: &[u8]) -> Option<(Self, u32)> {
        let mut take = Take::new(bytes);
        let (chunks, times) = (Section::take(&mut take)?, Section::take(&mut take)?);
        let (series, hashes, index) = (Section::take(&mut take)?, Section::take(&mut take)?, Section::take(&mut take)?);
        let range = TimeRange::new(take.i64()?, take.i64()?);
        let (sample_count, chunk_count, series_count) = (take.u64()?, take.u64()?, take.u32()?);
        let (version, id) = (take.u32()?, take.u64()?);
        let sound = take.u32()? == 0 && chunks.crc32c == 0;
        let counts = Self { range, sample_count, chunk_count, series_count, ..Self::empty(id, chunks) };
        let footer = Self { times, series, hashes, index, ..counts };
        (sound && take.is_empty()).then_some((footer, version))
    }
}
