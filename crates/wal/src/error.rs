//! What can go wrong with a log.

use crate::SegmentId;
use std::io;
use std::path::{Path, PathBuf};

/// Errors of this crate. Damaged data is not among them: replay reports it and goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// A call to the disk failed. The log can go on; what the failed call was for has not happened.
    #[error("wal: {operation} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The disk's answer.
        source: io::Error,
    },
    /// A sync failed, now or earlier, so nobody knows what is on the disk; the log takes nothing until it is opened again.
    #[error("wal: poisoned until reopened: {reason}")]
    Poisoned {
        /// The failure that poisoned it.
        reason: String,
    },
    /// A record is larger than a frame may be. The group was dropped as a whole.
    #[error("wal: a record of {bytes} bytes is over the limit of {limit}")]
    RecordTooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size.
        limit: usize,
    },
    /// A file was written by another release.
    #[error("wal: {} has format version {found}, this release reads 1 to {newest}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The newest version this release reads.
        newest: u16,
    },
    /// A record is of a kind that no release up to this one has written; its checksum is right.
    #[error("wal: {} holds a record of kind {kind} at offset {offset}: a later release wrote it", path.display())]
    UnknownRecord {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// The kind found.
        kind: u8,
    },
    /// A checkpoint, read back before it was published, was not what had been written.
    #[error("wal: checkpoint {} does not read back as written", path.display())]
    CheckpointDiffers {
        /// The unpublished file.
        path: PathBuf,
    },
    /// A segment is not part of the log, or truncation was asked for without a published checkpoint.
    #[error("wal: segment {segment}: {reason}")]
    Segment {
        /// The segment asked for.
        segment: SegmentId,
        /// Why it cannot be.
        reason: &'static str,
    },
}

impl WalError {
    /// For `map_err`: names what was tried and on which path.
    pub(crate) fn disk(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WalError {
        let path = path.to_path_buf();
        move |source| WalError::Disk { operation, path, source }
    }
}
