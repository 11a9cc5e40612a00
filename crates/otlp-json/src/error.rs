//! What is wrong with a text, and where.

/// Errors of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("JSON at byte {offset}{}{field}: {problem}", if field.is_empty() { "" } else { ", " })]
pub struct JsonError {
    /// Bytes in front of the place.
    pub offset: usize,
    /// The innermost known field around it, or nothing.
    pub field: &'static str,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Something else should stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The text ends inside a value.
    #[error("the text ends too early")]
    End,
    /// The text is not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// A control character, an unknown escape or half a surrogate pair in a string.
    #[error("invalid string")]
    String,
    /// A number that the field's type does not hold.
    #[error("number out of range or with a fraction, expected {0}")]
    Number(&'static str),
    /// A field, or the alternative to one, that was there before.
    #[error("given twice, or beside its alternative")]
    Twice,
    /// Too many arrays and objects inside each other.
    #[error("nested deeper than {limit} levels")]
    Nesting {
        /// The limit.
        limit: usize,
    },
    /// The answer would have more bytes than allowed; the only problem that another limit solves.
    #[error("more than {limit} bytes as protobuf")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}
