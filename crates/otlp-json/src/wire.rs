//! Writes protobuf fields, the lengths of messages in front of them and never more bytes than allowed.

use crate::error::Problem;
use crate::transcode::DEPTH_MAX;

/// Bytes by which lengths that are not known yet may exceed the limit: each open field has at most four too many.
const SLACK_BYTES: usize = 4 * DEPTH_MAX;

/// Protobuf's wire types.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
}

/// The answer so far.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    bytes_max: usize,
}

/// A length that is written after its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    tag_at: usize,
    start: usize,
    width: usize,
}

impl Output {
    /// Takes memory for `expected` bytes, or for the limit if that is less.
    pub fn new(bytes_max: usize, expected: usize) -> Self {
        let capacity = bytes_max.min(expected).saturating_add(SLACK_BYTES);
        Self { bytes: Vec::with_capacity(capacity), bytes_max }
    }

    pub fn finish(self) -> Result<Vec<u8>, Problem> {
        if self.bytes.len() > self.bytes_max { Err(self.too_large()) } else { Ok(self.bytes) }
    }

    fn too_large(&self) -> Problem {
        Problem::TooLarge { limit: self.bytes_max }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if self.bytes.len() + bytes.len() > self.bytes_max.saturating_add(SLACK_BYTES) {
            return Err(self.too_large());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub fn tag(&mut self, number: u32, wire_type: WireType) -> Result<(), Problem> {
        self.varint(u64::from(number << 3 | wire_type as u32))
    }

    pub fn varint(&mut self, value: u64) -> Result<(), Problem> {
        let (bytes, length) = varint(value);
        self.push(&bytes[..length])
    }

    pub fn fixed64(&mut self, value: u64) -> Result<(), Problem> {
        self.push(&value.to_le_bytes())
    }

    /// A field of known length.
    pub fn field(&mut self, number: u32, content: &[u8]) -> Result<(), Problem> {
        self.tag(number, WireType::Length)?;
        self.varint(content.len() as u64)?;
        self.push(content)
    }

    /// Begins a field of unknown length. `expected` is a guess at it that is mostly too large: if the guess needs as
    /// many bytes as the length itself, the content is not moved again.
    pub fn begin(&mut self, number: u32, expected: usize) -> Result<Open, Problem> {
        let tag_at = self.bytes.len();
        self.tag(number, WireType::Length)?;
        let width = varint(expected as u64).1.min(5);
        self.push(&[0; 5][..width])?;
        Ok(Open { tag_at, start: self.bytes.len(), width })
    }

    /// Ends a field: all that was written since it began is its content.
    pub fn end(&mut self, open: Open) -> Result<(), Problem> {
        let length = self.bytes.len() - open.start;
        let (prefix, width) = varint(length as u64);
        let start = open.start - open.width;
        if width > open.width {
            self.push(&[0; 10][..width - open.width])?;
        }
        self.bytes.copy_within(open.start..open.start + length, start + width);
        self.bytes[start..start + width].copy_from_slice(&prefix[..width]);
        self.bytes.truncate(start + width + length);
        Ok(())
    }

    /// Ends a field that is the same as none if it is empty.
    pub fn end_or_drop(&mut self, open: Open) -> Result<(), Problem> {
        if self.bytes.len() > open.start {
            return self.end(open);
        }
        self.bytes.truncate(open.tag_at);
        Ok(())
    }
}

fn varint(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut length = 0;
    loop {
        let more = value > 0x7f;
        bytes[length] = (value & 0x7f) as u8 | u8::from(more) << 7;
        length += 1;
        if !more {
            return (bytes, length);
        }
        value >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be_whatever_was_expected() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            for expected in [0, 127, 128, 1 << 20, 1 << 40] {
                let mut out = Output::new(1 << 20, 100);
                let open = out.begin(1, expected).unwrap();
                let content: Vec<u8> = (0..length).map(|i: u32| i as u8).collect();
                out.push(&content).unwrap();
                out.end(open).unwrap();
                let mut wanted = Output::new(1 << 20, 100);
                wanted.field(1, &content).unwrap();
                assert_eq!(out.finish(), wanted.finish(), "{length} for {expected}");
            }
        }
    }

    #[test]
    fn the_limit_holds() {
        let mut out = Output::new(4, 100);
        out.field(1, b"ab").unwrap();
        assert_eq!(out.finish().unwrap(), b"\x0a\x02ab");
        let mut out = Output::new(4, 100);
        out.field(1, b"abc").unwrap();
        assert_eq!(out.finish(), Err(Problem::TooLarge { limit: 4 }));
        let mut out = Output::new(4, 100);
        assert_eq!(out.field(1, &[0; 4 + SLACK_BYTES]), Err(Problem::TooLarge { limit: 4 }));
    }
}
