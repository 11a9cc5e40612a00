//! Bounds on connections.

use mytsdb_listener::{Acceptor, ListenerOptions};
use mytsdb_telemetry::Registry;
use std::time::Duration;

/// Settings of the server; bounds on requests are [`IngestOptions`](mytsdb_ingest::IngestOptions).
#[derive(Debug, Clone)]
pub struct GrpcOptions {
    /// Accepts connections and bounds them, and says who may write.
    pub acceptor: Acceptor,
    /// How long requests that are being worked on may still take once shutdown is asked for.
    pub shutdown_grace: Duration,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        let acceptor = Acceptor::new("otlp_grpc", ListenerOptions::default(), &Registry::new());
        Self { acceptor, shutdown_grace: Duration::from_secs(10) }
    }
}
