//! Writes a block, series by series, and publishes it whole or not at all.

use crate::BlockError;
use crate::block::Block;
use crate::block_file::{UNPUBLISHED_SUFFIX, block_file_name};
use crate::chunk::{ChunkMeta, ChunkRef};
use crate::layout::{Footer, Section, write_header};
use crate::series_entry::{ChunkList, put_labels};
use mytsdb_index::{IndexError, IndexSections, IndexWriter};
use mytsdb_io::{Disk, DiskFile};
use mytsdb_model::{Labels, TimeRange};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes one block file.
///
/// Chunk bytes pass through a buffer of 256 KiB. In memory stay the labels' texts (each once), 12 bytes per label of a
/// series and about 15 bytes per chunk. Dropped without [`finish`](Self::finish), it removes its unpublished file.
pub struct BlockWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    path: PathBuf,
    unpublished: PathBuf,
    out: Output,
    index: IndexWriter,
    last_labels: Option<Labels>,
    /// The chunk part of every series' entry, end to end, and where each ends.
    chunk_lists: Vec<u8>,
    chunk_list_ends: Vec<usize>,
    footer: Footer,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// An error left the file in a state that must not be published.
    Abandoned,
    /// There is no unpublished file any more.
    Published,
}

impl BlockWriter {
    /// Starts the block `id` in the existing directory `dir`.
    ///
    /// # Errors
    /// [`BlockError::Exists`] if the block is published already; [`BlockError::Io`].
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, id: u64) -> Result<Self, BlockError> {
        let path = dir.join(block_file_name(id));
        let unpublished = dir.join(block_file_name(id) + UNPUBLISHED_SUFFIX);
        if disk.exists(&path).map_err(io_error(&path, "look up"))? {
            return Err(BlockError::Exists { path });
        }
        let file = disk.create(&unpublished).map_err(io_error(&unpublished, "create"))?;
        let mut out = Output { file, buffer: Vec::with_capacity(BUFFER_BYTES), position: 0, crc32c: 0 };
        out.write(&write_header(id)).map_err(io_error(&unpublished, "write"))?;
        let chunks = Section { offset: out.position, ..Section::default() };
        let footer = Footer {
            chunks,
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
            disk,
            dir: dir.to_owned(),
            path,
            unpublished,
            out,
            index: IndexWriter::new(),
            last_labels: None,
            chunk_lists: Vec::new(),
            chunk_list_ends: Vec::new(),
            footer,
            stage: Stage::Open,
        })
    }

    /// Adds a series and its chunks; the labels are greater than those of the series before. Chunks may overlap. A series
    /// without chunks is left out.
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
        self.stage = Stage::Abandoned;
        let offset = self.out.position - self.footer.chunks.offset;
        let mut list = ChunkList::default();
        for chunk in chunks {
            if let Some(reason) = refusal(&chunk) {
                return Err(BlockError::InvalidChunk { labels: labels.to_string(), reason });
            }
            self.out.write(chunk.bytes).map_err(io_error(&self.unpublished, "write"))?;
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
        self.stage = Stage::Open;
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
    /// [`BlockError::Io`], [`BlockError::TooLarge`], [`BlockError::Abandoned`], and [`BlockError::Corrupt`] if what was
    /// read back is not what was written.
    pub fn finish(mut self) -> Result<Arc<Block>, BlockError> {
        self.check_open()?;
        self.stage = Stage::Abandoned;
        self.write_index()?;
        self.out.flush().map_err(io_error(&self.unpublished, "write"))?;
        self.out.file.sync_data().map_err(io_error(&self.unpublished, "sync"))?;
        self.disk.rename(&self.unpublished, &self.path).map_err(io_error(&self.path, "rename"))?;
        self.stage = Stage::Published;
        let published = self.publish();
        if published.is_err() {
            discard(&*self.disk, &self.path);
        }
        published
    }

    fn publish(&self) -> Result<Arc<Block>, BlockError> {
        self.disk.sync_dir(&self.dir).map_err(io_error(&self.dir, "sync directory"))?;
        let block = Block::open(&*self.disk, &self.path)?;
        block.verify()?;
        if *block.footer() != self.footer {
            return Err(block.corrupt(0, "read back other than written"));
        }
        Ok(Arc::new(block))
    }

    fn write_index(&mut self) -> Result<(), BlockError> {
        let index = std::mem::take(&mut self.index);
        self.footer.series_count = index.series_count();
        let sections = index.finish().map_err(too_large)?;
        self.footer.chunks.len = self.out.position - self.footer.chunks.offset;

        self.out.crc32c = 0;
        let starts = self.write_series_entries(&sections)?;
        self.write(&starts)?;
        self.footer.series = self.out.section_since(self.footer.chunks);
        self.write(&sections.symbols)?;
        self.footer.symbols = self.out.section_since(self.footer.series);
        self.write(&sections.postings)?;
        self.footer.postings = self.out.section_since(self.footer.symbols);
        self.write(&self.footer.write())
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
            self.write(&entry)?;
            list_start = list_end;
        }
        starts.extend_from_slice(&start_of(self.out.position)?.to_le_bytes());
        Ok(starts)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        self.out.write(bytes).map_err(io_error(&self.unpublished, "write"))
    }

    fn check_open(&self) -> Result<(), BlockError> {
        match self.stage {
            Stage::Open => Ok(()),
            Stage::Abandoned | Stage::Published => Err(BlockError::Abandoned { path: self.path.clone() }),
        }
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if self.stage != Stage::Published {
            discard(&*self.disk, &self.unpublished);
        }
    }
}

impl std::fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockWriter").field("path", &self.path).field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Removes a file that must not stay; if even that fails, the sweep at startup or the check at opening meets it.
fn discard(disk: &dyn Disk, path: &Path) {
    if let Err(error) = disk.remove(path) {
        drop(error);
    }
}

/// The file, buffered.
struct Output {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    /// Bytes written, buffered ones included.
    position: u64,
    /// CRC of the section under way.
    crc32c: u32,
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.file.append(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Ends the section that began where `before` ended.
    fn section_since(&mut self, before: Section) -> Section {
        let offset = before.offset + before.len;
        Section { offset, len: self.position - offset, crc32c: std::mem::take(&mut self.crc32c) }
    }
}

fn refusal(chunk: &ChunkRef<'_>) -> Option<&'static str> {
    if chunk.range.is_empty() {
        Some("first time after last")
    } else if chunk.sample_count == 0 {
        Some("no samples")
    } else if chunk.encoding.0 == 0 {
        Some("encoding 0")
    } else if chunk.bytes.is_empty() || chunk.bytes.len() > ChunkMeta::BYTES_MAX {
        Some("size not in 1 byte to 16 MiB")
    } else {
        None
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn too_large(error: IndexError) -> BlockError {
    match error {
        IndexError::TooLarge { what } => BlockError::TooLarge { what },
        _ => BlockError::TooLarge { what: "index sections" },
    }
}

fn io_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> BlockError {
    move |source| BlockError::Io { path: path.to_owned(), op, source }
}
