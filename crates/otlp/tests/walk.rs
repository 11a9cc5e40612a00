//! The walk against prost: the same values from random requests, and no panic on damaged ones.
//!
//! proptest prints the failing case; `PROPTEST_RNG_SEED` replays a run and `PROPTEST_CASES` deepens it.
//!
//! long because both readers print the same facts, message by message.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::wire::{
    AnyValue, Attributes, ExemplarView, ExponentialPoint, HistogramPoint, Metric, MetricData, NumberPoint, NumberValue,
    Repeated, Resource, ResourceMetrics, Scope, ScopeMetrics, SummaryPoint, Temporality, gather_attributes,
    resource_metrics,
};
use mytsdb_otlp::{Exemplar, Options, OtlpError, Refused, Sink, TargetInfo, Translator};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{self as common, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{self as proto, metric::Data, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use proptest::prelude::*;
use prost::Message;
use std::fmt::Write;

/// A line per fact, so that both readers can be compared as text.
#[derive(Default)]
struct Facts(String);

impl Facts {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).unwrap();
        self.0.push('\n');
    }
}

fn walk(request: &[u8], facts: &mut Facts) -> Result<(), OtlpError> {
    for rm in resource_metrics(request) {
        let rm = ResourceMetrics::parse(rm?)?;
        facts.line(format_args!("resource"));
        walk_attributes(Resource(&rm.resource).attributes(), facts)?;
        for sm in rm.scope_metrics() {
            let sm = ScopeMetrics::parse(sm?)?;
            let scope = Scope::parse(&sm.scope)?;
            facts.line(format_args!(
                "scope {:?} {:?} {:?}",
                text(scope.name),
                text(scope.version),
                text(sm.schema_url)
            ));
            walk_attributes(scope.attributes(), facts)?;
            for metric in sm.metrics() {
                walk_metric(&Metric::parse(metric?)?, facts)?;
            }
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn walk_attributes(attributes: Attributes<'_>, facts: &mut Facts) -> Result<(), OtlpError> {
    for attribute in attributes {
        let attribute = attribute?;
        let key = text(attribute.key);
        match AnyValue::parse(&attribute.value)? {
            AnyValue::None => facts.line(format_args!("{key:?}: none")),
            AnyValue::String(s) => facts.line(format_args!("{key:?}: {:?}", text(s))),
            AnyValue::Bool(b) => facts.line(format_args!("{key:?}: {b}")),
            AnyValue::Int(i) => facts.line(format_args!("{key:?}: {i}")),
            AnyValue::Double(d) => facts.line(format_args!("{key:?}: {:x}", d.to_bits())),
            AnyValue::Bytes(b) => facts.line(format_args!("{key:?}: bytes {b:?}")),
            AnyValue::Array(_) => facts.line(format_args!("{key:?}: array")),
            AnyValue::Map(_) => facts.line(format_args!("{key:?}: map")),
        }
    }
    Ok(())
}

fn number(value: Option<NumberValue>) -> String {
    match value {
        None => "none".to_owned(),
        Some(NumberValue::Int(i)) => i.to_string(),
        Some(NumberValue::Double(d)) => format!("{:x}", d.to_bits()),
    }
}

fn walk_exemplars(point: &[u8], field: u32, has: bool, facts: &mut Facts) -> Result<(), OtlpError> {
    let mut count = 0;
    for bytes in Repeated::new(point, field) {
        let e = ExemplarView::parse(bytes?)?;
        count += 1;
        facts.line(format_args!("e {} {} {:?} {:?}", e.time_unix_nano, number(e.value), e.trace_id, e.span_id));
        walk_attributes(e.attributes(), facts)?;
    }
    assert_eq!(has, count > 0);
    Ok(())
}

fn walk_metric(metric: &Metric<'_>, facts: &mut Facts) -> Result<(), OtlpError> {
    let (name, description, unit) = (text(metric.name), text(metric.description), text(metric.unit));
    facts.line(format_args!("metric {name:?} {description:?} {unit:?} {:?}", metric.data));
    for bytes in metric.points() {
        let bytes = bytes?;
        match metric.data {
            MetricData::Gauge | MetricData::Sum { .. } => {
                let p = NumberPoint::parse(bytes)?;
                let (start, time, value) = (p.start_time_unix_nano, p.time_unix_nano, number(p.value));
                facts.line(format_args!("number {start} {time} {value} {}", p.flags));
                walk_exemplars(bytes, NumberPoint::EXEMPLARS, p.has_exemplars, facts)?;
                assert!(!p.attributes.scattered, "prost writes attributes in one run");
                walk_attributes(p.attributes.decode(), facts)?;
                let mut gathered = Vec::new();
                gather_attributes(bytes, NumberPoint::ATTRIBUTES, &mut gathered)?;
                assert_eq!(gathered, p.attributes.bytes);
            }
            MetricData::Histogram { .. } => {
                let p = HistogramPoint::parse(bytes)?;
                let bounds: Vec<u64> = p.explicit_bounds.iter().collect();
                let counts: Vec<u64> = p.bucket_counts.iter().collect();
                let sum = p.sum.map(f64::to_bits);
                let (start, time, count) = (p.start_time_unix_nano, p.time_unix_nano, p.count);
                facts.line(format_args!("h {start} {time} {count} {sum:?} {counts:?} {bounds:?} {}", p.flags));
                walk_exemplars(bytes, HistogramPoint::EXEMPLARS, p.has_exemplars, facts)?;
                walk_attributes(p.attributes.decode(), facts)?;
            }
            MetricData::Summary => {
                let p = SummaryPoint::parse(bytes)?;
                let (start, time, count) = (p.start_time_unix_nano, p.time_unix_nano, p.count);
                facts.line(format_args!("s {start} {time} {count} {:x} {}", p.sum.to_bits(), p.flags));
                for quantile in p.quantiles() {
                    let (q, v) = quantile?;
                    facts.line(format_args!("q {:x} {:x}", q.to_bits(), v.to_bits()));
                }
                walk_attributes(p.attributes.decode(), facts)?;
            }
            MetricData::ExponentialHistogram { .. } => {
                let p = ExponentialPoint::parse(bytes)?;
                let (start, time, count) = (p.start_time_unix_nano, p.time_unix_nano, p.count);
                let (sum, threshold) = (p.sum.map(f64::to_bits), p.zero_threshold.unwrap_or(0.0).to_bits());
                facts.line(format_args!(
                    "x {start} {time} {count} {sum:?} {} {} {threshold:x} {}",
                    p.scale, p.zero_count, p.flags
                ));
                for side in [&p.positive, &p.negative] {
                    let counts: Vec<u64> = side.counts().collect();
                    assert_eq!((counts.len(), counts.is_empty()), (side.len(), side.is_empty()));
                    facts.line(format_args!("{} {counts:?}", side.offset));
                }
                walk_exemplars(bytes, ExponentialPoint::EXEMPLARS, p.has_exemplars, facts)?;
                walk_attributes(p.attributes.decode(), facts)?;
            }
            MetricData::None => facts.line(format_args!("other")),
        }
    }
    Ok(())
}

fn prost_facts(request: &ExportMetricsServiceRequest, facts: &mut Facts) {
    for rm in &request.resource_metrics {
        facts.line(format_args!("resource"));
        prost_attributes(rm.resource.as_ref().map_or(&[], |r| &r.attributes), facts);
        for sm in &rm.scope_metrics {
            let scope = sm.scope.clone().unwrap_or_default();
            facts.line(format_args!("scope {:?} {:?} {:?}", scope.name, scope.version, sm.schema_url));
            prost_attributes(&scope.attributes, facts);
            for metric in &sm.metrics {
                prost_metric(metric, facts);
            }
        }
    }
}

fn prost_attributes(attributes: &[common::KeyValue], facts: &mut Facts) {
    for kv in attributes {
        let key = &kv.key;
        match kv.value.as_ref().and_then(|v| v.value.as_ref()) {
            None | Some(Value::StringValueStrindex(_)) => facts.line(format_args!("{key:?}: none")),
            Some(Value::StringValue(s)) => facts.line(format_args!("{key:?}: {s:?}")),
            Some(Value::BoolValue(b)) => facts.line(format_args!("{key:?}: {b}")),
            Some(Value::IntValue(i)) => facts.line(format_args!("{key:?}: {i}")),
            Some(Value::DoubleValue(d)) => facts.line(format_args!("{key:?}: {:x}", d.to_bits())),
            Some(Value::BytesValue(b)) => facts.line(format_args!("{key:?}: bytes {b:?}")),
            Some(Value::ArrayValue(_)) => facts.line(format_args!("{key:?}: array")),
            Some(Value::KvlistValue(_)) => facts.line(format_args!("{key:?}: map")),
        }
    }
}

fn prost_exemplars(exemplars: &[proto::Exemplar], facts: &mut Facts) {
    for e in exemplars {
        let value = match e.value {
            None => "none".to_owned(),
            Some(proto::exemplar::Value::AsInt(i)) => i.to_string(),
            Some(proto::exemplar::Value::AsDouble(d)) => format!("{:x}", d.to_bits()),
        };
        facts.line(format_args!("e {} {value} {:?} {:?}", e.time_unix_nano, e.trace_id, e.span_id));
        prost_attributes(&e.filtered_attributes, facts);
    }
}

fn prost_metric(metric: &proto::Metric, facts: &mut Facts) {
    let temporality = |number| match number {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    };
    let data = match &metric.data {
        None => MetricData::None,
        Some(Data::Gauge(_)) => MetricData::Gauge,
        Some(Data::Sum(s)) => {
            MetricData::Sum { temporality: temporality(s.aggregation_temporality), monotonic: s.is_monotonic }
        }
        Some(Data::Histogram(h)) => MetricData::Histogram { temporality: temporality(h.aggregation_temporality) },
        Some(Data::ExponentialHistogram(h)) => {
            MetricData::ExponentialHistogram { temporality: temporality(h.aggregation_temporality) }
        }
        Some(Data::Summary(_)) => MetricData::Summary,
    };
    facts.line(format_args!("metric {:?} {:?} {:?} {data:?}", metric.name, metric.description, metric.unit));
    let numbers = match &metric.data {
        Some(Data::Gauge(g)) => &g.data_points[..],
        Some(Data::Sum(s)) => &s.data_points,
        _ => &[],
    };
    for p in numbers {
        let value = match p.value {
            None => "none".to_owned(),
            Some(number_data_point::Value::AsInt(i)) => i.to_string(),
            Some(number_data_point::Value::AsDouble(d)) => format!("{:x}", d.to_bits()),
        };
        facts.line(format_args!("number {} {} {value} {}", p.start_time_unix_nano, p.time_unix_nano, p.flags));
        prost_exemplars(&p.exemplars, facts);
        prost_attributes(&p.attributes, facts);
    }
    match &metric.data {
        Some(Data::Histogram(h)) => {
            for p in &h.data_points {
                let bounds: Vec<u64> = p.explicit_bounds.iter().map(|b| b.to_bits()).collect();
                let (sum, counts) = (p.sum.map(f64::to_bits), &p.bucket_counts);
                let (start, time, count) = (p.start_time_unix_nano, p.time_unix_nano, p.count);
                facts.line(format_args!("h {start} {time} {count} {sum:?} {counts:?} {bounds:?} {}", p.flags));
                prost_exemplars(&p.exemplars, facts);
                prost_attributes(&p.attributes, facts);
            }
        }
        Some(Data::Summary(s)) => {
            for p in &s.data_points {
                let (start, time, count) = (p.start_time_unix_nano, p.time_unix_nano, p.count);
                facts.line(format_args!("s {start} {time} {count} {:x} {}", p.sum.to_bits(), p.flags));
                for q in &p.quantile_values {
                    facts.line(format_args!("q {:x} {:x}", q.quantile.to_bits(), q.value.to_bits()));
                }
                prost_attributes(&p.attributes, facts);
            }
        }
        Some(Data::ExponentialHistogram(e)) => {
            for p in &e.data_points {
                let (start, time, count) = (p.start_time_unix_nano, p.time_unix_nano, p.count);
                let (sum, threshold) = (p.sum.map(f64::to_bits), p.zero_threshold.to_bits());
                facts.line(format_args!(
                    "x {start} {time} {count} {sum:?} {} {} {threshold:x} {}",
                    p.scale, p.zero_count, p.flags
                ));
                for side in [&p.positive, &p.negative] {
                    let side = side.clone().unwrap_or_default();
                    facts.line(format_args!("{} {:?}", side.offset, side.bucket_counts));
                }
                prost_exemplars(&p.exemplars, facts);
                prost_attributes(&p.attributes, facts);
            }
        }
        _ => {}
    }
}

fn any_value() -> impl Strategy<Value = Option<common::AnyValue>> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::BytesValue),
    ];
    let value = leaf.prop_recursive(3, 8, 3, |inner| {
        let values = prop::collection::vec(inner, 0..3)
            .prop_map(|vs| vs.into_iter().map(|v| common::AnyValue { value: Some(v) }).collect());
        values.prop_map(|values| Value::ArrayValue(common::ArrayValue { values }))
    });
    prop::option::of(prop::option::of(value).prop_map(|value| common::AnyValue { value }))
}

fn attributes() -> impl Strategy<Value = Vec<common::KeyValue>> {
    let pair =
        ("[a-z._]{0,6}", any_value()).prop_map(|(key, value)| common::KeyValue { key, value, ..Default::default() });
    prop::collection::vec(pair, 0..4)
}

fn exemplars() -> impl Strategy<Value = Vec<proto::Exemplar>> {
    let value = prop_oneof![
        any::<i64>().prop_map(proto::exemplar::Value::AsInt),
        any::<f64>().prop_map(proto::exemplar::Value::AsDouble)
    ];
    let ids = (prop::collection::vec(any::<u8>(), 0..17), prop::collection::vec(any::<u8>(), 0..9));
    let one = (attributes(), any::<u64>(), prop::option::of(value), ids).prop_map(
        |(filtered_attributes, time_unix_nano, value, (trace_id, span_id))| proto::Exemplar {
            filtered_attributes,
            time_unix_nano,
            value,
            span_id,
            trace_id,
        },
    );
    prop::collection::vec(one, 0..2)
}

fn number_point() -> impl Strategy<Value = proto::NumberDataPoint> {
    let value = prop_oneof![
        any::<i64>().prop_map(number_data_point::Value::AsInt),
        any::<f64>().prop_map(number_data_point::Value::AsDouble)
    ];
    (attributes(), any::<(u64, u64, u32)>(), prop::option::of(value), exemplars()).prop_map(
        |(attributes, (start_time_unix_nano, time_unix_nano, flags), value, exemplars)| proto::NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            exemplars,
            flags,
            value,
        },
    )
}

fn histogram_point() -> impl Strategy<Value = proto::HistogramDataPoint> {
    let lists = (prop::collection::vec(any::<u64>(), 0..5), prop::collection::vec(any::<f64>(), 0..5));
    (attributes(), any::<([u64; 2], u64, u32, Option<f64>, Option<f64>)>(), lists, exemplars()).prop_map(
        |(attributes, (times, count, flags, sum, min), (bucket_counts, explicit_bounds), exemplars)| {
            proto::HistogramDataPoint {
                attributes,
                start_time_unix_nano: times[0],
                time_unix_nano: times[1],
                count,
                sum,
                bucket_counts,
                explicit_bounds,
                exemplars,
                flags,
                min,
                max: min,
            }
        },
    )
}

fn exponential_point() -> impl Strategy<Value = proto::ExponentialHistogramDataPoint> {
    let side = || {
        let small = prop::collection::vec(prop_oneof![Just(0), 0..300_u64, any::<u64>()], 0..6);
        let buckets = (-20..20_i32, small).prop_map(|(offset, bucket_counts)| {
            proto::exponential_histogram_data_point::Buckets { offset, bucket_counts }
        });
        prop::option::of(buckets)
    };
    let numbers = any::<([u64; 2], u64, u64, u32, Option<f64>, f64)>();
    (attributes(), numbers, any::<i32>(), (side(), side()), exemplars()).prop_map(
        |(
            attributes,
            (times, count, zero_count, flags, sum, zero_threshold),
            scale,
            (positive, negative),
            exemplars,
        )| {
            proto::ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: times[0],
                time_unix_nano: times[1],
                count,
                sum,
                scale: scale >> (scale & 31),
                zero_count,
                positive,
                negative,
                flags,
                exemplars,
                min: sum,
                max: sum,
                zero_threshold,
            }
        },
    )
}

fn summary_point() -> impl Strategy<Value = proto::SummaryDataPoint> {
    let quantiles = prop::collection::vec(any::<(f64, f64)>(), 0..3);
    (attributes(), any::<(u64, u64, u32, f64)>(), quantiles).prop_map(
        |(attributes, (time_unix_nano, count, flags, sum), quantiles)| proto::SummaryDataPoint {
            attributes,
            time_unix_nano,
            count,
            sum,
            flags,
            quantile_values: quantiles
                .into_iter()
                .map(|(quantile, value)| proto::summary_data_point::ValueAtQuantile { quantile, value })
                .collect(),
            ..Default::default()
        },
    )
}

fn metric() -> impl Strategy<Value = proto::Metric> {
    let numbers = || prop::collection::vec(number_point(), 0..4);
    let data = prop_oneof![
        numbers().prop_map(|data_points| Data::Gauge(proto::Gauge { data_points })),
        (numbers(), -1..4i32, any::<bool>()).prop_map(|(data_points, aggregation_temporality, is_monotonic)| {
            Data::Sum(proto::Sum { data_points, aggregation_temporality, is_monotonic })
        }),
        (prop::collection::vec(histogram_point(), 0..3), 0..3i32).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(proto::Histogram { data_points, aggregation_temporality })
        }),
        prop::collection::vec(summary_point(), 0..3)
            .prop_map(|data_points| Data::Summary(proto::Summary { data_points })),
        (prop::collection::vec(exponential_point(), 0..3), 0..3i32).prop_map(
            |(data_points, aggregation_temporality)| {
                Data::ExponentialHistogram(proto::ExponentialHistogram { data_points, aggregation_temporality })
            }
        ),
    ];
    ("[a-z.]{0,8}", ".{0,8}", "[a-zA-Z/1%]{0,4}", prop::option::of(data)).prop_map(|(name, description, unit, data)| {
        proto::Metric { name, description, unit, data, ..Default::default() }
    })
}

fn request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope = ("[a-z]{0,4}", "[0-9.]{0,4}", attributes()).prop_map(|(name, version, attributes)| {
        common::InstrumentationScope { name, version, attributes, dropped_attributes_count: 3 }
    });
    let scope_metrics = (prop::option::of(scope), prop::collection::vec(metric(), 0..4), "[a-z:/]{0,6}")
        .prop_map(|(scope, metrics, schema_url)| proto::ScopeMetrics { scope, metrics, schema_url });
    let resource = attributes().prop_map(|attributes| ProtoResource { attributes, ..Default::default() });
    let resource_metrics = (prop::option::of(resource), prop::collection::vec(scope_metrics, 0..3)).prop_map(
        |(resource, scope_metrics)| proto::ResourceMetrics { resource, scope_metrics, schema_url: "s".into() },
    );
    prop::collection::vec(resource_metrics, 0..3)
        .prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

/// Puts the fields of a message, and of the messages in `nested` fields, into another legal order.
fn reorder(message: &[u8], levels: &[u32], seed: &mut u64) -> Vec<u8> {
    let mut reader = mytsdb_otlp::wire::Reader::new(message);
    let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut start = 0;
    while let Some(tag) = reader.tag().unwrap() {
        let before = reader.position();
        reader.skip(tag, 0).unwrap();
        let mut field = message[start..reader.position()].to_vec();
        if let (Some((&next, rest)), 2) = (levels.split_first(), tag & 7)
            && next >> (tag >> 3) & 1 == 1
        {
            let mut inner = mytsdb_otlp::wire::Reader::new(&message[before..reader.position()]);
            let content = reorder(inner.bytes().unwrap(), rest, seed);
            field.truncate(before - start);
            let mut length = content.len();
            while length >= 0x80 {
                field.push(length as u8 | 0x80);
                length >>= 7;
            }
            field.push(length as u8);
            field.extend(content);
        }
        fields.push((tag, field));
        start = reader.position();
    }
    // Repeated fields keep their order among themselves; everything else moves freely.
    let mut order: Vec<u32> = fields.iter().map(|(tag, _)| *tag).collect();
    for i in (1..order.len()).rev() {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(i, (*seed >> 33) as usize % (i + 1));
    }
    let mut out = Vec::new();
    for tag in order {
        let next = fields.iter().position(|(t, _)| *t == tag).unwrap();
        out.extend(fields.remove(next).1);
    }
    out
}

struct Count(u64, u64);

impl Sink for Count {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, Refused> {
        self.0 += 1;
        Ok(SeriesRef(self.0))
    }
    fn touch(&mut self, _: SeriesRef) -> bool {
        true
    }
    fn append(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_delta(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_histogram(
        &mut self,
        _: SeriesRef,
        _: i64,
        _: i64,
        histogram: FloatHistogram,
        _: bool,
    ) -> Result<(), Refused> {
        assert!(histogram.is_stale() || histogram.validate().is_ok());
        Ok(())
    }
    fn wants_exemplars(&self) -> bool {
        true
    }
    fn append_exemplar(&mut self, _: Exemplar) {}
    fn end_point(&mut self) {
        self.1 += 1;
    }
    fn end_resource(&mut self, _: Option<TargetInfo>) {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_walk_sees_what_prost_sees(request in request()) {
        let (mut ours, mut theirs) = (Facts::default(), Facts::default());
        let bytes = request.encode_to_vec();
        walk(&bytes, &mut ours).unwrap();
        // Decoded again, because prost does not write a negative zero.
        prost_facts(&ExportMetricsServiceRequest::decode(&bytes[..]).unwrap(), &mut theirs);
        prop_assert_eq!(ours.0, theirs.0);
    }

    #[test]
    fn the_order_of_fields_does_not_matter(request in request(), mut seed in any::<u64>()) {
        let levels = [1 << 1, 1 << 1 | 1 << 2, 1 << 1 | 1 << 2, 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11];
        let bytes = reorder(&request.encode_to_vec(), &levels, &mut seed);
        prop_assert_eq!(&ExportMetricsServiceRequest::decode(&bytes[..]).unwrap(), &request.clone());
        let (mut ours, mut theirs) = (Facts::default(), Facts::default());
        walk(&bytes, &mut ours).unwrap();
        prost_facts(&ExportMetricsServiceRequest::decode(&bytes[..]).unwrap(), &mut theirs);
        prop_assert_eq!(ours.0, theirs.0);
    }

    #[test]
    fn every_point_has_one_outcome(request in request()) {
        let points: usize = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics)
            .map(|m| match &m.data {
                None => 0,
                Some(Data::Gauge(d)) => d.data_points.len(),
                Some(Data::Sum(d)) => d.data_points.len(),
                Some(Data::Histogram(d)) => d.data_points.len(),
                Some(Data::ExponentialHistogram(d)) => d.data_points.len(),
                Some(Data::Summary(d)) => d.data_points.len(),
            }).sum();
        let translator = Translator::new(Options::default());
        let mut sink = Count(0, 0);
        for _ in 0..2 {
            sink.1 = 0;
            let out = translator.translate(&request.encode_to_vec(), 0, &mut sink).unwrap();
            prop_assert_eq!(out.accepted_points + out.refused.total(), points as u64);
            prop_assert_eq!(out.accepted_points, sink.1);
        }
    }

    #[test]
    fn damaged_bytes_never_panic(request in request(), damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = request.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let translator = Translator::new(Options::default());
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let outcome = translator.translate(bytes, 0, &mut Count(0, 0));
            if ExportMetricsServiceRequest::decode(bytes).is_ok() {
                prop_assert!(outcome.is_ok(), "prost reads it: {:?}", outcome);
            }
        }
    }
}

#[test]
fn repeated_singular_messages_merge_and_kinds_replace_each_other() {
    let kv = |key: &str| common::KeyValue { key: key.into(), ..Default::default() };
    let resource = |key: &str| ProtoResource { attributes: vec![kv(key)], ..Default::default() };
    let nest = |tag: u8, content: Vec<u8>| [vec![tag, content.len() as u8], content].concat();
    let point = |flags| proto::NumberDataPoint { flags, ..Default::default() };
    let gauge = |flags| proto::Gauge { data_points: vec![point(flags)] }.encode_to_vec();
    let sum = proto::Sum { data_points: vec![point(9)], ..Default::default() }.encode_to_vec();
    let metrics = [
        [nest(0x2a, gauge(1)), nest(0x2a, gauge(2))].concat(),
        [nest(0x2a, gauge(1)), nest(0x3a, sum.clone())].concat(),
        [nest(0x2a, gauge(1)), nest(0x3a, sum), nest(0x2a, gauge(3))].concat(),
    ];
    let scope: Vec<u8> = metrics.into_iter().flat_map(|m| nest(0x12, m)).collect();
    let rm = [nest(0x0a, resource("a").encode_to_vec()), nest(0x12, scope), nest(0x0a, resource("b").encode_to_vec())];
    let bytes = nest(0x0a, rm.concat());
    let (mut ours, mut theirs) = (Facts::default(), Facts::default());
    walk(&bytes, &mut ours).unwrap();
    prost_facts(&ExportMetricsServiceRequest::decode(&bytes[..]).unwrap(), &mut theirs);
    assert_eq!(ours.0, theirs.0);
    assert!(ours.0.contains("\"a\": none\n\"b\": none"), "{}", ours.0);
}

#[test]
fn packed_and_unpacked_arrays_mix() {
    let packed = [0x32, 16, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
    let unpacked = [0x31, 3, 0, 0, 0, 0, 0, 0, 0];
    for order in [[&packed[..], &unpacked, &packed].concat(), [&unpacked[..], &packed, &unpacked].concat()] {
        let ours: Vec<u64> = HistogramPoint::parse(&order).unwrap().bucket_counts.iter().collect();
        assert_eq!(ours, proto::HistogramDataPoint::decode(&order[..]).unwrap().bucket_counts);
    }
    assert_eq!(HistogramPoint::parse(&[0x32, 3, 1, 2, 3]).unwrap_err(), OtlpError::Packed { bytes: 3 });
}
