//! What can be wrong with the frozen form of an index.

use mytsdb_stop::Canceled;

/// Errors of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The bytes cannot have been written by [`IndexWriter`](crate::IndexWriter).
    #[error("{section} section damaged at byte {offset}: {reason}")]
    Corrupt {
        /// `"symbols"`, `"postings"` or `"index"`.
        section: &'static str,
        /// Offset within the section.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// More than the format can count.
    #[error("{what} exceed the 32 bits of the index format")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
    /// Series have been removed since the [`Snapshot`](crate::Snapshot) was taken. Take another one and ask again.
    #[error("series have been removed since the lookup began")]
    Outdated,
    /// The stop sign said so.
    #[error(transparent)]
    Canceled(#[from] Canceled),
}
