//! Reads a block of version 1 through and checks everything that can be checked.

use super::block::BlockV1;
use super::footer::Footer;
use super::series_entry::{take_chunks, take_labels};
use crate::BlockError;
use crate::bytes::Take;
use crate::chunk::ChunkMeta;
use crate::layout::HEADER_BYTES;
use mytsdb_model::{Labels, TimeRange};

impl BlockV1 {
    /// As [`Block::verify`](crate::Block::verify).
    pub(crate) fn verify(&self) -> Result<(), BlockError> {
        let read = Footer::read(self.file()).map_err(|(offset, reason)| self.corrupt(offset as u64, reason))?;
        if read != *self.footer() {
            return Err(self.corrupt(0, "footer changed since opening"));
        }
        self.verify_index()?;
        self.verify_series()
    }

    /// The checks of opening: checksums of the index sections, and the order that lookups rely on.
    pub(crate) fn verify_index(&self) -> Result<(), BlockError> {
        let footer = self.footer();
        for (section, reason) in [
            (footer.series, "checksum of the series table"),
            (footer.symbols, "checksum of the symbols"),
            (footer.postings, "checksum of the postings"),
        ] {
            if crc32c::crc32c(self.section(section)) != section.crc32c {
                return Err(self.corrupt(section.offset, reason));
            }
        }
        let index = self.index()?;
        if index.series_count() != footer.series_count {
            return Err(self.corrupt(footer.postings.offset, "series count"));
        }
        index.verify().map_err(|error| self.index_error(&error))
    }

    fn verify_series(&self) -> Result<(), BlockError> {
        let footer = self.footer();
        let mut previous: Option<Labels> = None;
        let mut sums = Sums { end: HEADER_BYTES as u64, range: TimeRange::EMPTY, samples: 0, chunks: 0 };
        let (mut label_count, mut entry_end) = (0, footer.series.offset);
        for ordinal in 0..footer.series_count {
            let (offset, entry) = self.entry(ordinal)?;
            let labels = self.labels(ordinal)?;
            if offset != entry_end {
                return Err(self.corrupt(offset, "series entries do not follow each other"));
            }
            if previous.is_some_and(|previous| previous >= labels) {
                return Err(self.corrupt(offset, "series out of order"));
            }
            label_count += labels.len();
            previous = Some(labels);
            entry_end += entry.len() as u64;
            self.verify_chunks(offset, entry, &mut sums)?;
        }
        let starts_bytes = 4 * (u64::from(footer.series_count) + 1);
        if entry_end + starts_bytes != footer.series.offset + footer.series.len {
            return Err(self.corrupt(entry_end, "bytes between the series entries and their starts"));
        }
        if label_count != self.index()?.posting_count() {
            return Err(self.corrupt(footer.postings.offset, "postings differ from the series' labels"));
        }
        if sums.end != footer.chunks.offset + footer.chunks.len {
            return Err(self.corrupt(sums.end, "bytes that belong to no chunk"));
        }
        if (sums.samples, sums.chunks, sums.range) != (footer.sample_count, footer.chunk_count, footer.range) {
            return Err(self.corrupt(footer.postings.offset + footer.postings.len, "sums in the footer"));
        }
        Ok(())
    }

    fn verify_chunks(&self, offset: u64, entry: &[u8], sums: &mut Sums) -> Result<(), BlockError> {
        let mut take = Take::new(entry);
        let mut result = Ok(());
        take_labels(&mut take, |_, _| ())
            .and_then(|()| {
                take_chunks(&mut take, entry.len(), |chunk| {
                    if result.is_ok() {
                        result = self.verify_chunk(&chunk, sums);
                    }
                })
            })
            .ok_or_else(|| self.corrupt(offset, "series entry"))?;
        result
    }

    fn verify_chunk(&self, chunk: &ChunkMeta, sums: &mut Sums) -> Result<(), BlockError> {
        if chunk.offset != sums.end {
            return Err(self.corrupt(chunk.offset, "chunks do not follow each other"));
        }
        self.read_chunk(chunk)?;
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
