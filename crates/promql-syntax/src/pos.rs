//! Byte positions in the text of a query.

use std::fmt;

/// The half-open byte range `start..end` of the query text that a node or a token covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PosRange {
    /// First byte.
    pub start: usize,
    /// First byte after the range.
    pub end: usize,
}

impl PosRange {
    /// The range `start..end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of `self` to the end of `other`.
    #[must_use]
    pub const fn to(self, other: PosRange) -> PosRange {
        PosRange { start: self.start, end: other.end }
    }

    /// The 1-based line and column (in bytes) of `start` in `text`.
    pub fn line_column(self, text: &str) -> LineColumn {
        line_column(text, self.start)
    }
}

/// A 1-based line and column, both counted as Prometheus counts them: columns are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

pub(crate) fn line_column(text: &str, offset: usize) -> LineColumn {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.split(|&b| b == b'\n').count();
    let column = before.iter().rev().take_while(|&&b| b != b'\n').count() + 1;
    LineColumn { line, column }
}
