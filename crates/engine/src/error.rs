//! What can go wrong with the engine as a whole.

use std::path::PathBuf;
use std::sync::Arc;

/// Errors of this crate.
///
/// Clonable, because one failed log write fails every batch of its group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The head holds as many series as it may.
    #[error("the head holds {limit} series, the limit (--max-series): new series are refused, known ones are not")]
    SeriesLimit {
        /// The limit in force.
        limit: usize,
    },
    /// More samples wait for the log than may. Sending again later helps.
    #[error("{limit} samples wait for the log, the limit (--max-staged-samples)")]
    Overloaded {
        /// The limit in force.
        limit: usize,
    },
    /// A source of samples cannot be asked now. Answers go without it, and say so; again, later, helps.
    #[error("{what} cannot be read: {reason}")]
    Unavailable {
        /// The source.
        what: String,
        /// Why not.
        reason: String,
    },
    /// A source of samples cannot be asked now, and an answer without it is not wanted. Again, later, helps.
    #[error("{what} cannot be read: {reason}")]
    Incomplete {
        /// The source.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The disk has hardly any room left. Sending again, later, helps; queries go on.
    #[error(
        "{free_bytes} bytes are free on the disk of the data folder, the floor is {floor_bytes} (--disk-floor-bytes): \
         nothing is stored until there is more"
    )]
    DiskLow {
        /// What is free.
        free_bytes: u64,
        /// What must be.
        floor_bytes: u64,
    },
    /// So many deletions wait for their blocks to be written anew. Again, later, helps.
    #[error(
        "{limit} deletions wait for their samples to leave the disk, which is the limit: clean the tombstones first"
    )]
    Deletions {
        /// The limit in force.
        limit: usize,
    },
    /// A sample names a series that the head no longer knows. Resolving its labels again helps.
    #[error("series reference is no longer known")]
    UnknownSeries,
    /// The engine is shutting down. Sending again, later, helps.
    #[error("the server is shutting down")]
    Stopped,
    /// Whoever asked does not want the answer any more.
    #[error("canceled")]
    Canceled,
    /// The log could not be written. Nothing of the batch counts as stored.
    #[error("write-ahead log: {0}")]
    Wal(Arc<mytsdb_wal::WalError>),
    /// A block could not be written or read.
    #[error(transparent)]
    Block(Arc<mytsdb_blocks::BlockError>),
    /// A chunk in memory does not decode: a bug, or broken memory.
    #[error("chunk of {series}: {source}")]
    Chunk {
        /// The labels of the chunk's series.
        series: String,
        /// What the decoder says.
        source: mytsdb_codec::CodecError,
    },
    /// Another process uses the data folder.
    #[error("data folder {path} is in use: {holder}")]
    Locked {
        /// The folder.
        path: PathBuf,
        /// What is known of who holds it.
        holder: String,
    },
    /// The data folder cannot be used.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: Arc<std::io::Error>,
    },
}

impl EngineError {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { operation, path: path.into(), source: Arc::new(source) }
    }
}

impl From<mytsdb_wal::WalError> for EngineError {
    fn from(source: mytsdb_wal::WalError) -> Self {
        Self::Wal(Arc::new(source))
    }
}

impl From<mytsdb_blocks::BlockError> for EngineError {
    fn from(source: mytsdb_blocks::BlockError) -> Self {
        match source {
            mytsdb_blocks::BlockError::Canceled(canceled) => canceled.into(),
            other => Self::Block(Arc::new(other)),
        }
    }
}

impl From<mytsdb_stop::Canceled> for EngineError {
    fn from(mytsdb_stop::Canceled: mytsdb_stop::Canceled) -> Self {
        Self::Canceled
    }
}
