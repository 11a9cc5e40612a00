//! What both versions of a block have in common: the header, and how a footer names a section.
//!
//! | header offset | 0 | 8 | 12 | 16 | 24 | 28 |
//! |---|---|---|---|---|---|---|
//! | field | magic | version | 0 | block id | 0 | CRC |

use crate::bytes::Take;
use std::ops::Range;

pub(crate) const MAGIC: [u8; 8] = *b"mytsblk\0";
pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const SECTION_BYTES: usize = 24;
pub(crate) const CRC_BYTES: usize = 4;
const _: () = assert!(HEADER_BYTES == MAGIC.len() + 4 + 4 + 8 + 4 + CRC_BYTES);

/// Why header or footer cannot be trusted, and where in the file.
pub(crate) type Damage = (usize, &'static str);

/// Where a section lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) crc32c: u32,
}

impl Section {
    /// Its bytes' indices in the file; reading the footer has checked that they lie inside.
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset as usize..(self.offset + self.len) as usize
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset + self.len
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.crc32c.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Option<Self> {
        let section = Self { offset: take.u64()?, len: take.u64()?, crc32c: take.u32()? };
        (take.u32()? == 0).then_some(section)
    }
}

pub(crate) fn write_header(version: u32, id: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&version.to_le_bytes());
    out[16..24].copy_from_slice(&id.to_le_bytes());
    let crc = crc32c::crc32c(&out[..HEADER_BYTES - CRC_BYTES]);
    out[HEADER_BYTES - CRC_BYTES..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The version that a header claims; nothing of it has been checked.
pub(crate) fn claimed_version(file: &[u8]) -> Option<u32> {
    file.get(8..12).and_then(|version| version.try_into().ok()).map(u32::from_le_bytes)
}

/// The version of a file whose header holds, whether that version is known or not.
pub(crate) fn checked_version(file: &[u8]) -> Option<u32> {
    let (fields, crc) = file.get(..HEADER_BYTES)?.split_last_chunk::<CRC_BYTES>()?;
    let holds = fields.starts_with(&MAGIC) && crc32c::crc32c(fields).to_le_bytes() == *crc;
    claimed_version(file).filter(|_| holds)
}

/// Splits a file into the fields of a footer of `footer_bytes`, without checksum and magic, after checking all but the
/// fields themselves; also where the footer starts.
pub(crate) fn checked_footer(file: &[u8], footer_bytes: usize) -> Result<(usize, &[u8]), Damage> {
    let Some(footer_at) = file.len().checked_sub(footer_bytes).filter(|&at| at >= HEADER_BYTES) else {
        return Err((file.len(), "file too short"));
    };
    if file[..8] != MAGIC {
        return Err((0, "not a block: magic of the header"));
    }
    let magic_at = file.len() - MAGIC.len();
    if file[magic_at..] != MAGIC {
        return Err((magic_at, "magic of the footer"));
    }
    let (fields, crc) = file[footer_at..magic_at].split_at(footer_bytes - MAGIC.len() - CRC_BYTES);
    if crc32c::crc32c(fields).to_le_bytes() != crc {
        return Err((footer_at, "checksum of the footer"));
    }
    Ok((footer_at, fields))
}

/// Checks the header and that the sections fill the file between header and footer without a gap.
pub(crate) fn check_frame(
    file: &[u8],
    footer_at: usize,
    version: u32,
    id: u64,
    sections: &[Section],
) -> Result<(), Damage> {
    if file[..HEADER_BYTES] != write_header(version, id) {
        let known = claimed_version(file) == Some(version);
        return Err((0, if known { "header" } else { "version not supported" }));
    }
    let mut end = HEADER_BYTES as u64;
    for section in sections {
        if section.offset != end {
            return Err((footer_at, "sections do not follow each other"));
        }
        end = end.checked_add(section.len).ok_or((footer_at, "section too long"))?;
    }
    if end == footer_at as u64 { Ok(()) } else { Err((footer_at, "sections do not fill the file")) }
}
