//! What can go wrong while a block is written.

use mytsdb_codec::CodecError;
use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TsdbBlockError {
    /// The disk.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A block of this name is there already.
    #[error("{path} is there already")]
    Exists {
        /// The block.
        path: PathBuf,
    },
    /// The name is no ULID: 26 characters of Crockford's alphabet, upper case, within 128 bits.
    #[error("{name:?} is no ULID")]
    BadName {
        /// The name.
        name: String,
    },
    /// Series did not come in ascending order of their labels.
    #[error("series {labels} comes after {before}, which is not the order of a block")]
    SeriesOutOfOrder {
        /// The series before.
        before: String,
        /// The series.
        labels: String,
    },
    /// Samples of a series are not in order, or there are two of one time.
    #[error(transparent)]
    Samples(#[from] CodecError),
    /// A bound of the format was met.
    #[error("{what}: {found} is more than {limit}, the most that a block has room for")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
}

/// A result of this crate.
pub type Result<T, E = TsdbBlockError> = std::result::Result<T, E>;

impl TsdbBlockError {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }
}
