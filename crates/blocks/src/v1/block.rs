//! Reads a block of version 1 from its mapped bytes. What the calls mean is said at [`Block`](crate::Block).

use super::footer::Footer;
use super::series_entry::{take_chunks, take_labels};
use crate::bytes::Take;
use crate::chunk::{ChunkData, ChunkMeta};
use crate::layout::Section;
use crate::{BlockError, BlockMeta};
use mytsdb_index::{IndexError, IndexReader};
use mytsdb_io::Mapped;
use mytsdb_model::{Labels, TimeRange};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct BlockV1 {
    path: PathBuf,
    file: Mapped,
    footer: Footer,
}

impl BlockV1 {
    pub(crate) fn open(path: &Path, file: Mapped) -> Result<Self, BlockError> {
        let footer = Footer::read(&file).map_err(|(offset, reason)| BlockError::Corrupt {
            path: path.to_owned(),
            section: if offset == 0 { "header" } else { "footer" },
            offset: offset as u64,
            reason,
        })?;
        let block = Self { path: path.to_owned(), file, footer };
        block.verify_index()?;
        Ok(block)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn meta(&self) -> BlockMeta {
        let Footer { id, range, series_count, chunk_count, sample_count, .. } = self.footer;
        BlockMeta { id, range, series_count, chunk_count, sample_count, bytes: self.file.len() as u64 }
    }

    pub(crate) fn sections(&self) -> Vec<(&'static str, u64)> {
        let Footer { chunks, series, symbols, postings, .. } = self.footer;
        vec![("chunk area", chunks.len), ("series", series.len), ("symbols", symbols.len), ("postings", postings.len)]
    }

    pub(crate) fn labels(&self, ordinal: u32) -> Result<Labels, BlockError> {
        let (offset, entry) = self.entry(ordinal)?;
        let index = self.index()?;
        let mut symbols = Vec::with_capacity(16);
        take_labels(&mut Take::new(entry), |name, value| symbols.push((name, value)))
            .ok_or_else(|| self.corrupt(offset, "series entry"))?;
        let pairs: Result<Vec<(&str, &str)>, IndexError> =
            symbols.into_iter().map(|(name, value)| Ok((index.symbol(name)?, index.symbol(value)?))).collect();
        let pairs = pairs.map_err(|error| self.index_error(&error))?;
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) || pairs.iter().any(|(_, value)| value.is_empty()) {
            return Err(self.corrupt(offset, "labels of a series"));
        }
        Ok(Labels::from_sorted(pairs))
    }

    pub(crate) fn find(&self, labels: &Labels) -> Result<Option<u32>, BlockError> {
        let (mut low, mut high) = (0, self.meta().series_count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.labels(middle)?.cmp(labels) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    pub(crate) fn chunks_into(
        &self,
        ordinal: u32,
        range: TimeRange,
        out: &mut Vec<ChunkMeta>,
    ) -> Result<(), BlockError> {
        let (offset, entry) = self.entry(ordinal)?;
        let mut take = Take::new(entry);
        take_labels(&mut take, |_, _| ())
            .and_then(|()| {
                take_chunks(&mut take, entry.len(), |chunk| {
                    if chunk.range.overlaps(range) {
                        out.push(chunk);
                    }
                })
            })
            .ok_or_else(|| self.corrupt(offset, "series entry"))
    }

    pub(crate) fn read_chunk(&self, chunk: &ChunkMeta) -> Result<ChunkData<'_>, BlockError> {
        let area = self.footer.chunks;
        let end = chunk.offset.checked_add(chunk.bytes.into());
        if chunk.offset < area.offset || end.is_none_or(|end| end > area.offset + area.len) {
            return Err(self.corrupt(chunk.offset, "chunk outside the chunk area"));
        }
        let start = chunk.offset as usize;
        let bytes = &self.file[start..start + chunk.bytes as usize];
        if crc32c::crc32c(bytes) != chunk.crc32c {
            let (path, reason) = (self.path.clone(), "checksum".to_owned());
            return Err(BlockError::DamagedChunk { path, offset: chunk.offset, reason });
        }
        Ok(ChunkData { encoding: chunk.encoding, times: None, bytes })
    }

    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(crate) fn file(&self) -> &[u8] {
        &self.file
    }

    pub(crate) fn section(&self, section: Section) -> &[u8] {
        &self.file[section.range()]
    }

    pub(crate) fn index(&self) -> Result<IndexReader<'_>, BlockError> {
        let Footer { symbols, postings, .. } = self.footer;
        IndexReader::new(self.section(symbols), self.section(postings)).map_err(|error| self.index_error(&error))
    }

    /// Offset in the file and bytes of a series' entry.
    pub(crate) fn entry(&self, ordinal: u32) -> Result<(u64, &[u8]), BlockError> {
        let series_count = self.footer.series_count;
        if ordinal >= series_count {
            return Err(BlockError::UnknownSeries { ordinal, series_count });
        }
        let section = self.section(self.footer.series);
        let starts_bytes = 4 * (series_count as usize + 1);
        let split = section.len().checked_sub(starts_bytes).map(|at| section.split_at(at));
        let damage = || self.corrupt(self.footer.series.offset, "series table");
        let (entries, starts) = split.ok_or_else(damage)?;
        let (starts, _) = starts.as_chunks::<4>();
        let start = |index: usize| starts.get(index).map(|start| u32::from_le_bytes(*start) as usize);
        let bounds = start(ordinal as usize).zip(start(ordinal as usize + 1));
        let (from, to) = bounds.ok_or_else(damage)?;
        let entry = entries.get(from..to).ok_or_else(damage)?;
        Ok((self.footer.series.offset + from as u64, entry))
    }

    pub(crate) fn corrupt(&self, offset: u64, reason: &'static str) -> BlockError {
        let Footer { chunks, series, symbols, postings, .. } = self.footer;
        let sections = [("chunk area", chunks), ("series", series), ("symbols", symbols), ("postings", postings)];
        let section = sections.iter().find(|(_, section)| (section.offset..section.end()).contains(&offset));
        let outside = if offset < chunks.offset { "header" } else { "footer" };
        let section = section.map_or(outside, |(name, _)| name);
        BlockError::Corrupt { path: self.path.clone(), section, offset, reason }
    }

    pub(crate) fn index_error(&self, error: &IndexError) -> BlockError {
        match *error {
            IndexError::Corrupt { section, offset, reason } => {
                let start = if section == "symbols" { self.footer.symbols } else { self.footer.postings };
                self.corrupt(start.offset + offset, reason)
            }
            IndexError::Canceled(canceled) => canceled.into(),
            _ => self.corrupt(self.footer.symbols.offset, "index sections"),
        }
    }
}
