//! A file that is written from front to end, in pieces of some size, and synced.

use crate::error::{Result, TsdbBlockError};
use mytsdb_io::{Disk, DiskFile};
use std::path::{Path, PathBuf};

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 1 << 18;

/// The file.
pub(crate) struct File {
    path: PathBuf,
    inner: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
}

impl File {
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let inner = disk.create(path).map_err(TsdbBlockError::io("create", path))?;
        Ok(Self { path: path.to_owned(), inner, buffer: Vec::with_capacity(BUFFER_BYTES), written: 0 })
    }

    /// Where the next byte goes.
    pub fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes zeros up to a multiple of `step`.
    pub fn align(&mut self, step: u64) -> Result<()> {
        const ZEROS: [u8; 16] = [0; 16];
        let missing = self.position().next_multiple_of(step) - self.position();
        self.put(&ZEROS[..missing as usize])
    }

    /// Writes the length of a body in four bytes, the body, and its checksum.
    pub fn put_section(&mut self, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len()).map_err(|_| TsdbBlockError::TooMuch {
            what: "bytes of a part of the index",
            found: body.len() as u64,
            limit: u64::from(u32::MAX),
        })?;
        self.put(&length.to_be_bytes())?;
        self.put(body)?;
        self.put(&crc32c::crc32c(body).to_be_bytes())
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.append(&self.buffer).map_err(TsdbBlockError::io("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the file and makes it durable; gives its length.
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.inner.sync_data().map_err(TsdbBlockError::io("sync", &self.path))?;
        Ok(self.written)
    }
}
