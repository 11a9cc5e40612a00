//! Bounds of a listener's connections.

use std::time::Duration;

/// Settings of an [`Acceptor`](crate::Acceptor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Connections at the same time (`--max-connections`).
    pub connections_max: usize,
    /// Connections beyond that while all of them are busy. They are [spare](crate::Slot::is_spare): a server answers
    /// them with little more than its health.
    pub spare_connections_max: usize,
    /// Streams that one HTTP/2 connection may have open (`--max-streams-per-connection`).
    pub streams_max: u32,
    /// Bytes of the names and values of a request's headers (`--max-header-bytes`).
    pub header_bytes_max: u32,
    /// Time for a request's head, or for a TLS handshake, to arrive, from its first byte (`--connection-head-timeout`).
    pub head_timeout: Duration,
    /// Time that a connection may be without a request, or not take what is written to it (`--connection-idle-timeout`).
    pub idle_timeout: Duration,
    /// Longest request target that is passed on whole, in bytes and escaped. Of a longer one `target_bytes_max` + 1
    /// bytes are passed on, so that whoever reads it sees that it is too long. `None`: HTTP/1 is passed on as it is.
    pub target_bytes_max: Option<usize>,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            spare_connections_max: 64,
            streams_max: 256,
            header_bytes_max: 16 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(5),
            target_bytes_max: None,
        }
    }
}
