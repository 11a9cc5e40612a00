//! What the edge counts.

use mytsdb_otlp::{RefusalReason, Refusals};
use mytsdb_telemetry::{Counter, Description, Gauge, Histogram, LATENCY_SECONDS, Registry};
use std::time::Duration;
use tonic::Code;

const PROTOCOL: (&str, &str) = ("protocol", "otlp_grpc");

const POINTS: Description = Description::new("mytsdb_ingest_points_total", "Data points stored, by protocol.");
const REFUSED: Description =
    Description::new("mytsdb_ingest_refused_points_total", "Data points refused for good, by protocol and reason.");
const REQUESTS: Description =
    Description::new("mytsdb_ingest_requests_total", "Write requests answered, by protocol and code.");
const DURATION: Description = Description::new(
    "mytsdb_ingest_request_duration_seconds",
    "Time from a write request's headers to its answer, by protocol.",
)
.with_unit("seconds");
const BYTES: Description =
    Description::new("mytsdb_ingest_received_bytes_total", "Bytes of write requests after decompression, by protocol.")
        .with_unit("bytes");
const IN_FLIGHT: Description =
    Description::new("mytsdb_ingest_in_flight_bytes", "Bytes of write requests being worked on, by protocol.")
        .with_unit("bytes");
const CACHE: Description =
    Description::new("mytsdb_ingest_series_cache_entries", "Entries of the cache that knows points by their bytes.");

/// The codes that are answered; anything else would be counted as `unknown`.
const CODES: [(Code, &str); 9] = [
    (Code::Ok, "ok"),
    (Code::InvalidArgument, "invalid_argument"),
    (Code::ResourceExhausted, "resource_exhausted"),
    (Code::Unavailable, "unavailable"),
    (Code::Unimplemented, "unimplemented"),
    (Code::DeadlineExceeded, "deadline_exceeded"),
    (Code::Cancelled, "cancelled"),
    (Code::Internal, "internal"),
    (Code::Unknown, "unknown"),
];

/// Handles of all metrics of this crate; a clone counts into the same ones.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    points: Counter,
    refused: [Counter; RefusalReason::ALL.len()],
    requests: [Counter; CODES.len()],
    duration: Histogram,
    bytes: Counter,
    pub(crate) in_flight_bytes: Gauge,
    pub(crate) cache_entries: Gauge,
}

impl IngestMetrics {
    /// Registers the metrics under `mytsdb_ingest_*` with `protocol="otlp_grpc"`.
    pub fn new(registry: &Registry) -> Self {
        Self {
            points: registry.counter(&POINTS, &[PROTOCOL]),
            refused: RefusalReason::ALL
                .map(|reason| registry.counter(&REFUSED, &[PROTOCOL, ("reason", reason.as_str())])),
            requests: CODES.map(|(_, code)| registry.counter(&REQUESTS, &[PROTOCOL, ("code", code)])),
            duration: registry.histogram(&DURATION, LATENCY_SECONDS, &[PROTOCOL]),
            bytes: registry.counter(&BYTES, &[PROTOCOL]),
            in_flight_bytes: registry.gauge(&IN_FLIGHT, &[PROTOCOL]),
            cache_entries: registry.gauge(&CACHE, &[]),
        }
    }

    pub(crate) fn count_request(&self, code: Code, duration: Duration) {
        let known = CODES.iter().position(|(c, _)| *c == code).unwrap_or(CODES.len() - 1);
        self.requests[known].inc();
        self.duration.observe(duration.as_secs_f64());
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
    }

    pub(crate) fn count_points(&self, stored: u64, refused: &Refusals) {
        self.points.add(stored);
        for (counter, reason) in self.refused.iter().zip(RefusalReason::ALL) {
            counter.add(refused.count(reason));
        }
    }
}
