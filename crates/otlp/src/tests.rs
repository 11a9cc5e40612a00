//! Requests through the whole translator: outcomes of points, the cache, limits, odd encodings.

use crate::{
    DeltaMode, Exemplar, Limits, Options, PointLimit, RefusalReason, Refused, Sink, TargetInfo, Translation, Translator,
};
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef, companion_times, is_stale_nan};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Keeps everything; series get ascending references.
#[derive(Default)]
pub(crate) struct MemorySink {
    pub series: Vec<Labels>,
    pub samples: Vec<(SeriesRef, i64, f64)>,
    /// Of samples of both kinds, in order.
    pub starts: Vec<i64>,
    pub histograms: Vec<(SeriesRef, i64, FloatHistogram)>,
    pub exemplars: Vec<Exemplar>,
    pub point_ends: Vec<usize>,
    pub resource_start: usize,
    pub resolved: usize,
    pub touched: usize,
    pub series_max: Option<usize>,
    pub forgotten: Vec<SeriesRef>,
}

impl Sink for MemorySink {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        self.resolved += 1;
        let known = self.series.iter().position(|l| l == labels);
        if known.is_none() && self.series_max.is_some_and(|max| self.series.len() >= max) {
            return Err(Refused::new(RefusalReason::SeriesLimit, "no more series"));
        }
        let index = known.unwrap_or_else(|| {
            self.series.push(labels.clone());
            self.series.len() - 1
        });
        let series = SeriesRef(index as u64 + 1);
        self.forgotten.retain(|f| *f != series);
        Ok(series)
    }

    fn touch(&mut self, series: SeriesRef) -> bool {
        self.touched += 1;
        !self.forgotten.contains(&series)
    }

    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.samples.push((series, timestamp_ms, value));
        self.starts.push(start_ms);
    }

    fn append_delta(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.append(series, timestamp_ms, start_ms, value);
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: FloatHistogram,
        _: bool,
    ) -> Result<(), Refused> {
        self.histograms.push((series, timestamp_ms, histogram));
        self.starts.push(start_ms);
        Ok(())
    }

    fn wants_exemplars(&self) -> bool {
        true
    }

    fn append_exemplar(&mut self, exemplar: Exemplar) {
        self.exemplars.push(exemplar);
    }

    fn end_point(&mut self) {
        self.point_ends.push(self.samples.len());
    }

    /// As a store that accepts every point does it.
    fn end_resource(&mut self, target_info: Option<TargetInfo>) {
        let first = std::mem::replace(&mut self.resource_start, self.samples.len());
        if let Some(TargetInfo { series, step_ms }) = target_info {
            let mut times: Vec<i64> = self.samples[first..].iter().map(|s| s.1).collect();
            times.sort_unstable();
            times.dedup();
            let samples = &mut self.samples;
            companion_times(&times, step_ms, &mut 1_000, |_| true, |time| samples.push((series, time, 1.0)));
            self.resource_start = self.samples.len();
        }
    }
}

impl MemorySink {
    pub fn rows(&self) -> Vec<(Labels, i64, f64)> {
        self.samples.iter().map(|(s, t, v)| (self.series[s.0 as usize - 1].clone(), *t, *v)).collect()
    }

    fn shown(&self) -> Vec<String> {
        self.rows().iter().map(|(l, t, v)| format!("{l} {v} @{t}")).collect()
    }
}

fn kv(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

fn point(attributes: &[(&str, &str)], seconds: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes.iter().map(|(k, v)| kv(k, v)).collect(),
        time_unix_nano: seconds * 1_000_000_000,
        value: Some(Number::AsDouble(value)),
        ..Default::default()
    }
}

fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    Metric { name: name.into(), data: Some(Data::Gauge(Gauge { data_points })), ..Default::default() }
}

/// A length-prefixed field of at most 16 KiB, its length in two bytes.
fn nest(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = [content.len() as u8 | 0x80, (content.len() >> 7) as u8];
    [&[tag][..], &length, content].concat()
}

fn request(resource: &[(&str, &str)], metrics: Vec<Metric>) -> Vec<u8> {
    let resource = Resource { attributes: resource.iter().map(|(k, v)| kv(k, v)).collect(), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { resource: Some(resource), scope_metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn run(translator: &Translator, epoch: u64, sink: &mut MemorySink, request: &[u8]) -> Translation {
    sink.resource_start = sink.samples.len();
    translator.translate(request, epoch, sink).unwrap()
}

fn translate(options: Options, request: &[u8]) -> (MemorySink, Translation) {
    let mut sink = MemorySink::default();
    let translation = run(&Translator::new(options), 0, &mut sink, request);
    (sink, translation)
}

#[test]
fn a_second_look_touches_no_labels() {
    let points = (0..50).map(|i| point(&[("i", &i.to_string())], 1, 1.0)).collect();
    let bytes = request(&[("service.name", "a"), ("zone", "z")], vec![gauge("g", points)]);
    let translator = Translator::new(Options::default());
    let mut sink = MemorySink::default();
    let first = run(&translator, 0, &mut sink, &bytes);
    assert_eq!((first.accepted_points, sink.resolved), (50, 51), "50 points and target_info");
    let rows = sink.rows();
    sink.samples.clear();
    let second = run(&translator, 0, &mut sink, &bytes);
    assert_eq!((second, sink.resolved, sink.touched), (first, 51, 0));
    assert_eq!(sink.rows(), rows);
}

#[test]
fn an_older_epoch_is_touched_and_lost_series_are_resolved_again() {
    let points = (0..5).map(|i| point(&[("i", &i.to_string())], 1, 1.0)).collect();
    let bytes = request(&[("service.name", "a"), ("zone", "z")], vec![gauge("g", points)]);
    let translator = Translator::new(Options::default());
    let mut sink = MemorySink::default();
    run(&translator, 0, &mut sink, &bytes);
    sink.forgotten = vec![SeriesRef(2), SeriesRef(6)];
    run(&translator, 1, &mut sink, &bytes);
    assert_eq!((sink.touched, sink.resolved), (6, 6 + 2));
    run(&translator, 1, &mut sink, &bytes);
    assert_eq!((sink.touched, sink.resolved), (6, 8), "now all are of this epoch");
}

#[test]
fn a_refused_histogram_point_leaves_no_sample() {
    let histogram = |attribute: &str| HistogramDataPoint {
        attributes: vec![kv("a", attribute)],
        time_unix_nano: 1_000_000,
        count: 6,
        sum: Some(1.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 10.0],
        ..Default::default()
    };
    let data = Histogram { data_points: vec![histogram("1"), histogram("2")], aggregation_temporality: 2 };
    let metric = Metric { name: "h".into(), data: Some(Data::Histogram(data)), ..Default::default() };
    let mut sink = MemorySink { series_max: Some(7), ..Default::default() };
    let translator = Translator::new(Options::default());
    let out = run(&translator, 0, &mut sink, &request(&[], vec![metric]));
    assert_eq!((out.accepted_points, out.refused.total()), (1, 1));
    assert_eq!(out.refused.count(RefusalReason::SeriesLimit), 1);
    assert_eq!(
        sink.shown(),
        [
            r#"{__name__="h_sum", a="1"} 1.5 @1"#,
            r#"{__name__="h_count", a="1"} 6 @1"#,
            r#"{__name__="h_bucket", a="1", le="0.5"} 1 @1"#,
            r#"{__name__="h_bucket", a="1", le="10"} 3 @1"#,
            r#"{__name__="h_bucket", a="1", le="+Inf"} 6 @1"#,
        ]
    );
    assert_eq!(sink.point_ends, [5]);
}

#[test]
fn histograms_of_other_bounds_are_other_series() {
    let histogram = |bounds: &[f64], sum| HistogramDataPoint {
        count: 1,
        sum,
        bucket_counts: vec![1; bounds.len() + 1],
        explicit_bounds: bounds.to_vec(),
        ..Default::default()
    };
    let data_points = vec![
        histogram(&[1.0], None),
        histogram(&[2.0], None),
        histogram(&[1.0], Some(2.0)),
        histogram(&[], None),
        histogram(&[1.0, f64::INFINITY], None),
    ];
    let data = Histogram { data_points, aggregation_temporality: 2 };
    let metric = Metric { name: "h".into(), data: Some(Data::Histogram(data)), ..Default::default() };
    let bytes = request(&[], vec![metric]);
    let translator = Translator::new(Options::default());
    let mut sink = MemorySink::default();
    for _ in 0..2 {
        sink.samples.clear();
        let out = run(&translator, 0, &mut sink, &bytes);
        assert_eq!(out.accepted_points, 5);
        let names: Vec<String> = sink
            .rows()
            .iter()
            .map(|(l, ..)| format!("{}{}", l.metric_name(), l.get("le").map(|le| format!(" {le}")).unwrap_or_default()))
            .collect();
        assert_eq!(names[..3], ["h_count", "h_bucket 1", "h_bucket +Inf"]);
        assert_eq!(names[3..6], ["h_count", "h_bucket 2", "h_bucket +Inf"]);
        assert_eq!(names[6..10], ["h_sum", "h_count", "h_bucket 1", "h_bucket +Inf"]);
        assert_eq!(names[10..12], ["h_count", "h_bucket +Inf"]);
        assert_eq!(names[12..], ["h_count", "h_bucket 1", "h_bucket +Inf"]);
    }
}

#[test]
fn points_without_recorded_value_are_stale_markers() {
    let stale = |p: NumberDataPoint| NumberDataPoint { flags: 1, ..p };
    let number = vec![stale(point(&[], 1, 5.0)), stale(NumberDataPoint::default())];
    let histogram = HistogramDataPoint { flags: 1, sum: Some(1.0), bucket_counts: vec![1], ..Default::default() };
    let histogram = Histogram { data_points: vec![histogram], aggregation_temporality: 2 };
    let quantile_values = vec![ValueAtQuantile { quantile: 0.99, value: 1.0 }];
    let summary = Summary { data_points: vec![SummaryDataPoint { flags: 1, quantile_values, ..Default::default() }] };
    let metric = |name: &str, data| Metric { name: name.into(), data: Some(data), ..Default::default() };
    let metrics =
        vec![gauge("g", number), metric("h", Data::Histogram(histogram)), metric("s", Data::Summary(summary))];
    let (sink, out) = translate(Options::default(), &request(&[], metrics));
    assert_eq!(out.accepted_points, 4);
    assert_eq!(sink.samples.len(), 2 + 3 + 3);
    assert!(sink.samples.iter().all(|(_, _, v)| is_stale_nan(*v)));
}

#[test]
fn each_bad_point_is_counted_and_its_neighbours_stay() {
    let long = "v".repeat(3000);
    let many: Vec<(String, String)> = (0..70).map(|i| (format!("a{i}"), "x".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let wide: Vec<(String, String)> = (0..6).map(|i| (format!("a{i}"), "x".repeat(2000))).collect();
    let wide: Vec<(&str, &str)> = wide.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let long_name = "n".repeat(300);
    let points = vec![
        point(&[("ok", "1")], 1, 1.0),
        point(&[("long", &long)], 1, 1.0),
        point(&many, 1, 1.0),
        point(&[(&long_name, "1")], 1, 1.0),
        point(&wide, 1, 1.0),
        NumberDataPoint { value: None, ..point(&[("none", "1")], 1, 1.0) },
        point(&[("", "1")], 1, 1.0),
        point(&[("ok", "2")], 1, 2.0),
    ];
    let sum = |temporality| Metric {
        name: "s".into(),
        data: Some(Data::Sum(Sum {
            data_points: vec![point(&[], 1, 1.0); 3],
            aggregation_temporality: temporality,
            is_monotonic: true,
        })),
        ..Default::default()
    };
    let scaled = |scale| ExponentialHistogramDataPoint { scale, ..Default::default() };
    let exponential = Metric {
        name: "e".into(),
        data: Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![scaled(-5), scaled(-4)],
            aggregation_temporality: 2,
        })),
        ..Default::default()
    };
    let empty = Metric { name: "n".into(), ..Default::default() };
    let bytes = request(&[], vec![gauge("g", points), sum(1), sum(0), exponential, empty]);
    let (sink, out) = translate(Options { delta: DeltaMode::Refuse, ..Options::default() }, &bytes);
    assert_eq!(sink.shown(), [r#"{__name__="g", ok="1"} 1 @1000"#, r#"{__name__="g", ok="2"} 2 @1000"#]);
    assert_eq!((out.accepted_points, sink.histograms.len()), (3, 1));
    let counts = RefusalReason::ALL.map(|reason| (reason, out.refused.count(reason)));
    let want = [RefusalReason::Invalid, RefusalReason::Temporality]
        .into_iter()
        .zip([3, 6])
        .chain(PointLimit::ALL[..4].iter().map(|limit| (RefusalReason::Limit(*limit), 1)));
    assert_eq!(counts.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), want.collect::<Vec<_>>());
    let messages = out.refused.messages();
    assert_eq!(messages.len(), 5, "the first five different ones");
    for (message, flag) in messages.iter().zip([
        "--max-label-value-bytes",
        "--max-labels-per-series",
        "--max-label-name-bytes",
        "--max-labels-bytes",
        "no value",
    ]) {
        assert!(message.contains(flag), "{message}");
    }
}

#[test]
fn bad_text_refuses_points_not_the_request() {
    // Gauge "g" with one point: attribute key "k", value one byte 0xff.
    let bad_value = [0x3a, 8, 0x0a, 1, b'k', 0x12, 3, 0x0a, 1, 0xff];
    let value = [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    let metric = |name: &[u8], point: &[u8]| nest(0x12, &[nest(0x0a, name), nest(0x2a, &nest(0x0a, point))].concat());
    let bad_point = [&bad_value[..], &value].concat();
    let metrics = [metric(b"g", &bad_point), metric(&[0xc3], &value), metric(b"ok", &value)].concat();
    let bytes = nest(0x0a, &nest(0x12, &metrics));
    let (sink, out) = translate(Options::default(), &bytes);
    assert_eq!(sink.shown(), [r#"{__name__="ok"} 1 @0"#]);
    assert_eq!(out.refused.count(RefusalReason::Invalid), 2);
    assert!(out.refused.messages().iter().all(|m| m.contains("not UTF-8")), "{:?}", out.refused.messages());
}

#[test]
fn a_description_that_is_not_text_costs_no_point() {
    // The second metric is found in the cache by name, and must not fare better than the first.
    let value = [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    let metric =
        |help: &[u8]| nest(0x12, &[nest(0x0a, b"g"), nest(0x12, help), nest(0x2a, &nest(0x0a, &value))].concat());
    let bytes = nest(0x0a, &nest(0x12, &[metric(b"Ce\xec"), metric(b"Cel")].concat()));
    let translator = Translator::new(Options::default());
    let mut sink = MemorySink::default();
    for _ in 0..2 {
        let out = run(&translator, 0, &mut sink, &bytes);
        assert_eq!((out.accepted_points, out.refused.total()), (2, 0));
    }
    assert_eq!(sink.series.len(), 1);
}

#[test]
fn scattered_and_reordered_attributes_reach_the_same_series() {
    let kv = |k: u8, v: u8| vec![0x3a, 8, 0x0a, 1, k, 0x12, 3, 0x0a, 1, v];
    let value = vec![0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
    let overlong_tag = |field: Vec<u8>| [vec![field[0] | 0x80, 0], field[1..].to_vec()].concat();
    let (a, b) = (kv(b'a', b'1'), kv(b'b', b'2'));
    let orders = [
        [a.clone(), b.clone(), value.clone()].concat(),
        [b.clone(), value.clone(), a.clone()].concat(),
        [value.clone(), a.clone(), value.clone(), b.clone()].concat(),
        [overlong_tag(a), value, overlong_tag(b)].concat(),
    ];
    let points: Vec<u8> = orders.iter().flat_map(|p| nest(0x0a, p)).collect();
    let bytes = nest(0x0a, &nest(0x12, &nest(0x12, &[nest(0x0a, b"g"), nest(0x2a, &points)].concat())));
    let translator = Translator::new(Options::default());
    let mut sink = MemorySink::default();
    for _ in 0..2 {
        assert_eq!(run(&translator, 0, &mut sink, &bytes).accepted_points, 4);
    }
    assert_eq!(sink.series.iter().map(Labels::to_string).collect::<Vec<_>>(), [r#"{__name__="g", a="1", b="2"}"#]);
    assert_eq!(sink.samples.len(), 8);
}

#[test]
fn target_info_spans_the_points_and_is_left_out_when_it_says_nothing() {
    let points = vec![point(&[("i", "1")], 400, 1.0), point(&[("i", "1")], 0, 1.0)];
    let info = |resource: &[(&str, &str)]| {
        let (sink, out) = translate(Options::default(), &request(resource, vec![gauge("g", points.clone())]));
        assert_eq!(out.accepted_points, 2);
        sink.shown().split_off(2)
    };
    let series = r#"{__name__="target_info", host_name="h", instance="i", job="ns/a"}"#;
    assert_eq!(
        info(&[("service.name", "a"), ("service.namespace", "ns"), ("service.instance.id", "i"), ("host.name", "h")]),
        [0, 150_000, 300_000, 400_000].map(|t| format!("{series} 1 @{t}"))
    );
    assert!(info(&[("service.name", "a"), ("service.instance.id", "i")]).is_empty(), "only identity");
    assert!(info(&[("host.name", "h")]).is_empty(), "no identity");
}

#[test]
fn target_info_is_bounded_for_absurd_times() {
    let far = NumberDataPoint { time_unix_nano: u64::MAX, ..point(&[], 0, 1.0) };
    let bytes = request(&[("service.name", "a"), ("x", "y")], vec![gauge("g", vec![point(&[], 0, 1.0), far])]);
    let (sink, _) = translate(Options::default(), &bytes);
    assert_eq!(sink.samples.len(), 2 + 2, "far apart: one near each point");
}

#[test]
fn a_full_cache_only_costs_time() {
    let points = (0..20).map(|i| point(&[("i", &i.to_string())], 1, f64::from(i))).collect();
    let bytes = request(&[], vec![gauge("g", points)]);
    let translator = Translator::new(Options { cache_entries_max: 7, ..Options::default() });
    let mut sink = MemorySink::default();
    for _ in 0..3 {
        assert_eq!(run(&translator, 0, &mut sink, &bytes).accepted_points, 20);
        assert!(translator.cache().len() <= 7);
    }
    assert_eq!(sink.series.len(), 20);
    assert!(sink.samples.iter().all(|(s, _, v)| s.0 as f64 == *v + 1.0));
}

#[test]
fn buckets_and_quantiles_are_bounded() {
    let options = || Options { limits: Limits { bucket_count_max: 4, ..Limits::default() }, ..Options::default() };
    let bounds: Vec<f64> = (0..4).map(f64::from).collect();
    let histogram = HistogramDataPoint { bucket_counts: vec![1; 5], explicit_bounds: bounds, ..Default::default() };
    let unordered =
        HistogramDataPoint { bucket_counts: vec![1; 3], explicit_bounds: vec![2.0, 1.0], ..Default::default() };
    let data = Histogram { data_points: vec![histogram, unordered], aggregation_temporality: 2 };
    let quantile_values = vec![ValueAtQuantile::default(); 5];
    let summary = Summary { data_points: vec![SummaryDataPoint { quantile_values, ..Default::default() }] };
    let metric = |data| Metric { name: "m".into(), data: Some(data), ..Default::default() };
    let bytes = request(&[], vec![metric(Data::Histogram(data)), metric(Data::Summary(summary))]);
    let (sink, out) = translate(options(), &bytes);
    assert!(sink.samples.is_empty() && sink.series.is_empty());
    assert_eq!(out.refused.count(RefusalReason::Limit(PointLimit::Buckets)), 2);
    assert_eq!(out.refused.count(RefusalReason::Invalid), 1);
}

#[test]
fn empty_requests_and_empty_metrics_are_fine() {
    let (_, out) = translate(Options::default(), &[]);
    assert_eq!(out, Translation::default());
    let (_, out) = translate(Options::default(), &request(&[], vec![gauge("g", vec![])]));
    assert_eq!((out.accepted_points, out.refused.total()), (0, 0));
    assert_eq!(out.warnings, [r#"metric "g" has no data points"#]);
}
