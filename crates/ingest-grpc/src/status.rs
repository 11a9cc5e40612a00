//! Refusals in the codes that make a sender drop or retry as it should.
//!
//! An OTLP client retries `CANCELLED`, `DEADLINE_EXCEEDED`, `ABORTED`, `OUT_OF_RANGE`, `UNAVAILABLE`, `DATA_LOSS`, and
//! `RESOURCE_EXHAUSTED` only with `RetryInfo`; everything else it drops at once (OTLP specification, failures).

use http::StatusCode;
use mytsdb_ingest::Refusal;
use mytsdb_listener::TurnedAway;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What each code is called in metrics; anything else is counted as the last.
pub(crate) const CODE_NAMES: [&str; 9] = [
    "ok",
    "invalid_argument",
    "resource_exhausted",
    "unavailable",
    "unimplemented",
    "deadline_exceeded",
    "cancelled",
    "internal",
    "unknown",
];

/// The name of `code` in metrics.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::InvalidArgument => "invalid_argument",
        Code::ResourceExhausted => "resource_exhausted",
        Code::Unavailable => "unavailable",
        Code::Unimplemented => "unimplemented",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::Cancelled => "cancelled",
        Code::Internal => "internal",
        _ => "unknown",
    }
}

/// The answer to a refused request.
pub(crate) fn from_refusal(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Malformed { .. } => Code::InvalidArgument,
        // Only what is worth a retry comes with `RetryInfo`: what is too large once is always.
        Refusal::TooLarge { .. } | Refusal::Overloaded { .. } => Code::ResourceExhausted,
        // What is not known here must not cost the sender its data.
        _ => Code::Unavailable,
    };
    match refusal.retry_after() {
        None => Status::new(code, refusal.to_string()),
        wait => Status::with_error_details(code, refusal.to_string(), ErrorDetails::with_retry_info(wait)),
    }
}

/// The answer to a request that was not let in. What may pass comes with `RetryInfo`.
pub(crate) fn from_turned_away(reason: &TurnedAway) -> Status {
    let code = match (reason, reason.status()) {
        (_, StatusCode::UNAUTHORIZED) => Code::Unauthenticated,
        (_, StatusCode::FORBIDDEN) => Code::PermissionDenied,
        // With `RetryInfo` only if it may pass.
        (TurnedAway::Crowded { .. } | TurnedAway::Headers { .. }, _) => Code::ResourceExhausted,
        _ => Code::Unavailable,
    };
    match reason.retry_after() {
        None => Status::new(code, reason.to_string()),
        wait => Status::with_error_details(code, reason.to_string(), ErrorDetails::with_retry_info(wait)),
    }
}
