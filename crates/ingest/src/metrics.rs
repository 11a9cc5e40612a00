//! What is counted for each protocol.

use crate::Refusal;
use mytsdb_otlp::{PointLimit, RefusalReason, Refusals};
use mytsdb_telemetry::{Counter, Description, Gauge, Histogram, LATENCY_SECONDS, Registry};
use std::time::Duration;

const POINTS: Description = Description::new("mytsdb_ingest_points_total", "Data points stored, by protocol.");
const REFUSED: Description =
    Description::new("mytsdb_ingest_refused_points_total", "Data points refused for good, by protocol and reason.");
const LIMITED_POINTS: Description = Description::new(
    "mytsdb_ingest_limited_points_total",
    "Data points that were refused by a limit, by protocol and the limit's setting.",
);
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
const LIMITED: Description = Description::new(
    "mytsdb_ingest_limited_requests_total",
    "Write requests that were refused by a limit, by protocol and the limit's setting.",
);
const STAGE: Description = Description::new(
    "mytsdb_ingest_stage_seconds",
    "Time of a write request in each stage, by protocol: translate to series and samples, store until it is durable.",
)
.with_unit("seconds");
const CACHE: Description =
    Description::new("mytsdb_ingest_series_cache_entries", "Entries of the cache that knows points by their bytes.");

/// The settings that a whole request can be refused by.
const LIMITS: [&str; 9] = [
    "max-request-bytes",
    "max-compressed-bytes",
    "max-compression-ratio",
    "max-in-flight-bytes",
    "max-new-series-per-second",
    "max-series",
    "max-staged-samples",
    "request-body-timeout",
    "min-body-bytes-per-second",
];

/// Handles of all metrics of this crate; a clone counts into the same ones.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    points: Counter,
    refused: [Counter; RefusalReason::ALL.len()],
    limited_points: [Counter; PointLimit::ALL.len()],
    requests: Vec<(&'static str, Counter)>,
    limited: [Counter; LIMITS.len()],
    duration: Histogram,
    translate_seconds: Histogram,
    store_seconds: Histogram,
    bytes: Counter,
    pub(crate) in_flight_bytes: Gauge,
    pub(crate) cache_entries: Gauge,
}

impl IngestMetrics {
    /// Registers the metrics under `mytsdb_ingest_*` with the label `protocol`. `codes` are what requests are answered
    /// with, in the protocol's words; the last one also stands for whatever is not among them.
    ///
    /// # Panics
    /// If there are no codes.
    pub fn new(registry: &Registry, protocol: &'static str, codes: &[&'static str]) -> Self {
        assert!(!codes.is_empty(), "a request is answered with something");
        let protocol = ("protocol", protocol);
        let request = |code: &&'static str| (*code, registry.counter(&REQUESTS, &[protocol, ("code", *code)]));
        let stage = |stage| registry.histogram(&STAGE, LATENCY_SECONDS, &[protocol, ("stage", stage)]);
        Self {
            points: registry.counter(&POINTS, &[protocol]),
            refused: RefusalReason::ALL
                .map(|reason| registry.counter(&REFUSED, &[protocol, ("reason", reason.as_str())])),
            limited_points: PointLimit::ALL
                .map(|limit| registry.counter(&LIMITED_POINTS, &[protocol, ("limit", limit.setting())])),
            requests: codes.iter().map(request).collect(),
            limited: LIMITS.map(|limit| registry.counter(&LIMITED, &[protocol, ("limit", limit)])),
            duration: registry.histogram(&DURATION, LATENCY_SECONDS, &[protocol]),
            translate_seconds: stage("translate"),
            store_seconds: stage("store"),
            bytes: registry.counter(&BYTES, &[protocol]),
            in_flight_bytes: registry.gauge(&IN_FLIGHT, &[protocol]),
            cache_entries: registry.gauge(&CACHE, &[]),
        }
    }

    /// Counts an answer and the time it took.
    pub fn count_request(&self, code: &str, duration: Duration) {
        let known = self.requests.iter().find(|(known, _)| *known == code).or(self.requests.last());
        if let Some((_, counter)) = known {
            counter.inc();
        }
        self.duration.observe(duration.as_secs_f64());
    }

    /// Counts a request that was refused by a limit; any other refusal is not counted here.
    pub fn count_refusal(&self, refusal: &Refusal) {
        let limit = refusal.flag().and_then(|flag| flag.strip_prefix("--"));
        let known = self.limited.iter().zip(LIMITS).find(|(_, known)| Some(*known) == limit);
        if let Some((counter, _)) = known {
            counter.inc();
        }
    }

    pub(crate) fn count_stages(&self, translate: Duration, store: Duration) {
        self.translate_seconds.observe(translate.as_secs_f64());
        self.store_seconds.observe(store.as_secs_f64());
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes.add(bytes as u64);
    }

    pub(crate) fn count_points(&self, stored: u64, refused: &Refusals) {
        self.points.add(stored);
        for (counter, reason) in self.refused.iter().zip(RefusalReason::ALL) {
            counter.add(refused.count(reason));
        }
        for (counter, limit) in self.limited_points.iter().zip(PointLimit::ALL) {
            counter.add(refused.count(RefusalReason::Limit(limit)));
        }
    }
}
