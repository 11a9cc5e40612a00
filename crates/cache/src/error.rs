//! What can go wrong with caches.

use mytsdb_codec::CodecError;
use std::io;
use std::path::PathBuf;

/// Errors of this crate. Those about damage never reach a query: what is damaged is dropped, and is a miss.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The folder of the files cannot be read or written.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of a segment is none of the format, or its checksum does not hold.
    #[error("cache segment: {part} at {offset}: {reason}")]
    Damaged {
        /// Which part.
        part: &'static str,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A chunk cannot be read or written.
    #[error("cache entry: {0}")]
    Codec(#[from] CodecError),
    /// An entry does not have the samples that it should.
    #[error("cache entry: {found} samples, expected {expected}")]
    Samples {
        /// Samples of both kinds.
        found: u64,
        /// As whoever asked knows from elsewhere.
        expected: u64,
    },
}

impl CacheError {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    pub(crate) fn damaged(part: &'static str, offset: usize, reason: &'static str) -> Self {
        Self::Damaged { part, offset: offset as u64, reason }
    }
}
