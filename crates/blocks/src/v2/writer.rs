//! Writes a block, series by series, and publishes it whole or not at all.

use super::block::hash_part;
use super::footer::{Footer, VERSION};
use super::series_entry::{ChunkList, Written, put_labels};
use super::stats;
use super::times::KnownTimes;
use crate::block::Block;
use crate::chunk::{ChunkRef, is_plain, refusal};
use crate::error::{BlockError, too_large};
use crate::layout::{HEADER_BYTES, Section, write_header};
use crate::output::Output;
use mytsdb_codec::{ChunkEncoding, DxChunk};
use mytsdb_columns::{Columns, Mark};
use mytsdb_index::{IndexWriter, PackedSection};
use mytsdb_io::Disk;
use mytsdb_model::Labels;
use std::path::Path;
use std::sync::Arc;

/// Writes one block file.
///
/// Chunk bytes pass through a buffer of 256 KiB. In memory stay the labels' texts (each once), some 20 bytes per label and
/// per series, some 15 bytes per chunk, and at most 16 MiB of time columns. Dropped without [`finish`](Self::finish), it
/// removes its unpublished file.
pub struct BlockWriter {
    out: Output,
    index: IndexWriter,
    last_labels: Option<Labels>,
    /// The chunk part of every series' entry, end to end, and where each ends.
    chunk_lists: Vec<u8>,
    chunk_list_ends: Vec<usize>,
    hashes: Vec<(u32, u32)>,
    times: KnownTimes,
    footer: Footer,
    is_abandoned: bool,
    scratch: Scratch,
}

/// Memory kept from one chunk to the next.
#[derive(Default)]
struct Scratch {
    columns: Columns,
    list: ChunkList,
}

impl BlockWriter {
    /// Starts the block `id` in the existing directory `dir`.
    ///
    /// # Errors
    /// [`BlockError::Exists`] if the block is published already; [`BlockError::Io`].
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, id: u64) -> Result<Self, BlockError> {
        let mut out = Output::create(disk, dir, id)?;
        out.write(&write_header(VERSION, id))?;
        Ok(Self {
            out,
            index: IndexWriter::new(),
            last_labels: None,
            chunk_lists: Vec::new(),
            chunk_list_ends: Vec::new(),
            hashes: Vec::new(),
            times: KnownTimes::default(),
            footer: Footer::empty(id, Section { offset: HEADER_BYTES as u64, ..Section::default() }),
            is_abandoned: false,
            scratch: Scratch::default(),
        })
    }

    /// Adds a series and its chunks; the labels are greater than those of the series before. Chunks may overlap. A series
    /// without chunks is left out.
    ///
    /// Chunks are decoded: what they hold must be what is said of them. Chunks of an encoding that is not known are kept as
    /// they are. Cost: some 2 ns a float, 1 us a histogram of 160 buckets.
    ///
    /// # Errors
    /// [`BlockError::OutOfOrder`] leaves the writer as it was. After [`BlockError::InvalidChunk`],
    /// [`BlockError::TooLarge`] or [`BlockError::Io`] it is abandoned.
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
        self.scratch.list.clear();
        for chunk in chunks {
            self.add_chunk(labels, &chunk)?;
        }
        let list = &self.scratch.list;
        if list.count() > 0 {
            let ordinal = self.index.add(labels).map_err(too_large)?;
            self.hashes.push((hash_part(labels), ordinal));
            list.put(offset, &mut self.chunk_lists);
            self.chunk_list_ends.push(self.chunk_lists.len());
            self.footer.chunk_count += list.count();
            self.last_labels = Some(labels.clone());
        }
        self.is_abandoned = false;
        Ok(())
    }

    fn add_chunk(&mut self, labels: &Labels, chunk: &ChunkRef<'_>) -> Result<(), BlockError> {
        let invalid = |reason| BlockError::InvalidChunk { labels: labels.to_string(), reason };
        if let Some(reason) = refusal(chunk) {
            return Err(invalid(reason));
        }
        let mut written = Written { times: None, bytes: chunk.bytes, values: None };
        let Scratch { columns, list } = &mut self.scratch;
        columns.clear();
        let known = ChunkEncoding::from_number(chunk.encoding).ok();
        if let Some(encoding) = known {
            encoding.decode(chunk.bytes, columns).map_err(|_| invalid("not a chunk of its encoding"))?;
            if columns.len() != chunk.sample_count as usize || columns.range(Mark::default()) != chunk.range {
                return Err(invalid("range or count differ from the samples"));
            }
        }
        // All encodings but XOR begin as a DX chunk does.
        if known.is_some_and(|encoding| encoding != ChunkEncoding::Xor) {
            let front = DxChunk::parse(chunk.bytes).map_err(|_| invalid("no time column in front"))?;
            if let Some(number) = self.times.share(front.time_column()) {
                (written.times, written.bytes) = (Some(number), front.value_column());
            } else {
                let behind = (front.time_column().len() + front.value_column().len()) as u64;
                let offset = self.out.position + chunk.bytes.len() as u64 - behind;
                self.times.remember(front.time_column(), offset, chunk.range, chunk.sample_count);
            }
        }
        if !columns.values.is_empty() {
            written.values = Some(stats::find(&columns.values));
        }
        self.footer.is_plain &= is_plain(chunk.encoding);
        self.out.write(written.bytes)?;
        list.push(chunk, &written);
        self.footer.range = self.footer.range.cover(chunk.range);
        self.footer.sample_count += u64::from(chunk.sample_count);
        Ok(())
    }

    /// Bytes of chunks and header so far.
    pub fn bytes(&self) -> u64 {
        self.out.position
    }

    /// The number of series so far.
    pub fn series_count(&self) -> u32 {
        self.index.series_count()
    }

    /// Writes the index, syncs, publishes under the block's name, opens the file again and verifies all of it.
    ///
    /// When this returns `Ok`, the block survives a power cut and has been read back; only then may the log behind it be
    /// dropped. After an error nothing is published, unless the machine stops before the failed file is removed.
    ///
    /// # Errors
    /// [`BlockError::Io`], [`BlockError::TooLarge`], [`BlockError::Abandoned`], and [`BlockError::Corrupt`] or
    /// [`BlockError::DamagedChunk`] if what was read back is not what was written.
    pub fn finish(mut self) -> Result<Arc<Block>, BlockError> {
        self.check_open()?;
        self.write_sections()?;
        let footer = self.footer;
        let block = self.out.publish(|disk, path| {
            let block = Block::open(disk, path)?;
            block.verify()?;
            block.expect_footer(&footer)?;
            Ok(block)
        })?;
        Ok(Arc::new(block))
    }

    fn write_sections(&mut self) -> Result<(), BlockError> {
        let index = std::mem::take(&mut self.index);
        self.footer.series_count = index.series_count();
        let packed = index.finish_packed().map_err(too_large)?;
        self.footer.chunks.len = self.out.position - self.footer.chunks.offset;

        self.out.begin_section();
        self.out.write(&self.times.table)?;
        self.footer.times = self.out.section_since(self.footer.chunks);
        let starts = self.write_series_entries(&packed)?;
        self.out.write(&starts)?;
        self.footer.series = self.out.section_since(self.footer.times);
        self.hashes.sort_unstable();
        for (part, _) in &self.hashes {
            self.out.write(&part.to_le_bytes())?;
        }
        for (_, ordinal) in &self.hashes {
            self.out.write(&ordinal.to_le_bytes())?;
        }
        self.footer.hashes = self.out.section_since(self.footer.series);
        self.out.write(&packed.section)?;
        self.footer.index = self.out.section_since(self.footer.hashes);
        self.out.write(&self.footer.write())
    }

    /// Returns the array of starts that goes behind the entries.
    fn write_series_entries(&mut self, packed: &PackedSection) -> Result<Vec<u8>, BlockError> {
        let section_start = self.out.position;
        let mut starts = Vec::with_capacity(4 * (self.chunk_list_ends.len() + 1));
        let mut entry = Vec::new();
        let mut list_start = 0;
        let start_of = |position: u64| {
            u32::try_from(position - section_start).map_err(|_| BlockError::TooLarge { what: "series entries" })
        };
        for (ordinal, &list_end) in self.chunk_list_ends.iter().enumerate() {
            starts.extend_from_slice(&start_of(self.out.position)?.to_le_bytes());
            entry.clear();
            put_labels(&mut entry, packed.series_numbers(ordinal as u32));
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

impl std::fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockWriter").field("path", &self.out.path).finish_non_exhaustive()
    }
}
