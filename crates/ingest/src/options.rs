//! Bounds on requests, whatever protocol they come by.

use std::time::Duration;

/// Settings of [`Ingest`](crate::Ingest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestOptions {
    /// Bytes of a request when it is decompressed (`--max-request-bytes`).
    pub max_message_bytes: usize,
    /// Bytes of a compressed request as it arrives (`--max-compressed-bytes`).
    pub max_compressed_bytes: usize,
    /// Decompressed bytes per compressed byte, above the first MiB (`--max-compression-ratio`).
    pub max_compression_ratio: usize,
    /// Bytes of all requests that are being worked on (`--max-in-flight-bytes`); at least one request of the
    /// largest size always fits.
    pub max_in_flight_bytes: usize,
    /// Series that begin, each second on average (`--max-new-series-per-second`); 0 for no limit.
    pub max_new_series_per_second: u64,
    /// Series that may begin at once (`--max-new-series-burst`).
    pub max_new_series_burst: u64,
    /// How long a request waits for room before its sender is told to come back.
    pub queue_timeout: Duration,
    /// How long a request's body may take to arrive (`--request-body-timeout`).
    pub body_timeout: Duration,
    /// Bytes a second of a request's body, on average (`--min-body-bytes-per-second`); 0 for no limit.
    pub min_body_bytes_per_second: u32,
    /// How long a sender may be waited for before that counts.
    pub body_grace: Duration,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            max_message_bytes: 64 << 20,
            max_compressed_bytes: 32 << 20,
            max_compression_ratio: 200,
            max_in_flight_bytes: 256 << 20,
            max_new_series_per_second: 10_000,
            // As many as a large fleet has: what begins all at once when senders are pointed here for the first time. A smaller
            // burst would keep them waiting for as many seconds as they have tens of thousands of series, while `--max-series`
            // bounds the memory in any case; the rate is against what goes on for hours.
            max_new_series_burst: 1_000_000,
            queue_timeout: Duration::from_secs(1),
            body_timeout: Duration::from_secs(30),
            min_body_bytes_per_second: 1 << 10,
            body_grace: Duration::from_secs(5),
        }
    }
}
