//! One entry of the series table: the labels' symbols and the chunks.
//!
//! `label count, (name, value)*, chunk count, first offset, (time delta, span, samples, encoding, size, CRC)*`; the field
//! table is in `docs/format/block.md`.

use crate::bytes::Take;
use crate::chunk::{ChunkMeta, ChunkRef, StatsPlace};
use crate::layout::HEADER_BYTES;
use mytsdb_model::TimeRange;
use mytsdb_varint::{put_uvarint, put_varint};

/// Least size of a chunk's part of an entry: five one-byte fields and the CRC.
const CHUNK_BYTES_MIN: usize = 9;

/// Appends the symbols of a series' labels.
pub(crate) fn put_labels(out: &mut Vec<u8>, symbols: &[(u32, u32)]) {
    put_uvarint(out, symbols.len() as u64);
    for &(name, value) in symbols {
        put_uvarint(out, name.into());
        put_uvarint(out, value.into());
    }
}

/// Builds the part of an entry that describes chunks, while their bytes go to the file.
#[derive(Debug, Default)]
pub(crate) struct ChunkList {
    bytes: Vec<u8>,
    count: u64,
    last_mint: i64,
}

impl ChunkList {
    pub(crate) fn push(&mut self, chunk: &ChunkRef<'_>) {
        put_varint(&mut self.bytes, chunk.range.mint.wrapping_sub(self.last_mint));
        put_uvarint(&mut self.bytes, chunk.range.maxt.wrapping_sub(chunk.range.mint) as u64);
        put_uvarint(&mut self.bytes, chunk.sample_count.into());
        self.bytes.push(chunk.encoding);
        put_uvarint(&mut self.bytes, chunk.bytes.len() as u64);
        self.bytes.extend_from_slice(&crc32c::crc32c(chunk.bytes).to_le_bytes());
        self.last_mint = chunk.range.mint;
        self.count += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Appends the list to `out`; the first chunk starts at `offset` of the chunk area.
    pub(crate) fn put(&self, offset: u64, out: &mut Vec<u8>) {
        put_uvarint(out, self.count);
        put_uvarint(out, offset);
        out.extend_from_slice(&self.bytes);
    }
}

/// The symbols of an entry's labels; `chunks` continues behind them. `None` if the bytes cannot be right.
pub(crate) fn take_labels(take: &mut Take<'_>, mut each: impl FnMut(u32, u32)) -> Option<()> {
    for _ in 0..take.uvarint()? {
        each(take.uvarint32()?, take.uvarint32()?);
    }
    Some(())
}

/// Visits the chunks of an entry whose labels have been taken. `None` if the bytes cannot be right; chunks visited by
/// then are not to be used.
pub(crate) fn take_chunks(take: &mut Take<'_>, entry_bytes: usize, mut each: impl FnMut(ChunkMeta)) -> Option<()> {
    let count = take.uvarint()?;
    if count == 0 || count > (entry_bytes / CHUNK_BYTES_MIN) as u64 {
        return None;
    }
    let mut offset = take.uvarint()?.checked_add(HEADER_BYTES as u64)?;
    let mut mint = 0i64;
    for _ in 0..count {
        mint = mint.wrapping_add(take.varint()?);
        let maxt = mint.checked_add_unsigned(take.uvarint()?)?;
        let sample_count = take.uvarint32().filter(|&n| n > 0)?;
        let encoding = take.u8().filter(|&e| e != 0)?;
        let bytes = take.uvarint32().filter(|&n| n > 0 && n as usize <= ChunkMeta::BYTES_MAX)?;
        let range = TimeRange::new(mint, maxt);
        let crc32c = take.u32()?;
        let (shared_times, stats) = (None, StatsPlace::Nowhere);
        each(ChunkMeta { range, sample_count, encoding, offset, bytes, crc32c, shared_times, stats });
        offset = offset.checked_add(bytes.into())?;
    }
    take.is_empty().then_some(())
}
