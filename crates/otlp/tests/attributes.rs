//! Attributes that become labels: keys that fall together, what is empty, values of every type, odd alphabets.

use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{Exemplar, Options, Promotion, Refused, Sink, TargetInfo, Translation, Translator};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Keeps the labels of every series.
#[derive(Default)]
struct Series(Vec<Labels>);

impl Sink for Series {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        self.0.push(labels.clone());
        Ok(SeriesRef(self.0.len() as u64))
    }
    fn touch(&mut self, _: SeriesRef) -> bool {
        true
    }
    fn append(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_delta(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_histogram(&mut self, _: SeriesRef, _: i64, _: i64, _: FloatHistogram, _: bool) -> Result<(), Refused> {
        Ok(())
    }
    fn wants_exemplars(&self) -> bool {
        false
    }
    fn append_exemplar(&mut self, _: Exemplar) {}
    fn end_point(&mut self) {}
    fn end_resource(&mut self, _: Option<TargetInfo>) {}
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn kv(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..KeyValue::default() }
}

fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| kv(key, Value::StringValue((*value).into()))).collect()
}

fn translate(options: Options, resource: &[(&str, &str)], point: Vec<KeyValue>) -> (Vec<String>, Translation) {
    let value = Some(number_data_point::Value::AsInt(1));
    let data_points = vec![NumberDataPoint { attributes: point, value, ..NumberDataPoint::default() }];
    let metrics =
        vec![Metric { name: "m".into(), data: Some(Data::Gauge(Gauge { data_points })), ..Metric::default() }];
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(Resource { attributes: texts(resource), ..Resource::default() }),
        scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }];
    let request = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
    let mut series = Series::default();
    let translation = Translator::new(options).translate(&request, 0, &mut series).expect("a request");
    (series.0.iter().map(Labels::to_string).collect(), translation)
}

#[track_caller]
fn check(resource: &[(&str, &str)], point: &[(&str, &str)], expected: &str) {
    let promotion = Promotion::Only(vec!["zone".into(), "promo.one".into(), "promo_one".into()]);
    let options = Options { promotion, target_info: false, ..Options::default() };
    let (series, _) = translate(options, resource, texts(point));
    assert_eq!(series, [expected]);
}

#[test]
fn values_of_keys_that_fall_together_are_joined_onto_what_is_not_empty() {
    for (point, expected) in [
        (&[("a_b", "y"), ("a.b", "x")][..], r#"{__name__="m", a_b="x;y"}"#),
        (&[("a.b", ""), ("a_b", "y")], r#"{__name__="m", a_b="y"}"#),
        (&[("a.b", "x"), ("a_b", "")], r#"{__name__="m", a_b="x;"}"#),
        (&[("a.b", ""), ("a_b", "")], r#"{__name__="m"}"#),
        (&[("a-b", ""), ("a.b", "x"), ("a_b", "y")], r#"{__name__="m", a_b="x;y"}"#),
        (&[("a_b", "z"), ("a.b", ""), ("a-b", "x")], r#"{__name__="m", a_b="x;;z"}"#),
    ] {
        check(&[], point, expected);
    }
    let collides = |point: &[(&str, &str)]| translate(Options::default(), &[], texts(point)).1.warnings.len();
    assert_eq!(collides(&[("a.b", "x"), ("a_b", "y")]), 1);
    assert_eq!(collides(&[("a.b", ""), ("a_b", "y")]), 0, "nothing is joined");
}

#[test]
fn what_is_empty_overrides_nothing_and_is_filled_in() {
    let own = [("job", "kept"), ("instance", "own")];
    check(&[("service.name", ""), ("service.instance.id", "")], &own, r#"{__name__="m", instance="own", job="kept"}"#);
    check(&[("service.name", "a")], &own, r#"{__name__="m", instance="own", job="a"}"#);
    // As a running Prometheus joins them.
    check(&[("service.name", ""), ("service.namespace", "ns")], &own, r#"{__name__="m", instance="own", job="ns/"}"#);
    check(&[("service.name", "a"), ("service.namespace", "")], &[], r#"{__name__="m", job="/a"}"#);
    check(&[("zone", "z")], &[("zone", "")], r#"{__name__="m", zone="z"}"#);
    check(&[("zone", "z")], &[("zone", "own")], r#"{__name__="m", zone="own"}"#);
    check(&[("zone", "")], &[("zone", "own")], r#"{__name__="m", zone="own"}"#);
    check(&[("promo.one", ""), ("promo_one", "second")], &[("promo.one", "")], r#"{__name__="m", promo_one="second"}"#);
}

#[test]
fn target_info_joins_and_identifies_by_the_same_rules() {
    let info = |resource: &[(&str, &str)]| {
        let series = translate(Options::default(), resource, Vec::new()).0;
        series.into_iter().find(|s| s.contains("target_info"))
    };
    let expected = r#"{__name__="target_info", a_b="y", job="j"}"#;
    assert_eq!(info(&[("service.name", "j"), ("a.b", ""), ("a_b", "y")]).as_deref(), Some(expected));
    assert_eq!(info(&[("service.name", ""), ("service.instance.id", ""), ("x", "1")]), None, "no identity");
    let expected = r#"{__name__="target_info", instance="i", x="1"}"#;
    assert_eq!(info(&[("service.name", ""), ("service.instance.id", "i"), ("x", "1")]).as_deref(), Some(expected));
}

#[test]
fn keys_of_any_alphabet_become_names_or_are_refused() {
    let refused = |key: &str| {
        let translation = translate(Options::default(), &[], texts(&[(key, "v")])).1;
        assert_eq!(translation.refused.total() + translation.accepted_points, 1);
        translation.refused.messages().first().cloned()
    };
    for (key, name) in [("é", "key_"), ("_", "key_"), ("é1", "key_1"), ("日x", "key_x"), ("9", "key_9")] {
        check(&[], &[(key, "v")], &format!(r#"{{__name__="m", {name}="v"}}"#));
        assert_eq!(refused(key), None);
    }
    for (key, left) in [("ключ", "____"), ("_é", "__"), ("日本", "__"), ("___", "___")] {
        let message = refused(key).expect("refused");
        assert!(message.contains(&format!("resulted in invalid name {left:?}")), "{key}: {message}");
    }
}

#[test]
fn values_of_every_type_have_the_collectors_text() {
    let list = |values: Vec<Value>| Value::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() });
    for (value, expected) in [
        (Value::DoubleValue(f64::NAN), "NaN"),
        (Value::DoubleValue(f64::INFINITY), "Infinity"),
        (Value::DoubleValue(f64::NEG_INFINITY), "-Infinity"),
        (Value::DoubleValue(-0.0), "-0"),
        (Value::DoubleValue(1e-6), "0.000001"),
        (Value::DoubleValue(123_456_789_012_345_680_000.0), "123456789012345680000"),
        (Value::DoubleValue(-1e21), "-1e+21"),
        (
            list(vec![Value::StringValue("<&>\u{2028}ü".into()), Value::BytesValue(b"f".to_vec())]),
            "[\\\"<&>\\\\u2028ü\\\",\\\"Zg==\\\"]",
        ),
        (list(vec![list(Vec::new()), Value::DoubleValue(3.0)]), "[[],3]"),
        (Value::KvlistValue(KeyValueList::default()), "{}"),
    ] {
        let (series, _) = translate(Options::default(), &[], vec![kv("v", value)]);
        assert_eq!(series, [format!(r#"{{__name__="m", v="{expected}"}}"#)]);
    }
    let (series, _) = translate(Options::default(), &[], vec![kv("v", list(vec![Value::DoubleValue(f64::NAN)]))]);
    assert_eq!(series, [r#"{__name__="m"}"#], "JSON has no NaN");
}
