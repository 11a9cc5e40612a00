//! What a real engine holds after requests of which some points are refused: whole points, and `target_info` near them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use mytsdb_columns::Columns;
use mytsdb_engine::{Engine, EngineOptions, ManualClock};
use mytsdb_ingest::{Ingest, IngestOptions};
use mytsdb_ingest_grpc::{GrpcOptions, metrics, serve};
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_otlp::{Options, Translator};
use mytsdb_telemetry::Registry;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Summary,
    SummaryDataPoint, metric::Data, number_data_point::Value, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::sync::Arc;
use tonic::transport::Channel;

const NOW_S: i64 = 1_700_000_000;
const DAY_S: i64 = 86_400;

/// An engine at [`NOW_S`] behind a server, and a client of it.
struct Store {
    engine: Arc<Engine>,
    client: MetricsServiceClient<Channel>,
}

impl Store {
    async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(NOW_S * 1_000));
        let disk = Arc::new(mytsdb_io::SimDisk::new());
        let registry = Registry::new();
        let engine = Arc::new(Engine::open(disk, clock, EngineOptions::new("/data"), &registry).unwrap().0);
        let committer = Arc::clone(&engine);
        std::thread::spawn(move || committer.run_committer());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let translator = Arc::new(Translator::new(Options::default()));
        let ingest = Arc::new(Ingest::new(Arc::clone(&engine), translator, IngestOptions::default()));
        tokio::spawn(serve(listener, ingest, GrpcOptions::default(), metrics(&registry), std::future::pending()));
        Self { engine, client: MetricsServiceClient::connect(address).await.unwrap() }
    }

    /// How many points of the resources, or of a resource repeated so many times, are refused.
    async fn send(&self, resource_metrics: Vec<ResourceMetrics>) -> i64 {
        let mut client = self.client.clone().max_encoding_message_size(64 << 20);
        let answer = client.export(ExportMetricsServiceRequest { resource_metrics }).await.unwrap().into_inner();
        answer.partial_success.map_or(0, |partial| {
            assert!(partial.rejected_data_points == 0 || !partial.error_message.is_empty());
            partial.rejected_data_points
        })
    }

    /// All samples of the series of a name, as `labels without name: value @ seconds from now`.
    fn samples(&self, name: &str) -> Vec<String> {
        let found = self.engine.select(TimeRange::ALL, &[Matcher::equal("__name__", name)]).unwrap();
        let mut all = Vec::new();
        for index in 0..found.len() {
            let mut columns = Columns::default();
            found.read(index, TimeRange::ALL, &mut columns).unwrap();
            let Columns { timestamps_ms: timestamps, values, .. } = columns;
            let labels: Vec<_> =
                found.labels(index).iter().filter(|l| l.0 != "__name__").map(|(n, v)| format!("{n}={v}")).collect();
            let shown = |(t, v): (&i64, &f64)| format!("{}: {v} @ {}", labels.join(","), t / 1_000 - NOW_S);
            all.extend(timestamps.iter().zip(&values).map(shown));
        }
        all
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.engine.stop().unwrap();
    }
}

fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(text.into())) });
    pairs.iter().map(|(key, text)| KeyValue { key: (*key).into(), value: value(text), ..Default::default() }).collect()
}

fn nanos(seconds: i64) -> u64 {
    (NOW_S + seconds) as u64 * 1_000_000_000
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.into(), data: Some(data), ..Default::default() }
}

/// Points of a gauge, each with an attribute of its own unless `one_series`: `(nanoseconds, value)`.
fn gauge(one_series: bool, points: &[(u64, i64)]) -> Metric {
    let point = |(i, &(time_unix_nano, value)): (usize, &(u64, i64))| NumberDataPoint {
        attributes: if one_series { Vec::new() } else { texts(&[("p", &i.to_string())]) },
        time_unix_nano,
        value: Some(Value::AsInt(value)),
        ..Default::default()
    };
    metric("g", Data::Gauge(Gauge { data_points: points.iter().enumerate().map(point).collect() }))
}

fn histogram(sum: Option<f64>, bounds: &[f64], counts: &[u64]) -> Metric {
    let point = HistogramDataPoint {
        time_unix_nano: nanos(-60),
        count: counts.iter().sum(),
        sum,
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        ..Default::default()
    };
    metric("h", Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 }))
}

fn summary(count: u64, quantiles: &[(f64, f64)]) -> Metric {
    let quantile = |&(quantile, value)| ValueAtQuantile { quantile, value };
    let point = SummaryDataPoint {
        time_unix_nano: nanos(-60),
        count,
        sum: 1.0,
        quantile_values: quantiles.iter().map(quantile).collect(),
        ..Default::default()
    };
    metric("s", Data::Summary(Summary { data_points: vec![point] }))
}

/// A resource with attributes beside its identity, and a scope for each metric.
fn resource(attributes: &[(&str, &str)], metrics: Vec<Metric>) -> ResourceMetrics {
    let attributes = [texts(&[("service.name", "j"), ("service.instance.id", "i")]), texts(attributes)].concat();
    ResourceMetrics {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_metrics: metrics.into_iter().map(|m| ScopeMetrics { metrics: vec![m], ..Default::default() }).collect(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_that_is_refused_leaves_nothing_in_one_request_or_another() {
    for apart in [false, true] {
        let store = Store::start().await;
        let mut metrics = vec![
            histogram(Some(3.0), &[1.0, 2.0], &[1, 1, 1]),
            histogram(Some(6.0), &[1.0, 5.0], &[1, 1, 1]), // another sum
            histogram(None, &[0.5, 1.0], &[1, 1, 1]),      // another bucket
            histogram(None, &[0.1, 2.0], &[2, 2, 0]),      // another count, last
            summary(5, &[(0.5, 1.0), (0.9, 2.0)]),
            summary(5, &[(0.5, 1.0), (0.7, 1.5), (0.9, 3.0)]),
            summary(5, &[(0.6, 1.0), (0.6, 2.0)]), // against itself
            histogram(Some(3.0), &[1.0, 2.0], &[1, 1, 1]),
        ];
        let refused = if apart {
            let mut refused = 0;
            for metric in metrics.drain(..) {
                refused += store.send(vec![resource(&[], vec![metric])]).await;
            }
            refused
        } else {
            store.send(vec![resource(&[], metrics)]).await
        };
        assert_eq!(refused, 5, "apart: {apart}");
        assert_eq!(store.samples("h_sum"), ["instance=i,job=j: 3 @ -60"]);
        assert_eq!(store.samples("h_count"), ["instance=i,job=j: 3 @ -60"]);
        let bucket = |le: &str, count: u64| format!("instance=i,job=j,le={le}: {count} @ -60");
        assert_eq!(store.samples("h_bucket"), [bucket("+Inf", 3), bucket("1", 1), bucket("2", 2)]);
        let quantiles = [("0.5", 1), ("0.9", 2)].map(|(q, v)| format!("instance=i,job=j,quantile={q}: {v} @ -60"));
        assert_eq!(store.samples("s"), quantiles);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn target_info_stands_near_accepted_points_only() {
    let info = |x: &str, seconds: &[i64]| -> Vec<String> {
        seconds.iter().map(|at| format!("instance=i,job=j,x={x}: 1 @ {at}")).collect()
    };
    let year_ahead = nanos(365 * DAY_S);
    for (points, refused, expected) in [
        (vec![(0, 1), (nanos(-60), 2)], 1, &[-60][..]),
        (vec![(0, 1), (year_ahead, 2)], 2, &[]),
        (
            vec![(NOW_S as u64 * 1_000, 1), (year_ahead, 2), (nanos(900), 3), (nanos(300), 4), (nanos(-60), 5)],
            3,
            &[-60, 90, 240, 300],
        ),
        (vec![(nanos(-10 * DAY_S), 1), (nanos(-60), 2)], 0, &[-10 * DAY_S, -60]),
    ] {
        let store = Store::start().await;
        assert_eq!(store.send(vec![resource(&[("x", "1")], vec![gauge(false, &points)])]).await, refused);
        assert_eq!(store.samples("target_info"), info("1", expected));
    }
    // One series from two resources: what the second says is in conflict, but for one point.
    let store = Store::start().await;
    let first = resource(&[("x", "1")], vec![gauge(true, &[(nanos(-60), 1)])]);
    let second = |points: &[(u64, i64)]| resource(&[("x", "2")], vec![gauge(true, points)]);
    assert_eq!(store.send(vec![first, second(&[(nanos(-60), 2)])]).await, 1);
    assert_eq!(store.samples("target_info"), info("1", &[-60]));
    assert_eq!(store.send(vec![second(&[(nanos(-60), 2), (nanos(-30), 2)])]).await, 1);
    assert_eq!(store.samples("target_info"), [info("1", &[-60]), info("2", &[-30])].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_of_target_info_are_bounded_by_the_points_of_a_request() {
    let store = Store::start().await;
    let one = |x: &str| resource(&[("x", x)], vec![gauge(true, &[(0, 1), (nanos(-13 * DAY_S), 1), (nanos(-60), 1)])]);
    assert_eq!(store.send((0..5_000).map(|_| one("1")).collect()).await, 5_000);
    assert_eq!(store.samples("target_info").len(), 2);
    // Hours apart, in resources that differ: some gaps are filled, not all of them.
    let hours: Vec<(u64, i64)> = (1..=10).map(|h| (nanos(-3_600 * h), 1)).collect();
    let resources: Vec<_> = (0..500).map(|x| resource(&[("y", &x.to_string())], vec![gauge(true, &hours)])).collect();
    assert_eq!(store.send(resources).await, 0);
    let samples = store.samples("target_info").len();
    assert!((5_000..5_000 * 3).contains(&samples), "{samples}");
}
