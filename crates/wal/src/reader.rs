//! Reads a file of the log frame by frame and finds the next good frame behind a bad one.

use crate::frame::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, Place};
use crate::header::{BadHeader, FILE_HEADER_BYTES, FileHeader, FileKind, VERSION};
use crate::{SegmentId, WalError};
use mytsdb_io::{Disk, DiskFile};
use std::path::{Path, PathBuf};

const READ_BYTES: usize = 256 << 10;

/// A file and the part of it that was read last. Not a map: an unreadable sector is an error here, not a signal.
struct Window {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    file_bytes: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl Window {
    /// The `bytes` bytes at `offset`, fewer if the file ends before.
    fn get(&mut self, offset: u64, bytes: usize) -> Result<&[u8], WalError> {
        let end = self.file_bytes.min(offset + bytes as u64).max(offset);
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let ahead = self.file_bytes.saturating_sub(offset).min(READ_BYTES as u64) as usize;
            self.buffer.resize(ahead.max((end - offset) as usize), 0);
            self.start = offset;
            let read = self.file.read_at(offset, &mut self.buffer);
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            read.map_err(WalError::disk("read", &self.path))?;
        }
        let from = (offset - self.start) as usize;
        let rest = self.buffer.get(from..).unwrap_or(&[]);
        Ok(&rest[..rest.len().min(bytes)])
    }
}

/// What comes next in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A whole, valid frame at `offset`, behind `skipped` bytes that are none.
    Frame { header: FrameHeader, offset: u64, skipped: u64 },
    /// The end of the file, behind `skipped` bytes that are no frame.
    End { skipped: u64 },
}

/// Walks over the frames of one file. Memory: one frame, at least 256 KiB.
pub(crate) struct FrameScan {
    window: Window,
    kind: FileKind,
    segment: SegmentId,
    at: u64,
}

impl FrameScan {
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, kind: FileKind, segment: SegmentId) -> Result<Self, WalError> {
        let path = match kind {
            FileKind::Segment => segment.wal_path(dir),
            FileKind::Checkpoint => segment.checkpoint_path(dir),
        };
        Self::open_path(disk, path, kind, segment)
    }

    /// As [`open`](Self::open), for a checkpoint that does not have its name yet.
    pub(crate) fn open_path(
        disk: &dyn Disk,
        path: PathBuf,
        kind: FileKind,
        segment: SegmentId,
    ) -> Result<Self, WalError> {
        let file = disk.open(&path).map_err(WalError::disk("open", &path))?;
        let file_bytes = file.len().map_err(WalError::disk("stat", &path))?;
        let window = Window { file, path, file_bytes, buffer: Vec::new(), start: 0 };
        Ok(Self { window, kind, segment, at: FILE_HEADER_BYTES as u64 })
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.window.file_bytes
    }

    /// The offset behind the last step.
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// Continues at `offset`.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.at = offset;
    }

    pub(crate) fn file_name(&self) -> String {
        self.window.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The file header; `None` if it is damaged or cut short.
    pub(crate) fn file_header(&mut self) -> Result<Option<FileHeader>, WalError> {
        let bytes = self.window.get(0, FILE_HEADER_BYTES)?;
        let Ok(bytes) = <&[u8; FILE_HEADER_BYTES]>::try_from(bytes) else { return Ok(None) };
        match FileHeader::decode(bytes, self.kind, self.segment) {
            Ok(header) => Ok(Some(header)),
            Err(BadHeader::Damaged) => Ok(None),
            Err(BadHeader::Version(found)) => {
                Err(WalError::Version { path: self.window.path.clone(), found, newest: VERSION })
            }
        }
    }

    /// Moves to the next valid frame or to the end of the file.
    pub(crate) fn step(&mut self) -> Result<Step, WalError> {
        let from = self.at.min(self.window.file_bytes);
        let mut offset = from;
        while let Some(candidate) = self.find_magic(offset)? {
            if let Some(header) = self.frame_at(candidate)? {
                self.at = candidate + (FRAME_HEADER_BYTES + header.payload_bytes) as u64;
                return Ok(Step::Frame { header, offset: candidate, skipped: candidate - from });
            }
            offset = candidate + 1;
        }
        self.at = self.window.file_bytes;
        Ok(Step::End { skipped: self.window.file_bytes - from })
    }

    /// The payload of the frame that [`step`](Self::step) found at `offset`.
    pub(crate) fn payload(&mut self, header: &FrameHeader, offset: u64) -> Result<&[u8], WalError> {
        let whole = self.window.get(offset, FRAME_HEADER_BYTES + header.payload_bytes)?;
        Ok(whole.get(FRAME_HEADER_BYTES..).unwrap_or(&[]))
    }

    fn frame_at(&mut self, offset: u64) -> Result<Option<FrameHeader>, WalError> {
        let place = Place { kind: self.kind, segment: self.segment, offset };
        let head = self.window.get(offset, FRAME_HEADER_BYTES)?;
        let Some(header) = FrameHeader::decode(head, place) else { return Ok(None) };
        // The length is used only now: its checksum is right, it is below the limit and it stays in the file.
        if offset + (FRAME_HEADER_BYTES + header.payload_bytes) as u64 > self.window.file_bytes {
            return Ok(None);
        }
        let payload = self.payload(&header, offset)?;
        Ok(header.accepts(payload).then_some(header))
    }

    /// The offset, at or behind `from`, of the next four bytes that may begin a frame.
    fn find_magic(&mut self, mut from: u64) -> Result<Option<u64>, WalError> {
        while from + FRAME_HEADER_BYTES as u64 <= self.window.file_bytes {
            let bytes = self.window.get(from, FRAME_HEADER_BYTES)?;
            if bytes.len() < FRAME_MAGIC.len() {
                return Ok(None);
            }
            if bytes[..FRAME_MAGIC.len()] == FRAME_MAGIC {
                return Ok(Some(from));
            }
            let ahead = self.window.get(from, READ_BYTES)?;
            match ahead.windows(FRAME_MAGIC.len()).position(|four| four == FRAME_MAGIC) {
                Some(i) => from += i as u64,
                None => from += (ahead.len() - (FRAME_MAGIC.len() - 1)) as u64,
            }
        }
        Ok(None)
    }
}
