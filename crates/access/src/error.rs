//! What is wrong with the file or one that it names.

use std::path::PathBuf;

/// Errors of this crate. They name files, keys and places, and never repeat a value (invariant S).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is too long to be what it should be.
    #[error("{}: longer than {bytes_max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// The file is no YAML, or a value has not the form that is expected there.
    #[error("{}: line {line}, column {column}: not YAML, or not the form that is expected there", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Counted from 1; 0 if nobody knows.
        line: u64,
        /// Counted from 1; 0 if nobody knows.
        column: u64,
    },
    /// A value is not possible.
    #[error("{}: {key}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key and, in a list or map, whose.
        key: String,
        /// What is wrong.
        problem: String,
    },
}
