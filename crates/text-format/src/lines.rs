//! Lines of a bounded length from any reader.

use std::io::{BufRead, ErrorKind, Result};

/// Reads lines; of one that is too long it keeps nothing.
#[derive(Debug)]
pub struct BoundedLines<R> {
    reader: R,
    bytes_max: usize,
    line: Vec<u8>,
    bytes_read: u64,
}

impl<R: BufRead> BoundedLines<R> {
    /// Lines of at most `bytes_max` bytes, their ends not counted.
    pub fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader, bytes_max, line: Vec::new(), bytes_read: 0 }
    }

    /// The bytes of all lines so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next line without its end; `Err` within stands for one that is too long, which is passed over. `None` behind the
    /// last one.
    ///
    /// # Errors
    /// What the reader says.
    pub fn next_line(&mut self) -> Result<Option<std::result::Result<&[u8], ()>>> {
        self.line.clear();
        let (mut fits, mut any) = (true, false);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = buffer.iter().position(|b| *b == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            fits &= self.line.len() + part.len() <= self.bytes_max;
            if fits {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.bytes_read += used as u64;
            if end.is_some() {
                break;
            }
        }
        Ok(any.then_some(if fits { Ok(&self.line[..]) } else { Err(()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn long_lines_are_passed_over_and_the_last_needs_no_end() {
        let text = b"one\n\nfour-\nfive--\nlast";
        for buffer_bytes in [1, 2, 3, 64] {
            let mut lines = BoundedLines::new(BufReader::with_capacity(buffer_bytes, &text[..]), 5);
            let mut read = Vec::new();
            while let Some(line) = lines.next_line().expect("bytes are read") {
                read.push(line.map(<[u8]>::to_vec));
            }
            let wanted: [std::result::Result<&[u8], ()>; 5] = [Ok(b"one"), Ok(b""), Ok(b"four-"), Err(()), Ok(b"last")];
            assert_eq!(read, wanted.map(|line| line.map(<[u8]>::to_vec)));
            assert_eq!(lines.bytes_read(), text.len() as u64);
        }
    }
}
