//! Native histograms and exemplars through the whole translator.

use crate::tests::MemorySink;
use crate::wire::NO_RECORDED_VALUE;
use crate::{DeltaMode, Options, PointLimit, RefusalReason, Translation, Translator};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, number_data_point,
};
use prost::Message;

fn translate(options: Options, data: Data) -> (MemorySink, Translation) {
    let metrics = vec![Metric { name: "m".into(), unit: "s".into(), data: Some(data), ..Default::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
    let request = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
    let mut sink = MemorySink::default();
    let out = Translator::new(options).translate(&request, 0, &mut sink).unwrap();
    (sink, out)
}

fn exponential(temporality: i32, points: Vec<ExponentialHistogramDataPoint>) -> Data {
    Data::ExponentialHistogram(ExponentialHistogram { data_points: points, aggregation_temporality: temporality })
}

fn buckets(offset: i32, bucket_counts: &[u64]) -> Buckets {
    Buckets { offset, bucket_counts: bucket_counts.to_vec() }
}

fn explicit(bounds: &[f64], counts: &[u64]) -> HistogramDataPoint {
    HistogramDataPoint {
        count: counts.iter().sum(),
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        sum: Some(1.0),
        ..Default::default()
    }
}

fn histograms(points: Vec<HistogramDataPoint>) -> Data {
    Data::Histogram(Histogram { data_points: points, aggregation_temporality: 2 })
}

#[test]
fn exponential_buckets_lie_one_index_higher_and_high_scales_are_merged() {
    let point = |scale| ExponentialHistogramDataPoint {
        start_time_unix_nano: 7_000_000,
        time_unix_nano: 9_000_000,
        count: 11,
        sum: Some(2.5),
        scale,
        zero_count: 1,
        zero_threshold: 0.5,
        positive: Some(buckets(-3, &[1, 2, 3])),
        negative: Some(buckets(4, &[4])),
        ..Default::default()
    };
    let (sink, out) = translate(Options::default(), exponential(2, vec![point(8), point(9)]));
    assert_eq!((out.accepted_points, out.refused.total()), (2, 0), "{:?}", out.refused.messages());
    assert_eq!(sink.series[0].to_string(), r#"{__name__="m_seconds"}"#);
    assert_eq!((sink.series.len(), &sink.starts[..]), (1, &[7, 7][..]));
    let want = FloatHistogram {
        schema: 8,
        count: 11.0,
        sum: 2.5,
        zero_count: 1.0,
        zero_threshold: 0.5,
        positive_spans: vec![Span { offset: -2, length: 3 }],
        positive_buckets: vec![1.0, 2.0, 3.0],
        negative_spans: vec![Span { offset: 5, length: 1 }],
        negative_buckets: vec![4.0],
        ..FloatHistogram::default()
    };
    assert_eq!((sink.histograms[0].1, &sink.histograms[0].2), (9, &want));
    // -3 falls to -2, -2 and -1 to -1; 4 to 2.
    let merged = FloatHistogram {
        positive_spans: vec![Span { offset: -1, length: 2 }],
        positive_buckets: vec![1.0, 5.0],
        negative_spans: vec![Span { offset: 3, length: 1 }],
        ..want
    };
    assert_eq!(sink.histograms[1].2, merged);
}

#[test]
fn deltas_are_gauges_and_points_without_value_are_markers() {
    let options = Options { delta: DeltaMode::Keep, ..Options::default() };
    let stale = ExponentialHistogramDataPoint { flags: NO_RECORDED_VALUE, scale: 2, ..Default::default() };
    let (sink, out) = translate(options, exponential(1, vec![ExponentialHistogramDataPoint::default(), stale]));
    assert_eq!(out.accepted_points, 2);
    let [(_, _, delta), (_, _, marker)] = &sink.histograms[..] else { panic!("{:?}", sink.histograms) };
    assert_eq!((delta.counter_reset_hint, delta.zero_threshold), (CounterResetHint::Gauge, 1e-128));
    assert!(!delta.is_stale() && marker.is_stale() && marker.schema == 2);
    let unspecified = translate(Options::default(), exponential(0, vec![ExponentialHistogramDataPoint::default()])).1;
    assert_eq!(unspecified.refused.count(RefusalReason::Temporality), 1);
}

#[test]
fn odd_exponential_points_are_refused_one_by_one() {
    let of = |change: fn(&mut ExponentialHistogramDataPoint)| {
        let mut point = ExponentialHistogramDataPoint::default();
        change(&mut point);
        point
    };
    let points = vec![
        of(|p| p.scale = -5),
        of(|p| p.zero_threshold = f64::NAN),
        of(|p| p.zero_threshold = -1.0),
        of(|p| p.positive = Some(buckets(i32::MAX, &[1]))),
        of(|p| p.positive = Some(buckets(0, &[1; 1_025]))),
        of(|p| p.scale = i32::MAX),
    ];
    let (sink, out) = translate(Options::default(), exponential(2, points));
    assert_eq!((out.accepted_points, sink.histograms.len()), (1, 1), "{:?}", out.refused.messages());
    assert_eq!(out.refused.count(RefusalReason::Invalid), 4);
    assert_eq!(out.refused.count(RefusalReason::Limit(PointLimit::Buckets)), 1);
    assert!(out.refused.messages().iter().all(|message| message.starts_with("metric \"m\": ")));
    assert!(out.refused.messages().iter().any(|message| message.contains("--max-buckets-per-point")));
}

#[test]
fn explicit_bounds_become_custom_buckets_if_that_is_asked() {
    let options = || Options { custom_bucket_histograms: true, type_and_unit_labels: true, ..Options::default() };
    let points = vec![
        explicit(&[1.0, 2.0, f64::INFINITY], &[0, 2, 3, 0]),
        explicit(&[], &[4]),
        HistogramDataPoint { count: 6, ..Default::default() },
        explicit(&[2.0, 1.0], &[1, 1, 1]),
        explicit(&[1.0], &[1, 1, 1]),
        explicit(&[f64::NAN], &[1, 1]),
    ];
    let (sink, out) = translate(options(), histograms(points));
    assert_eq!((out.accepted_points, out.refused.count(RefusalReason::Invalid)), (3, 3), "{:?}", out.refused);
    assert_eq!(sink.series[0].to_string(), r#"{__name__="m_seconds", __type__="histogram", __unit__="seconds"}"#);
    let custom = |bounds: &[f64], offset, buckets: &[f64], sum| FloatHistogram {
        schema: mytsdb_histogram::CUSTOM_SCHEMA,
        count: buckets.iter().sum(),
        sum,
        positive_spans: vec![Span { offset, length: buckets.len() as u32 }],
        positive_buckets: buckets.to_vec(),
        custom_values: bounds.to_vec(),
        ..FloatHistogram::default()
    };
    let got: Vec<_> = sink.histograms.iter().map(|(_, _, histogram)| histogram.clone()).collect();
    let want = [custom(&[1.0, 2.0], 1, &[2.0, 3.0], 1.0), custom(&[], 0, &[4.0], 1.0), custom(&[], 0, &[6.0], 0.0)];
    assert_eq!(got, want);
}

fn example(value: f64, millis: u64, attributes: &[(&str, &str)]) -> Exemplar {
    let text = |value: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    Exemplar {
        filtered_attributes: attributes
            .iter()
            .map(|(key, value)| KeyValue { key: (*key).into(), value: text(value), ..Default::default() })
            .collect(),
        time_unix_nano: millis * 1_000_000,
        span_id: vec![0; 8],
        trace_id: (1..=16).collect(),
        value: Some(exemplar::Value::AsDouble(value)),
    }
}

#[test]
fn exemplars_belong_to_the_first_bucket_that_holds_them_and_cost_no_point() {
    let odd = Exemplar { value: None, ..example(1.0, 1, &[]) };
    let long = "x".repeat(100);
    let exemplars = vec![
        example(2.0, 30, &[]),
        example(1.0, 20, &[("b.c", "2"), ("a", "1")]),
        example(9.0, 0, &[("long", &long)]),
        odd,
    ];
    let point = HistogramDataPoint { exemplars: exemplars.clone(), ..explicit(&[1.0, 2.0], &[1, 1, 1]) };
    let (sink, out) = translate(Options::default(), histograms(vec![point]));
    assert_eq!(out.accepted_points, 1);
    let shown = |sink: &MemorySink| -> Vec<String> {
        let name = |e: &crate::Exemplar| sink.series[e.series.0 as usize - 1].get("le").unwrap_or("-").to_owned();
        sink.exemplars.iter().map(|e| format!("{} {:?} {} {}", name(e), e.timestamp_ms, e.value, e.labels)).collect()
    };
    let id = r#"trace_id="0102030405060708090a0b0c0d0e0f10""#;
    let want = [
        format!("+Inf None 9 {{{id}}}"),
        format!(r#"1 Some(20) 1 {{a="1", b.c="2", {id}}}"#).replace("b.c=", "\"b.c\"="),
        format!("2 Some(30) 2 {{{id}}}"),
    ];
    assert_eq!(
        shown(&sink).iter().map(|s| s.replace("\"b.c\"", "b.c")).collect::<Vec<_>>(),
        want.map(|s| s.replace("\"b.c\"", "b.c"))
    );

    let number = NumberDataPoint { exemplars, value: Some(number_data_point::Value::AsInt(1)), ..Default::default() };
    let gauge = Data::Gauge(Gauge { data_points: vec![number.clone()] });
    assert!(translate(Options::default(), gauge).0.exemplars.is_empty(), "a gauge has no observations");
    let sum = Data::Sum(Sum { data_points: vec![number], aggregation_temporality: 2, is_monotonic: true });
    assert_eq!(translate(Options::default(), sum).0.exemplars.len(), 3);
}
