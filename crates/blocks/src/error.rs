//! What can go wrong with a block.

use mytsdb_model::Canceled;
use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The file is damaged, or not a block of this version.
    #[error("block {path}: damaged at byte {offset}: {reason}", path = path.display())]
    Corrupt {
        /// The block's file.
        path: PathBuf,
        /// Offset in the file at which the damage was noticed.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The disk refused.
    #[error("block {path}: {op} failed: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// The disk's answer.
        source: io::Error,
    },
    /// A series does not come after the one before it.
    #[error("series {labels} is not after {previous}")]
    OutOfOrder {
        /// The refused series.
        labels: String,
        /// The last series accepted.
        previous: String,
    },
    /// A chunk that the format cannot hold.
    #[error("chunk of series {labels}: {reason}")]
    InvalidChunk {
        /// The series.
        labels: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// More than the format can count.
    #[error("{what} exceed what a block can hold")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
    /// A block of this id is there already.
    #[error("block {path} exists", path = path.display())]
    Exists {
        /// The published file.
        path: PathBuf,
    },
    /// The writer failed before; nothing more can be added and nothing will be published.
    #[error("block {path}: abandoned after an earlier error", path = path.display())]
    Abandoned {
        /// The file that was to be published.
        path: PathBuf,
    },
    /// No series has this ordinal.
    #[error("series {ordinal} of a block of {series_count}")]
    UnknownSeries {
        /// What was asked for.
        ordinal: u32,
        /// How many there are.
        series_count: u32,
    },
    /// The stop sign said so.
    #[error(transparent)]
    Canceled(#[from] Canceled),
}
