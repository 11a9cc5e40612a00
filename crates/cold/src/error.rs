//! What can go wrong with the cold tier behind the engine.

use mytsdb_cache::CacheError;
use mytsdb_engine::EngineError;
use mytsdb_parquet_tier::TierError;
use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ColdError {
    /// The store, or what is in it.
    #[error("cold tier: {0}")]
    Tier(#[from] TierError),
    /// The engine, or its blocks.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The file that says what was demoted is damaged. Nothing is demoted, and what was cannot be read, until it is right.
    #[error("{path}: {reason}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The local disk.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of the cache.
    #[error("cache of the cold tier: {0}")]
    Cache(#[from] CacheError),
    /// Threads for the store could not be started.
    #[error("start threads for the cold tier: {0}")]
    Threads(io::Error),
    /// Nobody has written anything under this name.
    #[error("there is no manifest of a node {node} in the store: the name is another, or nothing was demoted yet")]
    NoNode {
        /// The name.
        node: String,
    },
    /// A manifest has days that this node cannot have written.
    #[error("the manifest of the cold tier is not this node's: {reason}")]
    Foreign {
        /// What is wrong.
        reason: String,
    },
}

/// A result of this crate.
pub type Result<T, E = ColdError> = std::result::Result<T, E>;

impl ColdError {
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// Whether whoever asked for the work wants it no more.
    pub fn is_canceled(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Canceled))
    }
}
