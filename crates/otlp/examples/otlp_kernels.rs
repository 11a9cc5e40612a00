//! The walk over 1,000 points of OTLP and their translation, for counting their instructions; counts asserted.
//!
//! `cargo xtask bench instructions`

#[path = "../benches/columns/mod.rs"]
mod columns;

use columns::Columns;
use mytsdb_otlp::wire::{Metric, NumberPoint, NumberValue, ResourceMetrics, ScopeMetrics, resource_metrics};
use mytsdb_otlp::{Options, Translator};
use mytsdb_testkit::{kernels, measured};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{self as proto, metric::Data, number_data_point};
use prost::Message;
use std::hint::black_box;
use std::process::ExitCode;

const POINTS: usize = 1_000;
const POINTS_PER_METRIC: usize = 20;

fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

fn request() -> Vec<u8> {
    let point = |id: usize| proto::NumberDataPoint {
        attributes: vec![
            attribute("http.request.method", ["GET", "POST", "PUT", "DELETE"][id % 4].into()),
            attribute("http.route", format!("/api/v1/resource{id}/items")),
        ],
        time_unix_nano: 1_760_000_015_000_000_000,
        value: Some(number_data_point::Value::AsDouble(id as f64 / 100.0)),
        ..Default::default()
    };
    let metric = |first: usize| proto::Metric {
        name: format!("http.server.request.metric_{first}"),
        data: Some(Data::Gauge(proto::Gauge { data_points: (first..first + POINTS_PER_METRIC).map(point).collect() })),
        ..Default::default()
    };
    let metrics = (0..POINTS).step_by(POINTS_PER_METRIC).map(metric).collect();
    let scope_metrics = vec![proto::ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![proto::ResourceMetrics { scope_metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn walk(times: u64) {
    let request = request();
    measured(times, || {
        let (mut count, mut sum) = (0, 0.0);
        for resource in resource_metrics(black_box(&request)) {
            let resource = ResourceMetrics::parse(resource.expect("valid")).expect("valid");
            for scope in resource.scope_metrics() {
                let scope = ScopeMetrics::parse(scope.expect("valid")).expect("valid");
                for metric in scope.metrics() {
                    for point in Metric::parse(metric.expect("valid")).expect("valid").points() {
                        let point = NumberPoint::parse(point.expect("valid")).expect("valid");
                        sum += point.value.map_or(0.0, NumberValue::as_f64);
                        count += 1;
                    }
                }
            }
        }
        assert_eq!((count, sum.round()), (POINTS, 4_995.0));
    });
}

fn translate(times: u64) {
    let request = request();
    let translator = Translator::new(Options::default());
    let mut columns = Columns::default();
    translator.translate(&request, 0, &mut columns).expect("valid");
    measured(times, || {
        columns.refs.clear();
        columns.timestamps_ms.clear();
        columns.values.clear();
        columns.ends.clear();
        let out = translator.translate(black_box(&request), 0, &mut columns).expect("valid");
        assert_eq!((out.accepted_points, columns.refs.len()), (POINTS as u64, POINTS));
    });
    assert_eq!(columns.series, POINTS as u64, "the cache knows every point");
}

fn main() -> ExitCode {
    kernels(&[("walk-1k-points", walk), ("translate-1k-points", translate)])
}
