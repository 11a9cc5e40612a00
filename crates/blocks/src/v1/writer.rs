//! Writes a block of version 1, as servers did before version 2.

use super::footer::{Footer, VERSION};
use super::series_entry::{ChunkList, put_labels};
use crate::block::Block;
use crate::chunk::{ChunkRef, refusal};
use crate::error::{BlockError, too_large};
use crate::layout::{HEADER_BYTES, Section, write_header};
use crate::output::Output;
use mytsdb_index::{IndexSections, IndexWriter};
use mytsdb_io::Disk;
use mytsdb_model::{Labels, TimeRange};
use std::path::Path;
use std::sync::Arc;

/// Writes a block file of version 1: to show that what older servers left stays readable, and to compare with.
///
/// The server writes [`BlockWriter`](crate::BlockWriter)'s version.
pub struct BlockWriterV1 {
    out: Output,
    index: IndexWriter,
    last_labels: Option<Labels>,
    /// The chunk part of every series' entry, end to end, and where each ends.
    chunk_lists: Vec<u8>,
    chunk_list_ends: Vec<usize>,
    footer: Footer,
    is_abandoned: bool,
}

impl BlockWriterV1 {
    /// As [`BlockWriter::new`](crate::BlockWriter::new).
    ///
    /// # Errors
    /// As [`BlockWriter::new`](crate::BlockWriter::new).
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, id: u64) -> Result<Self, BlockError> {
        let mut out = Output::create(disk, dir, id)?;
        out.write(&write_header(VERSION, id))?;
        let footer = Footer {
            chunks: Section { offset: HEADER_BYTES as u64, ..Section::default() },
            series: Section::default(),
            symbols: Section::default(),
            postings: Section::default(),
            range: TimeRange::EMPTY,
            sample_count: 0,
            chunk_count: 0,
            series_count: 0,
            id,
        };
        Ok(Self {
            out,
            index: IndexWriter::new(),
            last_labels: None,
            chunk_lists: Vec::new(),
            chunk_list_ends: Vec::new(),
            footer,
            is_abandoned: false,
        })
    }

    /// As [`BlockWriter::add_series`](crate::BlockWriter::add_series), but no chunk is looked into.
    ///
    /// # Errors
    /// As [`BlockWriter::add_series`](crate::BlockWriter::add_series).
    pub fn add_series<'a>(
        &mut self,
        labels: &Labels,
        chunks: impl IntoIterator<Item = ChunkRef<'a>>,
    ) -> Result<(), BlockError> {
        self.check_open()?;
        if let Some(previous) = self.last_labels.as_ref().filter(|previous| *previous >= labels) {
            return Err(BlockError::OutOfOrder { labels: labels.to_string(), previous: previous.to_string() });
        }
        self.is_abandoned = true;
        let offset = self.out.position - self.footer.chunks.offset;
        let mut list = ChunkList::default();
        for chunk in chunks {
            if let Some(reason) = refusal(&chunk) {
                return Err(BlockError::InvalidChunk { labels: labels.to_string(), reason });
            }
            self.out.write(chunk.bytes)?;
            list.push(&chunk);
            self.footer.range = self.footer.range.cover(chunk.range);
            self.footer.sample_count += u64::from(chunk.sample_count);
        }
        if list.count() > 0 {
            self.index.add(labels).map_err(too_large)?;
            list.put(offset, &mut self.chunk_lists);
            self.chunk_list_ends.push(self.chunk_lists.len());
            self.footer.chunk_count += list.count();
            self.last_labels = Some(labels.clone());
        }
        self.is_abandoned = false;
        Ok(())
    }

    /// As [`BlockWriter::finish`](crate::BlockWriter::finish).
    ///
    /// # Errors
    /// As [`BlockWriter::finish`](crate::BlockWriter::finish).
    pub fn finish(mut self) -> Result<Arc<Block>, BlockError> {
        self.check_open()?;
        self.write_index()?;
        let block = self.out.publish(|disk, path| {
            let block = Block::open(disk, path)?;
            block.verify()?;
            Ok(block)
        })?;
        Ok(Arc::new(block))
    }

    fn write_index(&mut self) -> Result<(), BlockError> {
        let index = std::mem::take(&mut self.index);
        self.footer.series_count = index.series_count();
        let sections = index.finish().map_err(too_large)?;
        self.footer.chunks.len = self.out.position - self.footer.chunks.offset;

        self.out.begin_section();
        let starts = self.write_series_entries(&sections)?;
        self.out.write(&starts)?;
        self.footer.series = self.out.section_since(self.footer.chunks);
        self.out.write(&sections.symbols)?;
        self.footer.symbols = self.out.section_since(self.footer.series);
        self.out.write(&sections.postings)?;
        self.footer.postings = self.out.section_since(self.footer.symbols);
        self.out.write(&self.footer.write())
    }

    /// Returns the array of starts that goes behind the entries.
    fn write_series_entries(&mut self, sections: &IndexSections) -> Result<Vec<u8>, BlockError> {
        let section_start = self.out.position;
        let mut starts = Vec::with_capacity(4 * (self.chunk_list_ends.len() + 1));
        let mut entry = Vec::new();
        let mut list_start = 0;
        let start_of = |position: u64| {
            u32::try_from(position - section_start).map_err(|_| BlockError::TooLarge { what: "series entries" })
        };
        for ordinal in 0..self.chunk_list_ends.len() {
            starts.extend_from_slice(&start_of(self.out.position)?.to_le_bytes());
            let list_end = self.chunk_list_ends[ordinal];
            entry.clear();
            put_labels(&mut entry, sections.series_symbols(ordinal as u32));
            entry.extend_from_slice(&self.chunk_lists[list_start..list_end]);
            self.out.write(&entry)?;
            list_start = list_end;
        }
        starts.extend_from_slice(&start_of(self.out.position)?.to_le_bytes());
        Ok(starts)
    }

    fn check_open(&self) -> Result<(), BlockError> {
        if self.is_abandoned { Err(BlockError::Abandoned { path: self.out.path.clone() }) } else { Ok(()) }
    }
}

impl std::fmt::Debug for BlockWriterV1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockWriterV1").field("path", &self.out.path).finish_non_exhaustive()
    }
}
