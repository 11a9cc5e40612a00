//! The walk against prost on requests that a Collector 0.160 sent: nanoseconds per point, and the ratio of one run.
//!
//! The requests are `tests/golden/collector-*.otlp`: host metrics, and an SDK's instruments of every kind.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_otlp::wire::{
    ExponentialPoint, HistogramPoint, Metric, MetricData, NumberPoint, NumberValue, ResourceMetrics, ScopeMetrics,
    resource_metrics,
};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Requests that a Collector sent, with their points.
const CAPTURED: [(&str, &[u8], u64); 2] = [
    ("host metrics", include_bytes!("../tests/golden/collector-hostmetrics.otlp"), 89),
    ("metrics of an SDK", include_bytes!("../tests/golden/collector-sdk.otlp"), 24),
];

/// Reads every point of every kind; attributes are passed over in one piece, as they are when their series is known.
fn walk(request: &[u8]) -> (u64, f64) {
    let (mut count, mut sum) = (0, 0.0);
    for rm in resource_metrics(request) {
        let rm = ResourceMetrics::parse(rm.expect("valid")).expect("valid");
        for sm in rm.scope_metrics() {
            let sm = ScopeMetrics::parse(sm.expect("valid")).expect("valid");
            for metric in sm.metrics() {
                let metric = Metric::parse(metric.expect("valid")).expect("valid");
                for point in metric.points() {
                    sum += read(metric.data, point.expect("valid"));
                    count += 1;
                }
            }
        }
    }
    (count, sum)
}

fn read(data: MetricData, point: &[u8]) -> f64 {
    match data {
        MetricData::Histogram { .. } => {
            let point = HistogramPoint::parse(point).expect("valid");
            point.bucket_counts.iter().sum::<u64>() as f64 + point.explicit_bounds.doubles().sum::<f64>()
        }
        MetricData::ExponentialHistogram { .. } => {
            let point = ExponentialPoint::parse(point).expect("valid");
            point.positive.counts().chain(point.negative.counts()).sum::<u64>() as f64
        }
        _ => {
            let point = NumberPoint::parse(point).expect("valid");
            point.value.map_or(0.0, NumberValue::as_f64) + point.attributes.bytes.len() as f64
        }
    }
}

/// The same by prost's messages.
fn decode(request: &[u8]) -> u64 {
    let request = ExportMetricsServiceRequest::decode(request).expect("valid");
    let scopes = request.resource_metrics.iter().flat_map(|rm| &rm.scope_metrics);
    let points = scopes.flat_map(|sm| &sm.metrics).map(|metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    });
    points.sum::<usize>() as u64
}

/// Shortest time of one of many runs, in turn with the other's: what else runs on the machine makes runs longer.
fn shortest<T>(mut run: impl FnMut() -> T) -> Duration {
    let began = Instant::now();
    for _ in 0..RUNS_AT_ONCE {
        black_box(run());
    }
    began.elapsed() / RUNS_AT_ONCE
}

/// Runs that are timed together, and how often.
const RUNS_AT_ONCE: u32 = 20;
const TURNS: usize = 300;

fn captured(c: &mut Criterion) {
    for (name, request, points) in CAPTURED {
        let (mut walked, mut decoded) = (Duration::MAX, Duration::MAX);
        for _ in 0..TURNS {
            walked = walked.min(shortest(|| walk(black_box(request))));
            decoded = decoded.min(shortest(|| decode(black_box(request))));
        }
        assert_eq!((walk(request).0, decode(request)), (points, points));
        let nanos = |time: Duration| time.as_nanos() as f64 / points as f64;
        let ratio = decoded.as_secs_f64() / walked.as_secs_f64();
        println!(
            "{name} by a Collector, {} bytes, {points} points: walk {:.1} ns a point, prost {:.1}: {ratio:.1}x",
            request.len(),
            nanos(walked),
            nanos(decoded),
        );
        let mut group = c.benchmark_group(format!("{name} by a Collector"));
        group.throughput(Throughput::Elements(points));
        group.bench_function("walk", |b| b.iter(|| walk(request)));
        group.bench_function("prost decode", |b| b.iter(|| decode(request)));
        group.finish();
    }
}

criterion_group!(all, captured);
criterion_main!(all);
