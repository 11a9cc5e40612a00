//! Answers for requests that fail, in the codes that make a sender drop or retry as it should.
//!
//! An OTLP client retries `CANCELLED`, `DEADLINE_EXCEEDED`, `ABORTED`, `OUT_OF_RANGE`, `UNAVAILABLE`, `DATA_LOSS`, and
//! `RESOURCE_EXHAUSTED` only with `RetryInfo`; everything else it drops at once (OTLP specification, failures).

use mytsdb_engine::EngineError;
use std::time::{Duration, SystemTime};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The request can never be stored: the sender drops it.
pub(crate) fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

/// The request is larger than this server ever takes: the sender drops it, for without `RetryInfo` it must not come back.
pub(crate) fn too_large(message: impl Into<String>) -> Status {
    Status::resource_exhausted(message)
}

/// There is no room now: the sender waits, then comes back.
pub(crate) fn overloaded(message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_retry_info(Some(retry_delay()));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// Nothing can be stored now: the sender comes back, perhaps to another server.
pub(crate) fn unavailable(message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_retry_info(Some(retry_delay()));
    Status::with_error_details(Code::Unavailable, message, details)
}

/// The answer to a batch that failed as a whole.
pub(crate) fn from_engine(error: &EngineError) -> Status {
    match error {
        EngineError::Overloaded { .. } | EngineError::SeriesLimit { .. } => overloaded(error.to_string()),
        // Whatever it is, the data is good and the sender should keep it.
        _ => unavailable(error.to_string()),
    }
}

/// 1 to 5 s, spread so that senders do not come back all at once. The clock's lowest digits are random enough for that.
fn retry_delay() -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Duration::from_millis(1000 + u64::from(nanos / 1000 % 4000))
}
