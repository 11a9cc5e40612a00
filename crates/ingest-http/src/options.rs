//! Bounds on connections.

use mytsdb_listener::{Door, ListenerOptions};
use mytsdb_telemetry::Registry;
use std::time::Duration;

/// Settings of [`serve`](crate::serve); bounds on requests are [`IngestOptions`](mytsdb_ingest::IngestOptions).
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Gives connections their places.
    pub door: Door,
    /// How long requests that are being worked on may still take once shutdown is asked for.
    pub shutdown_grace: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        let door = Door::new("otlp_http", ListenerOptions::default(), &Registry::new());
        Self { door, shutdown_grace: Duration::from_secs(10) }
    }
}
