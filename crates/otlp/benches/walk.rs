//! Nanoseconds per point: the walk alone, and the whole translation when the cache knows every point.
//!
//! Data: 5 resource attributes, 4 point attributes, 20 points per metric, about 174 bytes a point; series are fixed.

mod columns;

use columns::Columns;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_otlp::wire::{Metric, NumberPoint, NumberValue, ResourceMetrics, ScopeMetrics, resource_metrics};
use mytsdb_otlp::{Options, Translator};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{self as proto, metric::Data, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

fn kv(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

fn request(point_count: usize, points_per_metric: usize) -> Vec<u8> {
    let point = |id: usize| proto::NumberDataPoint {
        attributes: vec![
            kv("http.request.method", ["GET", "POST", "PUT", "DELETE"][id % 4].into()),
            kv("http.route", format!("/api/v1/resource{}/items", id % 997)),
            kv("http.response.status_code", (200 + id % 5 * 100).to_string()),
            kv("server.address", format!("pod-{}", id / 4)),
        ],
        start_time_unix_nano: 1_760_000_000_000_000_000,
        time_unix_nano: 1_760_000_015_000_000_000,
        value: Some(number_data_point::Value::AsDouble(id as f64 / 100.0)),
        ..Default::default()
    };
    let metric = |index: usize| {
        let ids = index * points_per_metric..((index + 1) * points_per_metric).min(point_count);
        let data_points = ids.map(point).collect();
        let data = if index.is_multiple_of(2) {
            Data::Gauge(proto::Gauge { data_points })
        } else {
            Data::Sum(proto::Sum { data_points, aggregation_temporality: 2, is_monotonic: true })
        };
        proto::Metric {
            name: format!("http.server.request.metric_{index}"),
            description: "A metric description of usual length for this thing".into(),
            unit: "1".into(),
            data: Some(data),
            ..Default::default()
        }
    };
    let attributes = ["service.name", "service.instance.id", "service.namespace", "k8s.pod.name", "host.name"];
    let resource = Resource {
        attributes: attributes.iter().map(|a| kv(a, format!("value-of-{a}"))).collect(),
        ..Default::default()
    };
    let metrics = (0..point_count.div_ceil(points_per_metric)).map(metric).collect();
    let scope_metrics = vec![proto::ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics =
        vec![proto::ResourceMetrics { resource: Some(resource), scope_metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn walk_numbers(request: &[u8]) -> (u64, f64) {
    let (mut count, mut sum) = (0, 0.0);
    for rm in resource_metrics(request) {
        let rm = ResourceMetrics::parse(rm.expect("valid")).expect("valid");
        for sm in rm.scope_metrics() {
            let sm = ScopeMetrics::parse(sm.expect("valid")).expect("valid");
            for metric in sm.metrics() {
                let metric = Metric::parse(metric.expect("valid")).expect("valid");
                for point in metric.points() {
                    let point = NumberPoint::parse(point.expect("valid")).expect("valid");
                    sum += point.value.map_or(0.0, NumberValue::as_f64) + point.attributes.bytes.len() as f64;
                    count += 1;
                }
            }
        }
    }
    (count, sum)
}

fn benches(c: &mut Criterion) {
    for (point_count, points_per_metric) in [(1_000, 20), (10_000, 20), (10_000, 1)] {
        let bytes = request(point_count, points_per_metric);
        let mut group = c.benchmark_group(format!("{point_count} points, {points_per_metric} a metric"));
        group.throughput(Throughput::Elements(point_count as u64));
        group.bench_function("walk", |b| {
            b.iter(|| {
                let (count, sum) = walk_numbers(&bytes);
                assert_eq!(count, point_count as u64);
                sum
            });
        });
        let translator = Translator::new(Options::default());
        let mut warm = Columns::default();
        translator.translate(&bytes, 0, &mut warm).expect("valid");
        group.bench_function("translate, cache hit", |b| {
            b.iter_batched_ref(
                || Columns { refs: Vec::with_capacity(point_count + 8), ..Columns::default() },
                |columns| {
                    let out = translator.translate(&bytes, 0, columns).expect("valid");
                    assert_eq!((out.accepted_points, columns.series), (point_count as u64, 0));
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function("translate, first sight", |b| {
            b.iter_batched_ref(
                || (Translator::new(Options::default()), Columns::default()),
                |(translator, columns)| {
                    let out = translator.translate(&bytes, 0, columns).expect("valid");
                    assert_eq!(out.accepted_points, point_count as u64);
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function("prost decode", |b| {
            b.iter(|| ExportMetricsServiceRequest::decode(&bytes[..]).expect("valid").resource_metrics.len());
        });
        group.finish();
    }
}

/// Requests of 1, 100 and 1,000 points, each with 40 labels and a metric of its own, as the original's bench had them.
fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch of wide points");
    for count in [1, 100, 1_000] {
        let point = |id: usize| proto::NumberDataPoint {
            attributes: (0..40)
                .map(|label| kv(&format!("label_{label}"), format!("value-{label}-{}", id % 7)))
                .collect(),
            time_unix_nano: 1_760_000_015_000_000_000,
            value: Some(number_data_point::Value::AsDouble(id as f64)),
            ..Default::default()
        };
        let metric = |id: usize| proto::Metric {
            name: format!("test.metric.{id}"),
            data: Some(Data::Gauge(proto::Gauge { data_points: vec![point(id)] })),
            ..Default::default()
        };
        let scope_metrics =
            vec![proto::ScopeMetrics { metrics: (0..count).map(metric).collect(), ..Default::default() }];
        let resource_metrics = vec![proto::ResourceMetrics { scope_metrics, ..Default::default() }];
        let bytes = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let known = Translator::new(Options::default());
        known.translate(&bytes, 0, &mut Columns::default()).expect("valid");
        group.throughput(Throughput::Elements(count as u64));
        for (name, translator) in [("cache hit", Some(&known)), ("first sight", None)] {
            group.bench_function(format!("{count}, {name}"), |b| {
                b.iter_batched_ref(
                    || (Columns::default(), translator.is_none().then(|| Translator::new(Options::default()))),
                    |(columns, fresh)| {
                        let translator = fresh.as_ref().or(translator).expect("one of them");
                        let out = translator.translate(&bytes, 0, columns).expect("valid");
                        let new = if fresh.is_some() { count as u64 } else { 0 };
                        assert_eq!((out.accepted_points, columns.series), (count as u64, new));
                        assert!(columns.values.iter().enumerate().all(|(id, &value)| value == id as f64));
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(all, benches, batches);
criterion_main!(all);
