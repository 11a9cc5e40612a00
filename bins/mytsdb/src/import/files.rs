//! A text file, plain or gzip, line by line.

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use mytsdb_text_format::BoundedLines;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// Longest line, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// The same of JSON, where a line is a series.
pub(super) const JSON_BYTES_MAX: usize = 16 << 20;

const BUFFER_BYTES: usize = 256 << 10;

/// An open file.
pub(super) struct TextFile {
    lines: BoundedLines<Box<dyn BufRead>>,
    bytes: u64,
    read: Rc<Cell<u64>>,
}

/// Counts the bytes that come from a reader.
struct Counted<R> {
    reader: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

impl TextFile {
    #[expect(clippy::disallowed_methods, reason = "a file of the caller, not stored data")]
    pub(super) fn open(path: &Path, line_bytes_max: usize) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let bytes = file.metadata().with_context(|| format!("stat {}", path.display()))?.len();
        let read = Rc::new(Cell::new(0));
        let counted = Counted { reader: file, count: Rc::clone(&read) };
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, counted);
        let is_gzip = plain.fill_buf().with_context(|| format!("read {}", path.display()))?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { lines: BoundedLines::new(reader, line_bytes_max), bytes, read })
    }

    /// The size of the file as it is on the disk; 0 for a pipe.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How much of that has been read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    /// As [`BoundedLines::next_line`].
    pub(super) fn next_line(&mut self) -> std::io::Result<Option<std::result::Result<&[u8], ()>>> {
        self.lines.next_line()
    }
}
