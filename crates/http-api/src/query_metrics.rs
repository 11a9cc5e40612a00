//! What queries took, by stage, and what they read.

use mytsdb_promql::{ResultCache, ResultUse};
use mytsdb_telemetry::{Counter, Description, Gauge, Histogram, LATENCY_SECONDS, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const STAGE: Description = Description::new(
    "mytsdb_query_stage_seconds",
    "Time of an answered query in each stage: wait for a turn, parse, evaluate, write what is left of the answer.",
)
.with_unit("seconds");
const SAMPLES: Description =
    Description::new("mytsdb_query_samples_read_total", "Samples that queries read; histograms count by their size.");
const SERIES: Description = Description::new("mytsdb_query_series_read_total", "Series that queries read.");

const RESULTS: Description = Description::new(
    "mytsdb_result_cache_requests_total",
    "Parts of range queries whose steps may be kept: all steps were (hit), some (partial), none (miss).",
);
const RESULT_BYTES: Description =
    Description::new("mytsdb_result_cache_bytes", "Size of the kept steps of range queries.").with_unit("bytes");
const RESULT_ENTRIES: Description =
    Description::new("mytsdb_result_cache_entries", "Parts of range queries of which steps are kept.");
const RESULT_EVICTIONS: Description =
    Description::new("mytsdb_result_cache_evictions_total", "Entries of the result cache that made room for others.");

/// Handles of the metrics of queries.
#[derive(Clone)]
pub(crate) struct QueryMetrics {
    queue: Histogram,
    parse: Histogram,
    evaluate: Histogram,
    write: Histogram,
    pub(crate) samples_read: Counter,
    pub(crate) series_read: Counter,
    result_hits: Counter,
    result_partial: Counter,
    result_misses: Counter,
    result_bytes: Gauge,
    result_entries: Gauge,
    result_evictions: Counter,
    /// How many of them are counted.
    evictions_told: Arc<AtomicU64>,
}

/// Times of one query; a range query writes series while it evaluates others, which counts as evaluation.
#[derive(Clone, Copy)]
pub(crate) struct Stages {
    pub(crate) queue: Duration,
    pub(crate) parse: Duration,
    pub(crate) evaluate: Duration,
    pub(crate) write: Duration,
}

impl QueryMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let stage = |stage| registry.histogram(&STAGE, LATENCY_SECONDS, &[("stage", stage)]);
        let results = |result| registry.counter(&RESULTS, &[("result", result)]);
        Self {
            queue: stage("queue"),
            parse: stage("parse"),
            evaluate: stage("evaluate"),
            write: stage("write"),
            samples_read: registry.counter(&SAMPLES, &[]),
            series_read: registry.counter(&SERIES, &[]),
            result_hits: results("hit"),
            result_partial: results("partial"),
            result_misses: results("miss"),
            result_bytes: registry.gauge(&RESULT_BYTES, &[]),
            result_entries: registry.gauge(&RESULT_ENTRIES, &[]),
            result_evictions: registry.counter(&RESULT_EVICTIONS, &[]),
            evictions_told: Arc::default(),
        }
    }

    /// Notes what a query had of the result cache, if it could use it, and how full that is.
    pub(crate) fn observe_results(&self, used: ResultUse, cache: Option<&ResultCache>) {
        let Some(cache) = cache else { return };
        self.result_hits.add(used.hits);
        self.result_partial.add(used.partial);
        self.result_misses.add(used.misses);
        let level = cache.level();
        self.result_bytes.set(level.bytes as f64);
        self.result_entries.set(level.entries as f64);
        // Relaxed: whoever raises it counts the difference, so that each eviction is counted once.
        let told = self.evictions_told.fetch_max(level.evictions, Ordering::Relaxed);
        self.result_evictions.add(level.evictions.saturating_sub(told));
    }

    pub(crate) fn observe(&self, stages: Stages) {
        let times = [stages.queue, stages.parse, stages.evaluate, stages.write];
        for (histogram, time) in [&self.queue, &self.parse, &self.evaluate, &self.write].into_iter().zip(times) {
            histogram.observe(time.as_secs_f64());
        }
    }
}
