//! One entry of the series section: numbers of labels, and the chunks with what is known of them.
//!
//! The field table is in `docs/format/block-v2.md`.

use super::stats;
use super::times::TimeColumns;
use crate::bytes::Take;
use crate::chunk::{ChunkMeta, ChunkRef, StatsPlace};
use crate::layout::HEADER_BYTES;
use mytsdb_model::TimeRange;
use mytsdb_varint::{put_uvarint, put_varint};

/// Least size of a chunk's part of an entry: encoding, flags, column, size and the CRC.
const CHUNK_BYTES_MIN: usize = 8;

const SHARED_TIMES: u8 = 1;
const STATS: u8 = 2;
const ONE_VALUE: u8 = 4;
const NOT_PLAIN: u8 = 8;

/// Appends the numbers of a series' labels.
pub(super) fn put_labels(out: &mut Vec<u8>, numbers: &[(u32, u32)]) {
    put_uvarint(out, numbers.len() as u64);
    for &(name, value) in numbers {
        put_uvarint(out, name.into());
        put_uvarint(out, value.into());
    }
}

/// What the writer knows of a chunk beside what it was handed.
pub(super) struct Written<'a> {
    /// Number of the shared time column.
    pub(super) times: Option<u32>,
    /// The bytes that went to the chunk area.
    pub(super) bytes: &'a [u8],
    /// `None`: not looked into.
    pub(super) values: Option<stats::Found>,
}

/// Builds the part of an entry that describes chunks, while their bytes go to the file.
#[derive(Debug, Default)]
pub(super) struct ChunkList {
    bytes: Vec<u8>,
    stats: Vec<u8>,
    count: u64,
    last_maxt: i64,
    last_times: Option<u32>,
}

impl ChunkList {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        (self.count, self.last_maxt, self.last_times) = (0, 0, None);
    }

    pub(super) fn push(&mut self, chunk: &ChunkRef<'_>, written: &Written<'_>) {
        let out = &mut self.bytes;
        self.stats.clear();
        let mut flags = if written.times.is_some() { SHARED_TIMES } else { 0 };
        flags |= match &written.values {
            Some(stats::Found::OneValue { is_nan: false }) => ONE_VALUE,
            Some(stats::Found::OneValue { is_nan: true }) => ONE_VALUE | NOT_PLAIN,
            Some(stats::Found::HasNan) | None => NOT_PLAIN,
            Some(stats::Found::Stats(found)) if chunk.sample_count as usize >= stats::SAMPLES_MIN => {
                stats::put(found, &mut self.stats);
                STATS
            }
            Some(stats::Found::Stats(_)) => 0,
        };
        out.extend_from_slice(&[chunk.encoding, flags]);
        if let Some(number) = written.times {
            let before = self.last_times.map_or(-1, i64::from);
            put_varint(out, i64::from(number) - 1 - before);
            self.last_times = Some(number);
        } else {
            put_varint(out, chunk.range.mint.wrapping_sub(self.last_maxt));
            put_uvarint(out, chunk.range.maxt.wrapping_sub(chunk.range.mint) as u64);
            put_uvarint(out, chunk.sample_count.into());
        }
        put_uvarint(out, written.bytes.len() as u64);
        out.extend_from_slice(&crc32c::crc32c(written.bytes).to_le_bytes());
        if !self.stats.is_empty() {
            out.push(self.stats.len() as u8);
            out.extend_from_slice(&self.stats);
        }
        self.last_maxt = chunk.range.maxt;
        self.count += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Appends the list to `out`; the first chunk starts at `offset` of the chunk area.
    pub(super) fn put(&self, offset: u64, out: &mut Vec<u8>) {
        put_uvarint(out, self.count);
        put_uvarint(out, offset);
        out.extend_from_slice(&self.bytes);
    }
}

/// The numbers of an entry's labels; chunks follow. `None` if the bytes cannot be right.
pub(super) fn take_labels(take: &mut Take<'_>, mut each: impl FnMut(u32, u32)) -> Option<()> {
    for _ in 0..take.uvarint()? {
        each(take.uvarint32()?, take.uvarint32()?);
    }
    Some(())
}

/// Visits the chunks of an entry, which begins at `offset` of the file and whose labels have been taken. `None` if the
/// bytes cannot be right; chunks visited by then are not to be used.
pub(super) fn take_chunks(
    take: &mut Take<'_>,
    (offset, entry): (u64, &[u8]),
    times: TimeColumns<'_>,
    mut each: impl FnMut(ChunkMeta),
) -> Option<()> {
    let count = take.uvarint()?;
    if count == 0 || count > (entry.len() / CHUNK_BYTES_MIN) as u64 {
        return None;
    }
    let mut at = take.uvarint()?.checked_add(HEADER_BYTES as u64)?;
    let (mut last_maxt, mut last_times) = (0i64, -1i64);
    for _ in 0..count {
        let encoding = take.u8().filter(|&e| e != 0)?;
        let flags = take.u8()?;
        let known = SHARED_TIMES | STATS | ONE_VALUE | NOT_PLAIN;
        if flags & !known != 0 || flags & STATS != 0 && flags & (ONE_VALUE | NOT_PLAIN) != 0 {
            return None;
        }
        let (shared_times, range, sample_count) = if flags & SHARED_TIMES == 0 {
            let mint = last_maxt.wrapping_add(take.varint()?);
            let maxt = mint.checked_add_unsigned(take.uvarint()?)?;
            (None, TimeRange::new(mint, maxt), take.uvarint32().filter(|&n| n > 0)?)
        } else {
            last_times = last_times.checked_add(1)?.checked_add(take.varint()?)?;
            let number = u32::try_from(last_times).ok()?;
            let column = times.get(number)?;
            (Some(number), column.range, column.sample_count)
        };
        let bytes = take.uvarint32().filter(|&n| n > 0 && n as usize <= ChunkMeta::BYTES_MAX)?;
        let crc32c = take.u32()?;
        let stats = if flags & STATS != 0 {
            let len = take.u8().filter(|&len| (stats::BYTES_MIN..=stats::BYTES_MAX).contains(&len.into()))?;
            let place = offset + (entry.len() - take.rest().len()) as u64;
            take.skip(len.into())?;
            StatsPlace::Stored { offset: place, bytes: len }
        } else if flags & (ONE_VALUE | NOT_PLAIN) == ONE_VALUE {
            StatsPlace::OneValue
        } else {
            StatsPlace::Nowhere
        };
        each(ChunkMeta { range, sample_count, encoding, offset: at, bytes, crc32c, shared_times, stats });
        last_maxt = range.maxt;
        at = at.checked_add(bytes.into())?;
    }
    take.is_empty().then_some(())
}
