//! `chunks/000001` and so on: chunks one after the other.
//!
//! | field | size |
//! |---|---|
//! | magic `85 bd 40 dd`, version 1, three zeros | 8 bytes, once a file |
//! | length of the data | uvarint |
//! | encoding | u8 |
//! | data | as long as that says |
//! | CRC-32C of encoding and data | u32, big-endian |

use crate::error::{Result, TsdbBlockError};
use crate::file::File;
use mytsdb_codec::PrometheusChunk;
use mytsdb_io::Disk;
use mytsdb_varint::put_uvarint;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEAD: [u8; 8] = [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The files of a block.
pub(crate) struct ChunkFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open: Option<File>,
    /// Lengths of those that are finished.
    finished: Vec<u64>,
    bytes_max: u64,
    bytes: Vec<u8>,
}

impl ChunkFiles {
    pub fn create(disk: Arc<dyn Disk>, block: &Path) -> Result<Self> {
        let dir = block.join("chunks");
        disk.create_dir_all(&dir).map_err(TsdbBlockError::io("create folder", &dir))?;
        Ok(Self { disk, dir, open: None, finished: Vec::new(), bytes_max: FILE_BYTES_MAX, bytes: Vec::new() })
    }

    /// Name of a file below the block's folder.
    pub fn name(number: usize) -> String {
        format!("chunks/{:06}", number + 1)
    }

    /// Appends a chunk; gives its place: number of the file, counted from 0, above 32 bits of the offset.
    pub fn push(&mut self, chunk: &PrometheusChunk) -> Result<u64> {
        self.bytes.clear();
        put_uvarint(&mut self.bytes, chunk.bytes.len() as u64);
        let from = self.bytes.len();
        self.bytes.push(chunk.encoding as u8);
        self.bytes.extend_from_slice(&chunk.bytes);
        let checksum = crc32c::crc32c(&self.bytes[from..]);
        self.bytes.extend_from_slice(&checksum.to_be_bytes());
        let full = |file: &File| file.position() + self.bytes.len() as u64 > self.bytes_max;
        if self.open.as_ref().is_some_and(full) {
            self.close()?;
        }
        if self.open.is_none() {
            let path = self.dir.join(format!("{:06}", self.finished.len() + 1));
            let mut file = File::create(&*self.disk, &path)?;
            file.put(&HEAD)?;
            self.open = Some(file);
        }
        let file = self.open.as_mut().expect("made above");
        let place = (self.finished.len() as u64) << 32 | file.position();
        file.put(&self.bytes)?;
        Ok(place)
    }

    fn close(&mut self) -> Result<()> {
        if let Some(file) = self.open.take() {
            self.finished.push(file.finish()?);
        }
        Ok(())
    }

    /// Ends the last file; gives the lengths of all.
    pub fn finish(mut self) -> Result<Vec<u64>> {
        self.close()?;
        self.disk.sync_dir(&self.dir).map_err(TsdbBlockError::io("sync folder", &self.dir))?;
        Ok(self.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_codec::PrometheusEncoding;
    use mytsdb_io::SimDisk;
    use mytsdb_model::TimeRange;

    #[test]
    fn a_file_that_is_full_is_followed_by_another() {
        let disk = Arc::new(SimDisk::new());
        let mut files = ChunkFiles::create(disk.clone(), Path::new("/b")).unwrap();
        files.bytes_max = 40;
        let chunk = PrometheusChunk {
            encoding: PrometheusEncoding::Xor,
            range: TimeRange::new(0, 0),
            samples: 1,
            bytes: vec![7; 10],
        };
        let places: Vec<u64> = (0..3).map(|_| files.push(&chunk).unwrap()).collect();
        assert_eq!(places, [8, 24, 1 << 32 | 8]);
        assert_eq!(files.finish().unwrap(), [40, 24]);
        let first = disk.map(Path::new("/b/chunks/000001")).unwrap();
        let body = [&[1][..], &[7; 10]].concat();
        let expected = [&HEAD[..], &[10], &body, &crc32c::crc32c(&body).to_be_bytes()].concat();
        assert_eq!(first[..24], expected);
        assert_eq!(disk.map(Path::new("/b/chunks/000002")).unwrap()[..], expected);
    }
}
