//! The data of the query benchmark: counters, gauges and histograms of a small fleet, as OTLP requests.
//!
//! Attributes sit on the points, not on resources, so that every server makes the same labels of them.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point,
};
use prost::Message;

const CUMULATIVE: i32 = 2;
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Series that one histogram point makes: a bucket per bound, `+Inf`, sum and count.
const SERIES_PER_HISTOGRAM: usize = BOUNDS.len() + 3;
const JOBS: usize = 10;
const ROUTES: usize = 20;

/// Series of each kind; two fifths counters, two fifths gauges, the rest histograms.
pub(crate) struct Fleet {
    counters: usize,
    gauges: usize,
    histograms: usize,
}

impl Fleet {
    /// A fleet of about `series` series.
    pub(crate) fn new(series: usize) -> Self {
        Self { counters: series * 2 / 5, gauges: series * 2 / 5, histograms: series / 5 / SERIES_PER_HISTOGRAM }
    }

    /// Series that a store has of it.
    pub(crate) fn series(&self) -> usize {
        // One info series per instance goes with the counters.
        self.counters + self.gauges + self.histograms * SERIES_PER_HISTOGRAM + self.instances()
    }

    fn instances(&self) -> usize {
        self.counters.div_ceil(ROUTES)
    }

    /// Everything at one time, encoded, in requests of about a thousand points.
    pub(crate) fn requests(&self, time_unix_ms: i64, round: usize) -> Vec<Vec<u8>> {
        let time = time_unix_ms as u64 * 1_000_000;
        let mut metrics = Vec::new();
        for from in (0..self.counters).step_by(1_000) {
            let points = (from..self.counters.min(from + 1_000)).map(|s| counter(s, round, time)).collect();
            let sum = Sum { data_points: points, aggregation_temporality: CUMULATIVE, is_monotonic: true };
            metrics.push(metric("bench_requests", Data::Sum(sum)));
        }
        for from in (0..self.gauges).step_by(1_000) {
            let points = (from..self.gauges.min(from + 1_000)).map(|s| gauge(s, round, time)).collect();
            metrics.push(metric("bench_depth", Data::Gauge(Gauge { data_points: points })));
        }
        let points = (0..self.histograms).map(|s| histogram(s, round, time)).collect();
        let histogram = Histogram { data_points: points, aggregation_temporality: CUMULATIVE };
        metrics.push(metric("bench_latency", Data::Histogram(histogram)));
        let points = (0..self.instances()).map(|i| info(i, time)).collect();
        metrics.push(metric("bench_info", Data::Gauge(Gauge { data_points: points })));
        metrics.into_iter().map(|metric| request(metric).encode_to_vec()).collect()
    }
}

fn request(metric: Metric) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn attributes(series: usize) -> Vec<KeyValue> {
    let instance = series / ROUTES;
    vec![
        attribute("job", format!("job-{}", instance % JOBS)),
        attribute("instance", format!("10.0.{}.{}:8080", instance / 256, instance % 256)),
        attribute("route", format!("/api/v1/resource{}", series % ROUTES)),
        attribute("zone", ["eu-west-1a", "eu-west-1b", "eu-west-1c"][instance % 3].into()),
    ]
}

fn number(attributes: Vec<KeyValue>, time: u64, value: f64) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsDouble(value));
    NumberDataPoint { attributes, time_unix_nano: time, value, ..NumberDataPoint::default() }
}

/// Mixes two numbers into a few pseudo-random bits.
fn noise(a: usize, b: usize) -> u64 {
    let mut x = (a as u64) << 32 ^ b as u64;
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// A counter that grows unevenly and starts anew now and then.
fn counter(series: usize, round: usize, time: u64) -> NumberDataPoint {
    let since_reset = (round + series * 13) % 2_003;
    let value = since_reset as u64 * (series as u64 % 50 + 5) + noise(series, round) % 5;
    number(attributes(series), time, value as f64)
}

/// A gauge with two decimals.
fn gauge(series: usize, round: usize, time: u64) -> NumberDataPoint {
    number(attributes(series), time, (series % 100) as f64 + (noise(series, round) % 1_000) as f64 / 100.0)
}

fn info(instance: usize, time: u64) -> NumberDataPoint {
    let mut attributes = attributes(instance * ROUTES);
    attributes.retain(|a| a.key == "job" || a.key == "instance");
    attributes.push(attribute("version", format!("1.{}", instance % 7)));
    number(attributes, time, 1.0)
}

fn histogram(series: usize, round: usize, time: u64) -> HistogramDataPoint {
    let counts: Vec<u64> = (0..=BOUNDS.len())
        .map(|bucket| round as u64 * ((series + bucket * 7) as u64 % 11) + noise(series * 16 + bucket, round) % 3)
        .scan(0, |_, count| Some(count))
        .collect();
    HistogramDataPoint {
        attributes: attributes(series),
        time_unix_nano: time,
        count: counts.iter().sum(),
        sum: Some(round as f64 * 1.25 + series as f64),
        bucket_counts: counts,
        explicit_bounds: BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    }
}
