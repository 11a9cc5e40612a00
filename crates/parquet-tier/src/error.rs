//! What can go wrong in the cold tier.

use mytsdb_model::ModelError;
use std::io;
use std::time::Duration;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TierError {
    /// The store did not do what it was asked, after all attempts.
    #[error("{operation} {path}: {source}")]
    Store {
        /// What was asked of it.
        operation: &'static str,
        /// The object.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// The store gave no answer in time, at any attempt.
    #[error(
        "{operation} {path}: no answer within {timeout:?} (option `timeout`), {attempts} attempts (option `retries`)"
    )]
    Timeout {
        /// What was asked of it.
        operation: &'static str,
        /// The object.
        path: String,
        /// How long each attempt might take.
        timeout: Duration,
        /// How often it was asked.
        attempts: u32,
    },
    /// An object does not exist that the manifest names.
    #[error("{path}: not found in the store")]
    Missing {
        /// The object.
        path: String,
    },
    /// A file is damaged, or none of this format.
    #[error("{path}: {part}: {reason}")]
    Corrupt {
        /// The object.
        path: String,
        /// The part of it: `"footer"`, `"labels"`, `"manifest"`, a column.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file is whole, and a later release wrote it.
    #[error("{path} has version {version} of its format, which this release does not know: a later release wrote it")]
    UnknownVersion {
        /// The object.
        path: String,
        /// The version that it has.
        version: u64,
    },
    /// What was uploaded is not what the store gives back.
    #[error("{path}: after the upload the store has {found}, expected {expected}")]
    Unverified {
        /// The object.
        path: String,
        /// Length and checksum of what was sent.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Somebody else wrote the manifest of this number: there is a second writer.
    #[error("manifest {path} exists and is not ours: another writer uses this prefix")]
    Conflict {
        /// The manifest.
        path: String,
    },
    /// A commit removes what is not live, or adds what is; or there is nothing to upload.
    #[error("commit of {id} refused: {reason}")]
    BadCommit {
        /// Name of the day's folder.
        id: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Series did not come in ascending order.
    #[error("series {labels} comes after {before}, which is not the order of the file")]
    OutOfOrder {
        /// The series before.
        before: String,
        /// The series.
        labels: String,
    },
    /// A sample does not belong to the day, or not behind the one before it.
    #[error("series {labels}: sample at {timestamp_ms} ms: {reason}")]
    BadSample {
        /// The series.
        labels: String,
        /// Time of the sample.
        timestamp_ms: i64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A label that was not announced, or cannot be a column.
    #[error("label {label:?}: {reason}")]
    BadLabel {
        /// The label's name.
        label: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A bound of the format or of an option was met.
    #[error("{what}: {found} is more than {limit}")]
    TooMuch {
        /// What there is too much of, with its option if it has one.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
    /// An address that is none, or a kind of store that this build leaves out.
    #[error("cold.url {url}: {reason}")]
    BadUrl {
        /// The address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The library that writes and reads pages refused.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A label set or matcher is wrong.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The local disk, on which files are written before they are sent.
    #[error("{operation}: {source}")]
    Io {
        /// What was done.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A result of this crate.
pub type Result<T, E = TierError> = std::result::Result<T, E>;

impl TierError {
    /// Makes an error of the local disk.
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }

    /// Makes an error about damage.
    pub(crate) fn corrupt(path: &str, part: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Corrupt { path: path.to_owned(), part, reason: reason.to_string() }
    }
}
