//! Why a request as a whole is not stored, and whether sending it again helps.

use mytsdb_engine::EngineError;
use std::time::{Duration, SystemTime};

/// Errors of this crate. Each protocol has its own words for them; see the variants for what the sender should do.
///
/// Messages are sentences for the sender. They name limits with their flags and are at most some hundred bytes long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request can never be read: the sender drops it.
    #[error("{message}")]
    Malformed {
        /// What is wrong.
        message: String,
    },
    /// The request is over a limit of size, and will be so next time: the sender drops it.
    #[error("{message}")]
    TooLarge {
        /// What is too large, with the limit and its flag.
        message: String,
        /// The limit, in the unit of its flag.
        limit: usize,
        /// The setting to change.
        flag: &'static str,
    },
    /// There is no room now: the sender waits, then comes back.
    #[error("{message}")]
    Overloaded {
        /// What there is too much of.
        message: String,
        /// How long to wait.
        retry_after: Duration,
        /// The setting that bounds it.
        flag: &'static str,
    },
    /// Nothing can be stored now: the sender comes back, perhaps to another server.
    #[error("{message}")]
    Unavailable {
        /// What kind of obstacle it is.
        cause: Unavailable,
        /// The obstacle.
        message: String,
        /// How long to wait.
        retry_after: Duration,
    },
}

/// Why nothing can be stored now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// The store is not open yet.
    Starting,
    /// The server is shutting down.
    Stopping,
    /// The log could not be written or synced: nothing is taken until it is opened anew.
    Poisoned,
    /// The disk has hardly any room left.
    DiskLow,
    /// The request's bytes did not all arrive.
    Transfer,
    /// The request's bytes did not arrive in time.
    SlowBody,
    /// The request's bytes arrive too slowly.
    SlowRate,
    /// Something else, a bug included; the data is good and the sender should keep it.
    Internal,
}

impl Refusal {
    /// The request cannot be read.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed { message: message.into() }
    }

    /// A request that is over `limit`; `what` says what has how many bytes.
    pub(crate) fn too_large(what: &str, limit: usize, flag: &'static str) -> Self {
        Self::TooLarge { message: format!("{what}, the limit is {limit} ({flag})"), limit, flag }
    }

    /// There is no room now, by the setting `flag`.
    pub fn overloaded(message: impl Into<String>, flag: &'static str) -> Self {
        Self::Overloaded { message: message.into(), retry_after: retry_after(), flag }
    }

    /// The setting whose limit the request is over, if that is what is wrong.
    pub fn flag(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge { flag, .. } | Self::Overloaded { flag, .. } => Some(flag),
            Self::Unavailable { cause: Unavailable::SlowBody, .. } => Some("--request-body-timeout"),
            Self::Unavailable { cause: Unavailable::SlowRate, .. } => Some("--min-body-bytes-per-second"),
            Self::Malformed { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// The body of the request did not arrive within `timeout`.
    pub fn slow_body(timeout: Duration) -> Self {
        let message = format!("the request's body took over {timeout:?} to arrive, the limit (--request-body-timeout)");
        Self::unavailable(Unavailable::SlowBody, message)
    }

    /// The body of the request arrives at fewer than `floor` bytes a second.
    pub(crate) fn slow_rate(floor: u32) -> Self {
        let limit = format!("{floor} bytes a second, the limit (--min-body-bytes-per-second)");
        Self::unavailable(Unavailable::SlowRate, format!("the request's body arrives at fewer than {limit}"))
    }

    /// Nothing can be stored now.
    pub fn unavailable(cause: Unavailable, message: impl Into<String>) -> Self {
        Self::Unavailable { cause, message: message.into(), retry_after: retry_after() }
    }

    /// How long the sender should wait before it sends the request again; `None` if that never helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Malformed { .. } | Self::TooLarge { .. } => None,
            Self::Overloaded { retry_after, .. } | Self::Unavailable { retry_after, .. } => Some(*retry_after),
        }
    }
}

impl From<&EngineError> for Refusal {
    /// The answer to a batch that failed as a whole.
    fn from(error: &EngineError) -> Self {
        let cause = match error {
            EngineError::Overloaded { .. } => return Self::overloaded(error.to_string(), "--max-staged-samples"),
            EngineError::SeriesLimit { .. } => return Self::overloaded(error.to_string(), "--max-series"),
            EngineError::Stopped => Unavailable::Stopping,
            EngineError::Wal(_) => Unavailable::Poisoned,
            EngineError::DiskLow { .. } => Unavailable::DiskLow,
            // Whatever the reason, the data is good and the sender should keep it.
            _ => Unavailable::Internal,
        };
        Self::unavailable(cause, error.to_string())
    }
}

/// 1 to 5 s, spread so that senders do not come back all at once. The clock's lowest digits are random enough for that.
fn retry_after() -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Duration::from_millis(1000 + u64::from(nanos / 1000 % 4000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_worth_a_retry() {
        let waits = |refusal: Refusal| refusal.retry_after().map(|wait| (1..=5).contains(&wait.as_secs()));
        assert_eq!(waits(Refusal::malformed("x")), None);
        assert_eq!(waits(Refusal::too_large("request of 3 bytes", 2, "--flag")), None);
        assert_eq!(waits((&EngineError::Overloaded { limit: 1 }).into()), Some(true));
        assert_eq!(waits((&EngineError::Stopped).into()), Some(true));
        assert_eq!(waits((&EngineError::UnknownSeries).into()), Some(true));
        let low = Refusal::from(&EngineError::DiskLow { free_bytes: 1, floor_bytes: 2 });
        assert!(low.to_string().contains("--disk-floor-bytes"), "{low}");
        assert!(matches!(low, Refusal::Unavailable { cause: Unavailable::DiskLow, .. }));
        assert_eq!(waits(low), Some(true));
    }

    #[test]
    fn a_limit_is_named_with_its_flag() {
        let refusal = Refusal::too_large("request of 3 bytes", 2, "--max-request-bytes");
        assert_eq!(refusal.to_string(), "request of 3 bytes, the limit is 2 (--max-request-bytes)");
    }
}
