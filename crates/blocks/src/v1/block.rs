//! Reads a block from its mapped bytes.

use crate::BlockError;
use crate::bytes::Take;
use crate::chunk::ChunkMeta;
use crate::layout::{Footer, Section};
use crate::series_entry::{take_chunks, take_labels};
use mytsdb_index::{IndexError, IndexReader};
use mytsdb_io::{Disk, Mapped};
use mytsdb_model::{Labels, Matcher, StopSign, TimeRange};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// What a block says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMeta {
    /// The id, as in the file's name.
    pub id: u64,
    /// From the first to the last sample; empty without samples.
    pub range: TimeRange,
    /// Series, each with at least one chunk.
    pub series_count: u32,
    /// Chunks of all series.
    pub chunk_count: u64,
    /// Samples of all chunks.
    pub sample_count: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// A published block. Everything is read from the mapped file; on the heap there is only its path.
///
/// Series are known by their ordinals, which ascend with their labels.
#[derive(Debug)]
pub struct Block {
    path: PathBuf,
    file: Mapped,
    footer: Footer,
}

impl Block {
    /// Maps a block and checks everything but the chunks: about 1 ms per 2 MB of index.
    ///
    /// # Errors
    /// [`BlockError::Io`]; [`BlockError::Corrupt`] also for a version that is not supported.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, BlockError> {
        let file = disk.map(path).map_err(|source| BlockError::Io { path: path.to_owned(), op: "map", source })?;
        let footer = Footer::read(&file).map_err(|(offset, reason)| BlockError::Corrupt {
            path: path.to_owned(),
            offset: offset as u64,
            reason,
        })?;
        let block = Self { path: path.to_owned(), file, footer };
        block.verify_index()?;
        Ok(block)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Id, time range and counts.
    pub fn meta(&self) -> BlockMeta {
        let Footer { id, range, series_count, chunk_count, sample_count, .. } = self.footer;
        BlockMeta { id, range, series_count, chunk_count, sample_count, bytes: self.file.len() as u64 }
    }

    /// The ordinals of the series that satisfy every matcher, ascending; no matchers: all series.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`]; [`BlockError::Canceled`], as all that take a stop sign.
    pub fn select(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<u32>, BlockError> {
        self.index()?.select(matchers, stop).map_err(|error| self.index_error(&error))
    }

    /// The labels of a series. Cost: one allocation, some 50 ns per label.
    ///
    /// # Errors
    /// [`BlockError::UnknownSeries`], [`BlockError::Corrupt`].
    pub fn labels(&self, ordinal: u32) -> Result<Labels, BlockError> {
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

    /// The ordinal of the series with exactly these labels. Cost: a binary search that builds a label set a step.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`].
    pub fn find(&self, labels: &Labels) -> Result<Option<u32>, BlockError> {
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

    /// The chunks of a series that overlap `range`, in the writer's order.
    ///
    /// # Errors
    /// [`BlockError::UnknownSeries`], [`BlockError::Corrupt`].
    pub fn chunks(&self, ordinal: u32, range: TimeRange) -> Result<Vec<ChunkMeta>, BlockError> {
        let mut out = Vec::new();
        self.chunks_into(ordinal, range, &mut out)?;
        Ok(out)
    }

    /// The same, behind what `out` holds: for a reader that visits many series.
    ///
    /// # Errors
    /// As [`chunks`](Self::chunks); then `out` may hold chunks that are not to be used.
    pub fn chunks_into(&self, ordinal: u32, range: TimeRange, out: &mut Vec<ChunkMeta>) -> Result<(), BlockError> {
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

    /// The bytes of a chunk of this block, their checksum verified.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`].
    pub fn read_chunk(&self, chunk: &ChunkMeta) -> Result<&[u8], BlockError> {
        let area = self.footer.chunks;
        let end = chunk.offset.checked_add(chunk.bytes.into());
        if chunk.offset < area.offset || end.is_none_or(|end| end > area.offset + area.len) {
            return Err(self.corrupt(chunk.offset, "chunk outside the chunk area"));
        }
        let start = chunk.offset as usize;
        let bytes = &self.file[start..start + chunk.bytes as usize];
        if crc32c::crc32c(bytes) != chunk.crc32c {
            return Err(self.corrupt(chunk.offset, "checksum of a chunk"));
        }
        Ok(bytes)
    }

    /// Whether any series has a label of this name. Cost: a binary search among the names.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`].
    pub fn has_label_name(&self, name: &str) -> Result<bool, BlockError> {
        self.index()?.has_label_name(name).map_err(|error| self.index_error(&error))
    }

    /// Every label name, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names(&self, stop: StopSign<'_>) -> Result<Vec<&str>, BlockError> {
        self.index()?.label_names(stop).map_err(|error| self.index_error(&error))
    }

    /// The label names of the series in `among`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names_of(&self, among: &[u32], stop: StopSign<'_>) -> Result<Vec<&str>, BlockError> {
        self.index()?.label_names_of(among, stop).map_err(|error| self.index_error(&error))
    }

    /// Every value of `name`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values(&self, name: &str, stop: StopSign<'_>) -> Result<Vec<&str>, BlockError> {
        self.index()?.label_values(name, stop).map_err(|error| self.index_error(&error))
    }

    /// The values of `name` among the series in `among`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values_of(&self, name: &str, among: &[u32], stop: StopSign<'_>) -> Result<Vec<&str>, BlockError> {
        self.index()?.label_values_of(name, among, stop).map_err(|error| self.index_error(&error))
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
        BlockError::Corrupt { path: self.path.clone(), offset, reason }
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
