//! The data of the query benchmark: counters, gauges and histograms of a small fleet, as OTLP requests.
//!
//! Attributes sit on the points, not on resources, so that every server makes the same labels of them.

use crate::template::{TIME_MARK, Template, VALUE_MARK, attribute, marked_point, request};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, NumberDataPoint, Sum,
    exponential_histogram_data_point::Buckets, metric::Data,
};
use prost::Message;
use std::ops::Range;

const CUMULATIVE: i32 = 2;
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Series that one histogram point makes: a bucket per bound, `+Inf`, sum and count.
const SERIES_PER_HISTOGRAM: usize = BOUNDS.len() + 3;
/// Buckets of a native histogram.
const NATIVE_BUCKETS: usize = 160;
/// Native histograms of a request.
const NATIVE_POINTS: usize = 500;
const JOBS: usize = 10;
const ROUTES: usize = 20;

/// Series of each kind; two fifths counters, two fifths gauges, the rest histograms.
pub(crate) struct Fleet {
    counters: usize,
    gauges: usize,
    histograms: usize,
    /// Series of native histograms.
    native: usize,
    requests: Vec<Part>,
}

/// What the points of a request are.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// A request: some points of one kind.
struct Part {
    kind: Kind,
    points: Range<usize>,
    template: Template,
}

impl Part {
    fn new(name: &str, kind: Kind, points: Range<usize>) -> Self {
        let numbers = |attributes: fn(usize) -> Vec<KeyValue>| -> Vec<NumberDataPoint> {
            points.clone().map(|point| marked_point(attributes(point))).collect()
        };
        let data = match kind {
            Kind::Counter => Data::Sum(Sum {
                data_points: numbers(attributes),
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
            }),
            Kind::Gauge => Data::Gauge(Gauge { data_points: numbers(attributes) }),
            Kind::Info => Data::Gauge(Gauge { data_points: numbers(info_attributes) }),
            Kind::Histogram => Data::Histogram(Histogram {
                data_points: points.clone().map(histogram_point).collect(),
                aggregation_temporality: CUMULATIVE,
            }),
        };
        let value_count = points.clone().map(|point| values(kind, point, 0).len()).sum();
        let template = Template::new(&request(name, data), points.len(), value_count);
        Self { kind, points, template }
    }

    /// The request of one round.
    fn fill(&self, time_unix_ms: i64, round: usize) -> Vec<u8> {
        self.template.fill(time_unix_ms, self.points.clone().flat_map(|point| values(self.kind, point, round)))
    }
}

impl Fleet {
    /// A fleet of about `series` series, in requests of about a thousand points.
    pub(crate) fn new(series: usize) -> Self {
        let (counters, gauges) = (series * 2 / 5, series * 2 / 5);
        let mut fleet =
            Self { counters, gauges, histograms: series / 5 / SERIES_PER_HISTOGRAM, native: 0, requests: Vec::new() };
        let (histograms, instances) = (fleet.histograms, fleet.instances());
        for (name, kind, count) in [
            ("bench_requests", Kind::Counter, counters),
            ("bench_depth", Kind::Gauge, gauges),
            ("bench_latency", Kind::Histogram, histograms),
            ("bench_info", Kind::Info, instances),
        ] {
            for first in (0..count).step_by(1_000) {
                fleet.requests.push(Part::new(name, kind, first..count.min(first + 1_000)));
            }
        }
        fleet
    }

    /// Series that a store has of it.
    pub(crate) fn series(&self) -> usize {
        // One info series per instance goes with the counters.
        self.counters + self.gauges + self.histograms * SERIES_PER_HISTOGRAM + self.instances() + self.native
    }

    /// The fleet with some series of native histograms.
    pub(crate) fn with_native_histograms(self, native: usize) -> Self {
        Self { native, ..self }
    }

    fn instances(&self) -> usize {
        self.counters.div_ceil(ROUTES)
    }

    /// Everything at one time, encoded.
    pub(crate) fn requests(&self, time_unix_ms: i64, round: usize) -> Vec<Vec<u8>> {
        let native = (0..self.native).step_by(NATIVE_POINTS).map(|first| {
            let points = first..self.native.min(first + NATIVE_POINTS);
            let data_points = points.map(|point| native_point(point, time_unix_ms, round)).collect();
            let data = ExponentialHistogram { data_points, aggregation_temporality: CUMULATIVE };
            request("bench_sizes", Data::ExponentialHistogram(data)).encode_to_vec()
        });
        self.requests.iter().map(|part| part.fill(time_unix_ms, round)).chain(native).collect()
    }
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

/// Mixes two numbers into a few pseudo-random bits.
fn noise(a: usize, b: usize) -> u64 {
    let mut x = (a as u64) << 32 ^ b as u64;
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

fn info_attributes(instance: usize) -> Vec<KeyValue> {
    let mut attributes = attributes(instance * ROUTES);
    attributes.retain(|a| a.key == "job" || a.key == "instance");
    attributes.push(attribute("version", format!("1.{}", instance % 7)));
    attributes
}

fn histogram_point(point: usize) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(point),
        time_unix_nano: TIME_MARK,
        count: VALUE_MARK,
        sum: Some(f64::from_bits(VALUE_MARK)),
        bucket_counts: vec![VALUE_MARK; BOUNDS.len() + 1],
        explicit_bounds: BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    }
}

/// A native histogram, whose buckets grow unevenly and never shrink. Its counts have no fixed size, so it is encoded anew.
fn native_point(point: usize, time_unix_ms: i64, round: usize) -> ExponentialHistogramDataPoint {
    let bucket_counts: Vec<u64> = (0..NATIVE_BUCKETS)
        .map(|bucket| {
            let step = (point + bucket * 7) as u64 % 11 + 3;
            round as u64 * step + noise(point * NATIVE_BUCKETS + bucket, round) % 3
        })
        .collect();
    ExponentialHistogramDataPoint {
        attributes: attributes(point),
        time_unix_nano: time_unix_ms as u64 * 1_000_000,
        count: bucket_counts.iter().sum(),
        sum: Some(round as f64 * 1.25 + point as f64),
        scale: 3,
        positive: Some(Buckets { offset: -80, bucket_counts }),
        ..ExponentialHistogramDataPoint::default()
    }
}

/// The eight-byte fields of a point in a round, in the order in which they are encoded.
fn values(kind: Kind, point: usize, round: usize) -> Vec<u64> {
    match kind {
        // Grows unevenly and starts anew now and then.
        Kind::Counter => {
            let since_reset = (round + point * 13) % 2_003;
            let value = since_reset as u64 * (point as u64 % 50 + 5) + noise(point, round) % 5;
            vec![(value as f64).to_bits()]
        }
        // Two decimals.
        Kind::Gauge => vec![((point % 100) as f64 + (noise(point, round) % 1_000) as f64 / 100.0).to_bits()],
        Kind::Info => vec![1f64.to_bits()],
        Kind::Histogram => {
            let counts = (0..=BOUNDS.len()).map(|bucket| {
                round as u64 * ((point + bucket * 7) as u64 % 11) + noise(point * 16 + bucket, round) % 3
            });
            let sum = round as f64 * 1.25 + point as f64;
            [counts.clone().sum(), sum.to_bits()].into_iter().chain(counts).collect()
        }
    }
}
