//! What can go wrong with a block.

use mytsdb_index::IndexError;
use mytsdb_stop::Canceled;
use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The file is damaged.
    #[error("block {path}: {section} damaged at byte {offset}: {reason}", path = path.display())]
    Corrupt {
        /// The block's file.
        path: PathBuf,
        /// The part of the file: a section, `"header"` or `"footer"`.
        section: &'static str,
        /// Offset in the file at which the damage was noticed.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The file is whole, and a later release wrote it: no damage. A release that knows the version reads it.
    #[error(
        "{path} has version {version} of its format, which this release does not know: a later release wrote it",
        path = path.display()
    )]
    UnknownVersion {
        /// The file: of a block, a compaction record or a tombstone.
        path: PathBuf,
        /// The version that it has.
        version: u32,
    },
    /// A chunk is damaged; the others can be read.
    #[error("block {path}: chunk at byte {offset} damaged: {reason}", path = path.display())]
    DamagedChunk {
        /// The block's file.
        path: PathBuf,
        /// Offset of the chunk in the file.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A chunk is of an encoding that this version does not know; the others can be read.
    #[error("block {path}: chunk at byte {offset} has encoding {encoding}, which is not known", path = path.display())]
    UnknownEncoding {
        /// The block's file.
        path: PathBuf,
        /// Offset of the chunk in the file.
        offset: u64,
        /// The number of the encoding.
        encoding: u8,
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
    /// Samples that were read and cannot be written again.
    #[error("samples of series {labels}: {source}")]
    NotEncoded {
        /// The series.
        labels: String,
        /// What the encoder says.
        source: mytsdb_codec::CodecError,
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

/// What an index writer cannot count.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn too_large(error: IndexError) -> BlockError {
    match error {
        IndexError::TooLarge { what } => BlockError::TooLarge { what },
        _ => BlockError::TooLarge { what: "index sections" },
    }
}
