//! A block file under way: buffered, and published whole or not at all.

use crate::BlockError;
use crate::block_file::{UNPUBLISHED_SUFFIX, block_file_name};
use crate::layout::Section;
use mytsdb_io::{Disk, DiskFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes gathered before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// Bytes written before a sync: who syncs another file of the same disk meanwhile waits for no more than that.
const SYNC_BYTES: u64 = 16 << 20;

/// The file. Dropped before it is [published](Self::publish), it removes itself.
pub(crate) struct Output {
    pub(crate) disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Under which the block is published.
    pub(crate) path: PathBuf,
    unpublished: PathBuf,
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    /// Bytes written, buffered ones included.
    pub(crate) position: u64,
    /// Bytes that were written up to the last sync.
    synced: u64,
    /// CRC of the section under way.
    crc32c: u32,
    is_published: bool,
}

impl Output {
    /// Creates the unpublished file of the block `id` in the existing directory `dir`.
    pub(crate) fn create(disk: Arc<dyn Disk>, dir: &Path, id: u64) -> Result<Self, BlockError> {
        let path = dir.join(block_file_name(id));
        let unpublished = dir.join(block_file_name(id) + UNPUBLISHED_SUFFIX);
        if disk.exists(&path).map_err(io_error(&path, "look up"))? {
            return Err(BlockError::Exists { path });
        }
        let file = disk.create(&unpublished).map_err(io_error(&unpublished, "create"))?;
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            path,
            unpublished,
            file,
            buffer,
            position: 0,
            synced: 0,
            crc32c: 0,
            is_published: false,
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        self.position += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.file.append(bytes).map_err(io_error(&self.unpublished, "write"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer).map_err(io_error(&self.unpublished, "write"))?;
            self.buffer.clear();
        }
        if self.position - self.synced >= SYNC_BYTES {
            self.file.sync_data().map_err(io_error(&self.unpublished, "sync"))?;
            self.synced = self.position;
        }
        Ok(())
    }

    /// Begins a checksum.
    pub(crate) fn begin_section(&mut self) {
        self.crc32c = 0;
    }

    /// Ends the section that began where `before` ended.
    pub(crate) fn section_since(&mut self, before: Section) -> Section {
        let offset = before.end();
        Section { offset, len: self.position - offset, crc32c: std::mem::take(&mut self.crc32c) }
    }

    /// Syncs, renames, syncs the directory, and has `read_back` look at the result, which is removed if that fails.
    pub(crate) fn publish<T>(
        &mut self,
        read_back: impl FnOnce(&dyn Disk, &Path) -> Result<T, BlockError>,
    ) -> Result<T, BlockError> {
        self.flush()?;
        self.file.sync_data().map_err(io_error(&self.unpublished, "sync"))?;
        self.disk.rename(&self.unpublished, &self.path).map_err(io_error(&self.path, "rename"))?;
        self.is_published = true;
        let synced = self.disk.sync_dir(&self.dir).map_err(io_error(&self.dir, "sync directory"));
        let published = synced.and_then(|()| read_back(&*self.disk, &self.path));
        if published.is_err() {
            discard(&*self.disk, &self.path);
        }
        published
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_published {
            discard(&*self.disk, &self.unpublished);
        }
    }
}

/// Removes a file that must not stay; if even that fails, the sweep at startup or the check at opening meets it.
fn discard(disk: &dyn Disk, path: &Path) {
    if let Err(error) = disk.remove(path) {
        drop(error);
    }
}

fn io_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> BlockError {
    move |source| BlockError::Io { path: path.to_owned(), op, source }
}
