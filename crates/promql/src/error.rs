//! What can go wrong: failures of an evaluation, and the storage's own errors.

/// Why the storage could not answer; the text is shown to the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StorageError {
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StorageError {
    /// An error that is only a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Wraps the storage's own error.
    pub fn from_error(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { message: error.to_string(), source: Some(Box::new(error)) }
    }
}

/// Why an evaluation ended without a result. Displays as Prometheus words it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The [`Cancel`](crate::Cancel) flag was raised.
    #[error("query was canceled in query execution")]
    Canceled,
    /// The deadline has passed.
    #[error("query timed out in query execution")]
    Timeout,
    /// The storage failed.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// The query is not one that can be asked so, e.g. a range vector at many steps.
    #[error("{0}")]
    Query(String),
    /// The query itself cannot be answered, e.g. many-to-many matching.
    #[error("{0}")]
    Execution(String),
    /// More samples than [`QueryOptions::max_samples`](crate::QueryOptions) would be held at once.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// More bytes than [`QueryOptions::max_bytes`](crate::QueryOptions) would be held at once.
    #[error("query processing would use too much memory in query execution: more than {limit_bytes} bytes")]
    TooManyBytes {
        /// The limit.
        limit_bytes: u64,
    },
    /// All queries that run together would hold more than [`MemoryBudget`](crate::MemoryBudget) allows; later there may
    /// be room again.
    #[error(
        "queries that are running would use too much memory in query execution: more than {limit_bytes} bytes \
         ({setting}), try again later"
    )]
    NoMemoryLeft {
        /// The limit.
        limit_bytes: u64,
        /// Where the limit is set, e.g. the name of a flag.
        setting: &'static str,
    },
}

impl EvalError {
    pub(crate) fn execution(message: impl Into<String>) -> Self {
        EvalError::Execution(message.into())
    }
}
