//! Random requests, written as JSON in every form that is allowed, must be read as the same messages.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

mod json;

use json::Writer;
use mytsdb_otlp_json::{DEPTH_MAX, Problem, transcode};
use mytsdb_testkit::Random;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Requests that are made up.
const CASES: u64 = 400;

fn many<T>(random: &mut Random, mut make: impl FnMut(&mut Random) -> T) -> Vec<T> {
    let count = random.index(4);
    (0..count).map(|_| make(random)).collect()
}

fn maybe<T>(random: &mut Random, make: impl FnOnce(&mut Random) -> T) -> Option<T> {
    if random.one_in(3) { None } else { Some(make(random)) }
}

fn text(random: &mut Random) -> String {
    let parts = ["", "a", "job", "\"", "\\", "\n", "\u{1}", "é", "😀", "/", "\u{2028}", "</b>", "0"];
    (0..random.index(5)).map(|_| random.pick(&parts)).collect()
}

fn number(random: &mut Random) -> u64 {
    let bits = random.bits();
    random.pick(&[0, 1, 12, 1 << 53, (1 << 53) + 1, i64::MAX as u64, u64::MAX, bits])
}

fn double(random: &mut Random) -> f64 {
    let any = f64::from_bits(random.bits());
    let any = if any.is_nan() { f64::NAN } else { any };
    let unit = random.unit();
    random.pick(&[0.0, -0.0, 1.0, 1e300, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, unit, any])
}

fn bytes(random: &mut Random) -> Vec<u8> {
    (0..random.index(9)).map(|_| random.bits() as u8).collect()
}

fn any_value(random: &mut Random, depth: usize) -> AnyValue {
    use any_value::Value;
    let choice = random.index(if depth < 4 { 9 } else { 6 });
    let value = match choice {
        0 => None,
        1 => Some(Value::StringValue(text(random))),
        2 => Some(Value::BoolValue(random.one_in(2))),
        3 => Some(Value::IntValue(number(random) as i64)),
        4 => Some(Value::DoubleValue(double(random))),
        5 => Some(Value::BytesValue(bytes(random))),
        6 => Some(Value::StringValueStrindex(number(random) as i32)),
        7 => Some(Value::ArrayValue(ArrayValue { values: many(random, |r| any_value(r, depth + 1)) })),
        _ => Some(Value::KvlistValue(KeyValueList { values: many(random, |r| key_value(r, depth + 1)) })),
    };
    AnyValue { value }
}

fn key_value(random: &mut Random, depth: usize) -> KeyValue {
    KeyValue {
        key: text(random),
        value: maybe(random, |r| any_value(r, depth)),
        key_strindex: if random.one_in(5) { number(random) as i32 } else { 0 },
    }
}

fn attributes(random: &mut Random) -> Vec<KeyValue> {
    many(random, |r| key_value(r, 0))
}

fn exemplar(random: &mut Random) -> Exemplar {
    Exemplar {
        filtered_attributes: attributes(random),
        time_unix_nano: number(random),
        span_id: bytes(random),
        trace_id: bytes(random),
        value: maybe(random, |r| {
            if r.one_in(2) { exemplar::Value::AsDouble(double(r)) } else { exemplar::Value::AsInt(number(r) as i64) }
        }),
    }
}

fn number_point(random: &mut Random) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(random),
        start_time_unix_nano: number(random),
        time_unix_nano: number(random),
        exemplars: many(random, exemplar),
        flags: number(random) as u32,
        value: maybe(random, |r| {
            if r.one_in(2) {
                number_data_point::Value::AsDouble(double(r))
            } else {
                number_data_point::Value::AsInt(number(r) as i64)
            }
        }),
    }
}

fn histogram_point(random: &mut Random) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(random),
        start_time_unix_nano: number(random),
        time_unix_nano: number(random),
        count: number(random),
        sum: maybe(random, double),
        bucket_counts: many(random, number),
        explicit_bounds: many(random, double),
        exemplars: many(random, exemplar),
        flags: number(random) as u32,
        min: maybe(random, double),
        max: maybe(random, double),
    }
}

fn buckets(random: &mut Random) -> Buckets {
    Buckets { offset: number(random) as i32, bucket_counts: many(random, number) }
}

fn exponential_point(random: &mut Random) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        attributes: attributes(random),
        start_time_unix_nano: number(random),
        time_unix_nano: number(random),
        count: number(random),
        sum: maybe(random, double),
        scale: number(random) as i32,
        zero_count: number(random),
        positive: maybe(random, buckets),
        negative: maybe(random, buckets),
        flags: number(random) as u32,
        exemplars: many(random, exemplar),
        min: maybe(random, double),
        max: maybe(random, double),
        zero_threshold: double(random),
    }
}

fn summary_point(random: &mut Random) -> SummaryDataPoint {
    SummaryDataPoint {
        attributes: attributes(random),
        start_time_unix_nano: number(random),
        time_unix_nano: number(random),
        count: number(random),
        sum: double(random),
        quantile_values: many(random, |r| ValueAtQuantile { quantile: double(r), value: double(r) }),
        flags: number(random) as u32,
    }
}

fn metric(random: &mut Random) -> Metric {
    let temporality = random.pick(&[0, 1, 2, 3, -1]);
    let data = match random.index(6) {
        0 => None,
        1 => Some(metric::Data::Gauge(Gauge { data_points: many(random, number_point) })),
        2 => Some(metric::Data::Sum(Sum {
            data_points: many(random, number_point),
            aggregation_temporality: temporality,
            is_monotonic: random.one_in(2),
        })),
        3 => Some(metric::Data::Histogram(Histogram {
            data_points: many(random, histogram_point),
            aggregation_temporality: temporality,
        })),
        4 => Some(metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: many(random, exponential_point),
            aggregation_temporality: temporality,
        })),
        _ => Some(metric::Data::Summary(Summary { data_points: many(random, summary_point) })),
    };
    let (name, description, unit) = (text(random), text(random), text(random));
    Metric { name, description, unit, metadata: attributes(random), data }
}

fn request(random: &mut Random) -> ExportMetricsServiceRequest {
    let scope = |random: &mut Random| InstrumentationScope {
        name: text(random),
        version: text(random),
        attributes: attributes(random),
        dropped_attributes_count: number(random) as u32,
    };
    let entity = |random: &mut Random| EntityRef {
        schema_url: text(random),
        r#type: text(random),
        id_keys: many(random, text),
        description_keys: many(random, text),
    };
    let resource = |random: &mut Random| Resource {
        attributes: attributes(random),
        dropped_attributes_count: number(random) as u32,
        entity_refs: many(random, entity),
    };
    let scope_metrics = |random: &mut Random| ScopeMetrics {
        scope: maybe(random, scope),
        metrics: many(random, metric),
        schema_url: text(random),
    };
    let resource_metrics = |random: &mut Random| ResourceMetrics {
        resource: maybe(random, resource),
        scope_metrics: many(random, scope_metrics),
        schema_url: text(random),
    };
    ExportMetricsServiceRequest { resource_metrics: many(random, resource_metrics) }
}

#[test]
fn random_requests_are_read_as_they_were_meant_in_every_form() {
    let seed = mytsdb_testkit::seed(26);
    println!("seed {seed}");
    for case in 0..CASES {
        let mut random = Random::of_case(seed, case);
        let request = request(&mut random);
        let json = Writer::new(&mut random).request(&request);
        let protobuf =
            transcode(json.as_bytes(), 64 << 20).unwrap_or_else(|error| panic!("case {case}: {error}\n{json}"));
        let read = ExportMetricsServiceRequest::decode(&protobuf[..]).unwrap();
        // NaN is not equal to itself, but looks the same.
        assert_eq!(format!("{read:?}"), format!("{request:?}"), "case {case} of seed {seed}: {json}");
        for limit in [0, protobuf.len() / 2, protobuf.len().saturating_sub(1)] {
            let cut = transcode(json.as_bytes(), limit).map_err(|error| error.problem);
            assert!(cut == Err(Problem::TooLarge { limit }) || protobuf.len() <= limit, "case {case}");
        }
        assert_eq!(transcode(json.as_bytes(), protobuf.len()).unwrap(), protobuf);
    }
}

#[test]
fn a_text_that_is_cut_short_is_never_a_request() {
    let mut random = Random::new(3);
    let json = std::iter::repeat_with(|| {
        let request = request(&mut random);
        Writer::new(&mut random).request(&request)
    });
    let json = json.into_iter().find(|json| json.trim_end().len() > 2000).unwrap();
    for end in 0..json.trim_end().len() {
        assert!(transcode(&json.as_bytes()[..end], 1 << 20).is_err(), "cut at {end}");
    }
}

#[track_caller]
fn refused(json: &str) -> Problem {
    transcode(json.as_bytes(), 1 << 20).unwrap_err().problem
}

#[test]
fn what_is_no_request_is_refused() {
    for json in [
        "",
        " ",
        "null",
        "[]",
        "7",
        "\"\"",
        "{",
        "{}x",
        "{}{}",
        r#"{"resourceMetrics":{"a":1}}"#,
        r#"{"resourceMetrics":[null]}"#,
        r#"{"resourceMetrics":[{}],"resourceMetrics":[{}]}"#,
        r#"{"resourceMetrics":[{}],"resource_metrics":[{}]}"#,
        "{\"a\":\u{feff}1}",
        "\u{feff}{}",
    ] {
        refused(json);
    }
    assert_eq!(transcode(b"{\"\xff\":1}", 100).unwrap_err().problem, Problem::Utf8);
}

#[test]
fn values_of_the_wrong_type_or_size_are_refused() {
    let point = |field: &str| {
        format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"gauge":{{"dataPoints":[{{{field}}}]}}}}]}}]}}]}}"#
        )
    };
    for good in [
        r#""asInt":"1""#,
        r#""asInt":1.0"#,
        r#""asInt":"1e1""#,
        r#""asInt":-9223372036854775808"#,
        r#""asDouble":"-Infinity""#,
        r#""asDouble":"1.5""#,
        r#""asDouble":2"#,
        r#""flags":"1""#,
        r#""as_int":1"#,
        r#""asInt":null,"asDouble":1"#,
        r#""attributes":[{"key":"k","value":{"bytesValue":"AQI"}}]"#,
        r#""exemplars":[{"traceId":"","spanId":"0aF1"}]"#,
    ] {
        assert!(transcode(point(good).as_bytes(), 1 << 20).is_ok(), "{good}");
    }
    for bad in [
        r#""asInt":"1.5""#,
        r#""asInt":1.5"#,
        r#""asInt":9223372036854775808"#,
        r#""asInt":"""#,
        r#""asInt":" 1""#,
        r#""asInt":"0x1""#,
        r#""asInt":true"#,
        r#""asInt":[1]"#,
        r#""asInt":{}"#,
        r#""timeUnixNano":-1"#,
        r#""timeUnixNano":18446744073709551616"#,
        r#""asDouble":1e999"#,
        r#""asDouble":NaN"#,
        r#""asDouble":"nan""#,
        r#""asDouble":"""#,
        r#""flags":4294967296"#,
        r#""asInt":1,"asDouble":1"#,
        r#""asInt":1,"as_int":1"#,
        r#""asInt":01"#,
        r#""attributes":{}"#,
        r#""attributes":[{"key":7}]"#,
        r#""attributes":[{"value":"x"}]"#,
        r#""attributes":[{"value":{"boolValue":"true"}}]"#,
        r#""attributes":[{"value":{"bytesValue":"A"}}]"#,
        r#""exemplars":[{"traceId":"abc"}]"#,
        r#""exemplars":[{"traceId":"zz"}]"#,
        r#""exemplars":["x"]"#,
    ] {
        refused(&point(bad));
    }
}

#[test]
fn enums_are_numbers_or_names() {
    let sum = |value: &str| {
        let json = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"sum":{{"aggregationTemporality":{value}}}}}]}}]}}]}}"#
        );
        transcode(json.as_bytes(), 1 << 20)
    };
    let two = sum("2").unwrap();
    for same in ["\"2\"", "2.0", "\"AGGREGATION_TEMPORALITY_CUMULATIVE\""] {
        assert_eq!(sum(same).unwrap(), two, "{same}");
    }
    for wrong in ["\"CUMULATIVE\"", "2147483648", "1.5", "true", "\"\""] {
        assert!(sum(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_nests_too_deep_is_left_out_and_costs_nothing_else() {
    let unknown = |levels: usize| format!("{{\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(transcode(unknown(100_000).as_bytes(), 10), Ok(Vec::new()));
    assert!(matches!(refused(&unknown(2_000_000)), Problem::Nesting { .. }));
    assert!(matches!(refused(&unknown(100_000).replace("]]", "]")), Problem::Expected(_)), "it is read as JSON");
    for (open, close) in [
        (r#"{"arrayValue":{"values":["#, "]}}"),
        (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}"),
        (r#"{"kvlistValue":{"values":[{"value":{"arrayValue":{"values":["#, "]}}}]}}"),
    ] {
        let request = |levels: usize| {
            let value =
                format!("{}{}", open.repeat(levels), close.repeat(levels)).replace("\"value\":}", "\"value\":{}}");
            format!(
                r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"deep","value":{value}}},{{"key":"flat"}}]}}}}]}}"#
            )
        };
        let read = |levels: usize| transcode(request(levels).as_bytes(), 1 << 20).unwrap();
        // Two messages a level, each with a tag and a length of one byte at least.
        assert!(read(100).len() > 4 * 65, "what is left shows that it was too deep");
        assert_eq!(read(100), read(10_000));
        assert!(read(10_000).ends_with(b"\x0a\x06\x0a\x04flat"), "what comes after it is there");
    }
    const { assert!(DEPTH_MAX > 4 * 64 + 20, "64 levels of values and what is around them") };
}

#[test]
fn an_error_says_where_and_repeats_nothing() {
    let secret = "s".repeat(10_000);
    let error =
        transcode(format!(r#"{{"resourceMetrics":[{{"schemaUrl":7,"x":"{secret}"}}]}}"#).as_bytes(), 100).unwrap_err();
    assert_eq!(error.to_string(), "JSON at byte 33, schemaUrl: expected a string");
}
