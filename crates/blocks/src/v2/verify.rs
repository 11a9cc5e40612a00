//! Reads a block of version 2 through and checks everything that can be checked.

use super::block::{BlockV2, hash_part};
use super::footer::Footer;
use super::series_entry::take_labels;
use crate::BlockError;
use crate::bytes::Take;
use crate::chunk::ChunkMeta;
use crate::layout::HEADER_BYTES;
use mytsdb_model::{Labels, TimeRange};

impl BlockV2 {
    /// As [`Block::verify`](crate::Block::verify).
    pub(crate) fn verify(&self) -> Result<(), BlockError> {
        let read = Footer::read(self.file()).map_err(|(offset, reason)| self.corrupt(offset as u64, reason))?;
        if read != *self.footer() {
            return Err(self.corrupt(0, "footer changed since opening"));
        }
        self.check_sections()?;
        self.index()?.verify().map_err(|error| self.index_error(&error))?;
        for number in 0..self.times()?.len() {
            let column = self.column(number)?;
            let bytes = self.in_chunk_area(column.offset, column.bytes);
            if bytes.is_none_or(|bytes| crc32c::crc32c(bytes) != column.crc32c) {
                return Err(self.corrupt(column.offset, "bytes of a shared time column"));
            }
        }
        self.verify_series()
    }

    /// The checks of opening: checksums of all sections but the chunk area, and that counts agree with lengths.
    pub(super) fn check_sections(&self) -> Result<(), BlockError> {
        let footer = self.footer();
        for (_, section) in &footer.sections()[1..] {
            if crc32c::crc32c(self.section(*section)) != section.crc32c {
                return Err(self.corrupt(section.offset, "checksum of the section"));
            }
        }
        self.times()?;
        self.hashes()?;
        if footer.series.len < 4 * (u64::from(footer.series_count) + 1) {
            return Err(self.corrupt(footer.series.offset, "size of the section"));
        }
        if self.index()?.series_count() != footer.series_count {
            return Err(self.corrupt(footer.index.offset, "series count"));
        }
        Ok(())
    }

    fn verify_series(&self) -> Result<(), BlockError> {
        let (footer, index) = (self.footer(), self.index()?);
        let mut previous: Option<Labels> = None;
        let mut sums = Sums { end: HEADER_BYTES as u64, range: TimeRange::EMPTY, samples: 0, chunks: 0 };
        let (mut label_count, mut entry_end) = (0u64, footer.series.offset);
        let mut hashes = Vec::with_capacity(footer.series_count as usize);
        for ordinal in 0..footer.series_count {
            let (offset, entry) = self.entry(ordinal)?;
            let labels = self.labels(ordinal)?;
            if offset != entry_end {
                return Err(self.corrupt(offset, "series entries do not follow each other"));
            }
            if previous.is_some_and(|previous| previous >= labels) {
                return Err(self.corrupt(offset, "series out of order"));
            }
            let mut posted = Ok(true);
            let read = take_labels(&mut Take::new(entry), |name, value| {
                if posted == Ok(true) {
                    posted = index.has_posting(name, value, ordinal);
                }
            });
            if read.is_none() || !posted.map_err(|error| self.index_error(&error))? {
                return Err(self.corrupt(offset, "labels without postings"));
            }
            label_count += labels.len() as u64;
            hashes.push((hash_part(&labels), ordinal));
            previous = Some(labels);
            entry_end += entry.len() as u64;
            self.verify_chunks((offset, entry), &mut sums)?;
        }
        let starts_bytes = 4 * (u64::from(footer.series_count) + 1);
        if entry_end + starts_bytes != footer.series.end() {
            return Err(self.corrupt(entry_end, "bytes between the series entries and their starts"));
        }
        if label_count != index.posting_count().map_err(|error| self.index_error(&error))? {
            return Err(self.corrupt(footer.index.offset, "postings differ from the series' labels"));
        }
        hashes.sort_unstable();
        let (parts, ordinals) = self.hashes()?;
        let stored = parts.iter().zip(ordinals).map(|(a, b)| (u32::from_le_bytes(*a), u32::from_le_bytes(*b)));
        if !stored.eq(hashes) {
            return Err(self.corrupt(footer.hashes.offset, "hashes differ from the series"));
        }
        if sums.end != footer.chunks.end() {
            return Err(self.corrupt(sums.end, "bytes that belong to no chunk"));
        }
        if (sums.samples, sums.chunks, sums.range) != (footer.sample_count, footer.chunk_count, footer.range) {
            return Err(self.corrupt(footer.index.end(), "sums in the footer"));
        }
        Ok(())
    }

    fn verify_chunks(&self, entry: (u64, &[u8]), sums: &mut Sums) -> Result<(), BlockError> {
        let mut result = Ok(());
        self.visit_chunks(entry, |chunk| {
            if result.is_ok() {
                result = self.verify_chunk(&chunk, sums);
            }
        })?;
        result
    }

    fn verify_chunk(&self, chunk: &ChunkMeta, sums: &mut Sums) -> Result<(), BlockError> {
        if chunk.offset != sums.end {
            return Err(self.corrupt(chunk.offset, "chunks do not follow each other"));
        }
        let bytes = self.in_chunk_area(chunk.offset, chunk.bytes);
        // The time column was checked once for all that share it.
        if bytes.is_none_or(|bytes| crc32c::crc32c(bytes) != chunk.crc32c) {
            return Err(self.damaged_chunk(chunk, "checksum".to_owned()));
        }
        self.chunk_stats(chunk)?;
        sums.end += u64::from(chunk.bytes);
        sums.range = sums.range.cover(chunk.range);
        sums.samples = sums.samples.saturating_add(chunk.sample_count.into());
        sums.chunks += 1;
        Ok(())
    }
}

/// What the chunks seen so far add up to.
struct Sums {
    /// Where the next chunk must start.
    end: u64,
    range: TimeRange,
    samples: u64,
    chunks: u64,
}
