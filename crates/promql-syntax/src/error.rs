//! The refusal of a text, with its place.

use crate::pos::{LineColumn, PosRange, line_column};
use std::fmt;

/// The first error in a query's text.
///
/// Displays as `LINE:COLUMN: parse error: MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    pos: PosRange,
    at: LineColumn,
    message: String,
    /// The text is empty.
    empty: bool,
}

impl ParseError {
    /// An error about the bytes `pos` of `text`.
    pub fn new(text: &str, pos: PosRange, message: impl Into<String>) -> Self {
        Self { pos, at: line_column(text, pos.start), message: message.into(), empty: text.is_empty() }
    }

    /// The bytes of the query that the error is about.
    pub fn pos(&self) -> PosRange {
        self.pos
    }

    /// Line and column of its first byte.
    pub fn line_column(&self) -> LineColumn {
        self.at
    }

    /// The message without its position.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.empty {
            // A text without characters has no first one.
            return write!(f, "unknown position: parse error: {}", self.message);
        }
        write!(f, "{}: parse error: {}", self.at, self.message)
    }
}

impl std::error::Error for ParseError {}
