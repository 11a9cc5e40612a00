//! Why a line says nothing.

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct LineError {
    /// Number of the line, from 1.
    pub line: u64,
    /// Byte of the line at which it went wrong, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Something else should be here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Bytes that are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A sample without the name of a metric.
    #[error("no name of a metric")]
    NoName,
    /// The name of a label twice.
    #[error("a label with this name is there already")]
    LabelTwice,
    /// More labels than a line may have.
    #[error("more than {limit} labels")]
    Labels {
        /// The limit in force.
        limit: usize,
    },
    /// A backslash before a character that it gives no meaning.
    #[error("a backslash stands before \\, \" or n only")]
    Escape,
    /// A word that is no type.
    #[error("no type of a metric")]
    Kind,
    /// Something that is no number.
    #[error("not a number")]
    Number,
    /// A time that is no number, or too far away to be one of milliseconds.
    #[error("not a time")]
    Time,
    /// Something behind the end of the line's content.
    #[error("more than belongs here")]
    Rest,
    /// Something behind `# EOF`.
    #[error("a line behind # EOF")]
    BehindEnd,
    /// No `# EOF` at the end of an OpenMetrics text: it may be cut off.
    #[error("the text does not end with # EOF, so it may be cut off")]
    NoEnd,
    /// A longer line than may be.
    #[error("a line of more than {limit} bytes")]
    TooLong {
        /// The limit in force.
        limit: usize,
    },
}
