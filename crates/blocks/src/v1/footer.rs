//! Header and footer of a block.
//!
//! | header offset | field | | footer offset | field |
//! |---|---|---|---|---|
//! | 0 | magic | | 0, 24, 48, 72 | offset, length, CRC, 0 of the four sections |
//! | 8 | version | | 96, 104 | first and last time |
//! | 12 | 0 | | 112, 120, 128 | sample, chunk and series count |
//! | 16 | block id | | 132, 136 | version, block id |
//! | 24 | 0 | | 144 | 0 |
//! | 28 | CRC | | 148, 152 | CRC, magic |
//!
//! The whole format is in `docs/format/block.md`.

use crate::bytes::Take;
use mytsdb_model::TimeRange;
use std::ops::Range;

pub(crate) const MAGIC: [u8; 8] = *b"mytsblk\0";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const FOOTER_BYTES: usize = 160;
const SECTION_BYTES: usize = 24;
const SECTION_COUNT: usize = 4;
const CRC_BYTES: usize = 4;
const _: () = assert!(HEADER_BYTES == MAGIC.len() + 4 + 4 + 8 + 4 + CRC_BYTES);
const _: () = assert!(FOOTER_BYTES == SECTION_COUNT * SECTION_BYTES + 4 * 8 + 2 * 4 + 8 + 4 + CRC_BYTES + MAGIC.len());

/// Why header or footer cannot be believed, and where in it.
pub(crate) type Damage = (usize, &'static str);

/// Where a section lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) crc32c: u32,
}

impl Section {
    /// Its bytes' indices in the file; [`Footer::read`] has checked that they lie inside.
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset as usize..(self.offset + self.len) as usize
    }
}

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

pub(crate) fn write_header(id: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&id.to_le_bytes());
    let crc = crc32c::crc32c(&out[..HEADER_BYTES - CRC_BYTES]);
    out[HEADER_BYTES - CRC_BYTES..].copy_from_slice(&crc.to_le_bytes());
    out
}

impl Footer {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for section in [self.chunks, self.series, self.symbols, self.postings] {
            out.extend_from_slice(&section.offset.to_le_bytes());
            out.extend_from_slice(&section.len.to_le_bytes());
            out.extend_from_slice(&section.crc32c.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
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
        let Some(footer_at) = file.len().checked_sub(FOOTER_BYTES).filter(|&at| at >= HEADER_BYTES) else {
            return Err((file.len(), "file too short"));
        };
        let (header, footer) = (&file[..HEADER_BYTES], &file[footer_at..]);
        let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if header[..8] != MAGIC {
            return Err((0, "not a block: magic of the header"));
        }
        if footer[FOOTER_BYTES - MAGIC.len()..] != MAGIC {
            return Err((file.len() - MAGIC.len(), "magic of the footer"));
        }
        let crc_at = FOOTER_BYTES - MAGIC.len() - CRC_BYTES;
        let footer_damage = |reason| (footer_at, reason);
        let fields = Self::fields(&footer[..crc_at + CRC_BYTES]).ok_or_else(|| footer_damage("footer"))?;
        let (footer, footer_version, crc) = fields;
        if crc32c::crc32c(&file[footer_at..footer_at + crc_at]) != crc {
            return Err(footer_damage("checksum of the footer"));
        }
        if footer_version != VERSION {
            return Err(footer_damage("version not supported"));
        }
        if header != write_header(footer.id) {
            return Err((0, if version == VERSION { "header" } else { "version not supported" }));
        }
        let mut end = HEADER_BYTES as u64;
        for section in [footer.chunks, footer.series, footer.symbols, footer.postings] {
            if section.offset != end {
                return Err(footer_damage("sections do not follow each other"));
            }
            end = end.checked_add(section.len).ok_or_else(|| footer_damage("section too long"))?;
        }
        if end != footer_at as u64 {
            return Err(footer_damage("sections do not fill the file"));
        }
        Ok(footer)
    }

    /// The fields, the version and the CRC; `None` if bytes are missing or reserved ones are not zero.
    fn fields(bytes: &[u8]) -> Option<(Self, u32, u32)> {
        let mut take = Take::new(bytes);
        let section = |take: &mut Take<'_>| {
            let section = Section { offset: take.u64()?, len: take.u64()?, crc32c: take.u32()? };
            (take.u32()? == 0).then_some(section)
        };
        let (chunks, series) = (section(&mut take)?, section(&mut take)?);
        let (symbols, postings) = (section(&mut take)?, section(&mut take)?);
        let range = TimeRange::new(take.i64()?, take.i64()?);
        let (sample_count, chunk_count, series_count) = (take.u64()?, take.u64()?, take.u32()?);
        let (version, id) = (take.u32()?, take.u64()?);
        let sound = take.u32()? == 0 && chunks.crc32c == 0;
        let crc = take.u32()?;
        let footer = Self { chunks, series, symbols, postings, range, sample_count, chunk_count, series_count, id };
        (sound && take.is_empty()).then_some((footer, version, crc))
    }
}
