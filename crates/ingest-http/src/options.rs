//! Bounds on connections.

use mytsdb_listener::{Acceptor, ListenerOptions};
use mytsdb_telemetry::Registry;
use std::time::Duration;

/// Settings of [`serve`](crate::serve); bounds on requests are [`IngestOptions`](mytsdb_ingest::IngestOptions).
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Accepts connections and bounds them.
    pub acceptor: Acceptor,
    /// How long requests that are being worked on may still take once shutdown is asked for.
    pub shutdown_grace: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        let acceptor = Acceptor::new("otlp_http", ListenerOptions::default(), &Registry::new());
        Self { acceptor, shutdown_grace: Duration::from_secs(10) }
    }
}
