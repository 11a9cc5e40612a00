//! What queries took, by stage, and what they read.

use mytsdb_telemetry::{Counter, Description, Histogram, LATENCY_SECONDS, Registry};
use std::time::Duration;

const STAGE: Description = Description::new(
    "mytsdb_query_stage_seconds",
    "Time of an answered query in each stage: wait for a turn, parse, evaluate, write what is left of the answer.",
)
.with_unit("seconds");
const SAMPLES: Description =
    Description::new("mytsdb_query_samples_read_total", "Samples that queries read; histograms count by their size.");
const SERIES: Description = Description::new("mytsdb_query_series_read_total", "Series that queries read.");

/// Handles of the metrics of queries.
#[derive(Clone)]
pub(crate) struct QueryMetrics {
    queue: Histogram,
    parse: Histogram,
    evaluate: Histogram,
    write: Histogram,
    pub(crate) samples_read: Counter,
    pub(crate) series_read: Counter,
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
        Self {
            queue: stage("queue"),
            parse: stage("parse"),
            evaluate: stage("evaluate"),
            write: stage("write"),
            samples_read: registry.counter(&SAMPLES, &[]),
            series_read: registry.counter(&SERIES, &[]),
        }
    }

    pub(crate) fn observe(&self, stages: Stages) {
        let times = [stages.queue, stages.parse, stages.evaluate, stages.write];
        for (histogram, time) in [&self.queue, &self.parse, &self.evaluate, &self.write].into_iter().zip(times) {
            histogram.observe(time.as_secs_f64());
        }
    }
}
