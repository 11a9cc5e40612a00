//! Bounds on connections.

use std::time::Duration;

/// Settings of [`serve`](crate::serve); bounds on requests are [`IngestOptions`](mytsdb_ingest::IngestOptions).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Connections at the same time; more wait to be accepted.
    pub connections_max: usize,
    /// Time for a request's head to arrive; also how long an idle connection is kept.
    pub head_timeout: Duration,
    /// How long requests that are being worked on may still take once shutdown is asked for.
    pub shutdown_grace: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { connections_max: 512, head_timeout: Duration::from_mins(1), shutdown_grace: Duration::from_secs(10) }
    }
}
