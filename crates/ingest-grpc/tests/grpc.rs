//! A real client over loopback against the server, with a store in memory that can refuse, fail and panic.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use mytsdb_access::Access;
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Done, Engine, EngineError, EngineOptions, ManualClock, Outcome, Refusal};
use mytsdb_ingest::{Appender, Ingest, IngestOptions};
use mytsdb_ingest_grpc::{GrpcOptions, metrics, serve};
use mytsdb_listener::{Acceptor, ListenerOptions};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use mytsdb_otlp::{Options, Translator};
use mytsdb_telemetry::{Registry, write_text};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point::Value,
};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What the store does with the next batches.
#[derive(Default)]
enum Mood {
    #[default]
    Store,
    Fail(EngineError),
    /// Says once that a series is unknown, and drops all series.
    Forget,
    Panic,
    /// Keeps batches without an answer until [`Memory::release`].
    Hold,
}

#[derive(Default)]
struct State {
    mood: Mood,
    series: Vec<Labels>,
    gone: Vec<SeriesRef>,
    samples: Vec<(SeriesRef, i64, f64)>,
    held: Vec<(Batch, Done)>,
    series_max: Option<usize>,
}

#[derive(Default)]
struct Memory {
    state: Mutex<State>,
    epoch: AtomicU64,
    submitted: AtomicUsize,
}

impl Memory {
    fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    fn sample_count(&self) -> usize {
        self.state.lock().unwrap().samples.len()
    }

    fn release(&self) {
        let held = std::mem::take(&mut self.state.lock().unwrap().held);
        self.set(Mood::Store);
        for (batch, done) in held {
            self.submit(batch, done);
        }
    }
}

impl Appender for Memory {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, EngineError> {
        let mut state = self.state.lock().unwrap();
        if let Some(limit) = state.series_max.filter(|max| state.series.len() >= *max) {
            return Err(EngineError::SeriesLimit { limit });
        }
        state.series.push(labels.clone());
        Ok(SeriesRef(state.series.len() as u64))
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(SeqCst)
    }

    fn touch(&self, series: SeriesRef) -> bool {
        !self.state.lock().unwrap().gone.contains(&series)
    }

    /// Samples at negative times are too old.
    fn keeps_exemplars(&self) -> bool {
        true
    }

    fn submit(&self, batch: Batch, done: Done) {
        self.submitted.fetch_add(1, SeqCst);
        let mut state = self.state.lock().unwrap();
        let outcome = match &state.mood {
            Mood::Store => {
                let mut outcome = Outcome::default();
                for row in 0..batch.len() {
                    if batch.timestamps_ms[row] == 0 {
                        outcome.refused.push((row as u32, Refusal::TooOld));
                    } else {
                        state.samples.push((batch.refs[row], batch.timestamps_ms[row], batch.values[row]));
                        outcome.stored += 1;
                    }
                }
                Ok(outcome)
            }
            Mood::Fail(error) => Err(error.clone()),
            Mood::Forget => {
                state.mood = Mood::Store;
                let known = 1..=state.series.len() as u64;
                state.gone = known.map(SeriesRef).collect();
                self.epoch.fetch_add(1, SeqCst);
                Err(EngineError::UnknownSeries)
            }
            Mood::Panic => {
                drop(state);
                panic!("the store has a bug");
            }
            Mood::Hold => {
                state.held.push((batch, done));
                return;
            }
        };
        drop(state);
        done(outcome);
    }
}

struct Server {
    address: String,
    registry: Registry,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start<A: Appender>(store: Arc<A>, options: IngestOptions) -> Self {
        Self::start_with(store, options, GrpcOptions::default()).await
    }

    async fn start_with<A: Appender>(store: Arc<A>, options: IngestOptions, grpc: GrpcOptions) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let registry = Registry::new();
        let metrics = metrics(&registry);
        let translator = Arc::new(Translator::new(Options::default()));
        let ingest = Arc::new(Ingest::new(store, translator, options));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let running = tokio::spawn(serve(listener, ingest, grpc, metrics, shutdown));
        Self { address, registry, stop: Some(stop), running }
    }

    async fn client(&self) -> MetricsServiceClient<Channel> {
        MetricsServiceClient::connect(self.address.clone()).await.unwrap().max_encoding_message_size(256 << 20)
    }

    fn metric(&self, line: &str) -> bool {
        let mut text = String::new();
        write_text(&self.registry.gather(), &mut text);
        text.lines().any(|l| l == line)
    }

    async fn finish(mut self) {
        drop(self.stop.take());
        self.running.await.unwrap();
    }
}

fn request(seconds: impl IntoIterator<Item = u64>) -> ExportMetricsServiceRequest {
    let point = |(i, second): (usize, u64)| NumberDataPoint {
        attributes: vec![KeyValue {
            key: "i".into(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue(i.to_string())) }),
            ..Default::default()
        }],
        time_unix_nano: second * 1_000_000_000,
        value: Some(Value::AsDouble(1.5)),
        ..Default::default()
    };
    let data_points = seconds.into_iter().enumerate().map(point).collect();
    let metric =
        Metric { name: "temperature".into(), data: Some(Data::Gauge(Gauge { data_points })), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }] }
}

/// What the Collector's OTLP exporter does with an error.
fn collector_retries(status: &Status) -> bool {
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => status
            .get_details_retry_info()
            .and_then(|info| info.retry_delay)
            .is_some_and(|delay| (1..=30).contains(&delay.as_secs())),
        _ => false,
    }
}

const OK: ExportMetricsServiceResponse = ExportMetricsServiceResponse { partial_success: None };

#[tokio::test]
async fn every_compression_stores_every_point() {
    let store = Arc::new(Memory::default());
    let server = Server::start(Arc::clone(&store), IngestOptions::default()).await;
    let client = server.client().await;
    for (i, encoding) in
        [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)].into_iter().enumerate()
    {
        let mut client = match encoding {
            Some(encoding) => client.clone().send_compressed(encoding),
            None => client.clone(),
        };
        let answer = client.export(request(1..=5000)).await.unwrap();
        assert_eq!(answer.into_inner(), OK);
        assert_eq!(store.sample_count(), 5000 * (i + 1));
    }
    assert!(server.metric("mytsdb_ingest_points_total{protocol=\"otlp_grpc\"} 15000"));
    assert!(server.metric("mytsdb_ingest_requests_total{code=\"ok\",protocol=\"otlp_grpc\"} 3"));
    assert!(server.metric("mytsdb_ingest_request_duration_seconds_count{protocol=\"otlp_grpc\"} 3"));
    assert!(server.metric("mytsdb_ingest_stage_seconds_count{protocol=\"otlp_grpc\",stage=\"translate\"} 3"));
    assert!(server.metric("mytsdb_ingest_stage_seconds_count{protocol=\"otlp_grpc\",stage=\"store\"} 3"));
    server.finish().await;
}

#[tokio::test]
async fn an_empty_request_is_fine() {
    let store = Arc::new(Memory::default());
    let server = Server::start(Arc::clone(&store), IngestOptions::default()).await;
    let mut client = server.client().await;
    assert_eq!(client.export(ExportMetricsServiceRequest::default()).await.unwrap().into_inner(), OK);
    assert_eq!(store.submitted.load(SeqCst), 0);
    server.finish().await;
}

#[tokio::test]
async fn refused_points_are_counted_and_the_rest_is_stored() {
    let store = Arc::new(Memory::default());
    let server = Server::start(Arc::clone(&store), IngestOptions::default()).await;
    let mut client = server.client().await;
    let mut mixed = request([1, 0, 2, 0, 3]);
    let Some(Data::Gauge(gauge)) = &mut mixed.resource_metrics[0].scope_metrics[0].metrics[0].data else { panic!() };
    gauge.data_points[4].value = None;
    let partial = client.export(mixed).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 3);
    assert!(partial.error_message.contains("no value"), "{}", partial.error_message);
    assert!(partial.error_message.contains("--retention"), "{}", partial.error_message);
    assert_eq!(store.sample_count(), 2);
    assert!(server.metric("mytsdb_ingest_points_total{protocol=\"otlp_grpc\"} 2"));
    assert!(
        server.metric("mytsdb_ingest_refused_points_total{protocol=\"otlp_grpc\",reason=\"sample\"} 2")
            && server.metric("mytsdb_ingest_refused_points_total{protocol=\"otlp_grpc\",reason=\"invalid\"} 1")
    );
    server.finish().await;
}

#[tokio::test]
async fn a_full_store_refuses_new_series_only() {
    let store = Arc::new(Memory::default());
    store.state.lock().unwrap().series_max = Some(3);
    let server = Server::start(Arc::clone(&store), IngestOptions::default()).await;
    let mut client = server.client().await;
    for round in 1..=2 {
        let partial = client.export(request(1..=10)).await.unwrap().into_inner().partial_success.unwrap();
        assert_eq!(partial.rejected_data_points, 7);
        assert!(partial.error_message.contains("--max-series"), "{}", partial.error_message);
        assert_eq!(store.sample_count(), 3 * round);
    }
    server.finish().await;
}

#[tokio::test]
async fn failures_of_the_store_make_the_sender_retry() {
    let store = Arc::new(Memory::default());
    let server = Server::start(Arc::clone(&store), IngestOptions::default()).await;
    let mut client = server.client().await;
    for (mood, code) in [
        (Mood::Fail(EngineError::Stopped), Code::Unavailable),
        (Mood::Fail(EngineError::Overloaded { limit: 1 }), Code::ResourceExhausted),
        (Mood::Panic, Code::Unavailable),
    ] {
        store.set(mood);
        let status = client.export(request([1])).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(collector_retries(&status), "{status}");
    }
    store.set(Mood::Store);
    assert_eq!(client.export(request([1])).await.unwrap().into_inner(), OK, "the retry is stored");
    assert!(server.metric("mytsdb_ingest_requests_total{code=\"unavailable\",protocol=\"otlp_grpc\"} 2"));
    server.finish().await;
}

#[tokio::test]
async fn series_dropped_under_a_request_are_resolved_again() {
    let store = Arc::new(Memory::default());
    let server = Server::start(Arc::clone(&store), IngestOptions::default()).await;
    let mut client = server.client().await;
    client.export(request(1..=3)).await.unwrap();
    store.set(Mood::Forget);
    assert_eq!(client.export(request(1..=3)).await.unwrap().into_inner(), OK);
    assert_eq!(store.state.lock().unwrap().series.len(), 6);
    assert_eq!(store.submitted.load(SeqCst), 3);
    server.finish().await;
}

#[tokio::test]
async fn requests_over_a_limit_are_dropped_and_the_limit_is_named() {
    let options = IngestOptions {
        max_message_bytes: 1 << 20,
        max_compressed_bytes: 4 << 10,
        max_compression_ratio: 10,
        ..IngestOptions::default()
    };
    let server = Server::start(Arc::new(Memory::default()), options).await;
    let client = server.client().await;
    let noisy = request((0..10_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34));
    let bomb = || request(std::iter::repeat_n(7, 60_000));
    for (encoding, points, flag) in [
        (None, request(0..40_000), "--max-request-bytes"),
        (Some(CompressionEncoding::Gzip), noisy, "--max-compressed-bytes"),
        (Some(CompressionEncoding::Gzip), bomb(), "--max-co"),
        (Some(CompressionEncoding::Zstd), bomb(), "--max-co"),
    ] {
        let mut client = match encoding {
            Some(encoding) => client.clone().send_compressed(encoding),
            None => client.clone(),
        };
        let status = client.export(points).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains(flag), "{status}");
        assert!(status.get_details_retry_info().is_none(), "{status}");
        assert!(!collector_retries(&status));
    }
    server.finish().await;
}

/// Sends bytes as they are, with the codec of nobody.
async fn raw(server: &Server, body: &'static [u8], encoding: Option<&str>, method: &str) -> (Code, String) {
    use http_body_util::{BodyExt, Full};
    let channel = Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
    let path = format!("/opentelemetry.proto.collector.metrics.v1.MetricsService/{method}");
    let mut request = http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let body = tonic::body::Body::new(Full::new(bytes::Bytes::from_static(body)));
    let mut channel = channel;
    std::future::poll_fn(|cx| tower::Service::<http::Request<tonic::body::Body>>::poll_ready(&mut channel, cx))
        .await
        .unwrap();
    let response = tower::Service::call(&mut channel, request.body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let trailers = response.into_body().collect().await.unwrap().trailers().cloned();
    let status = Status::from_header_map(&headers).or_else(|| Status::from_header_map(&trailers.unwrap())).unwrap();
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn garbage_is_dropped() {
    let server = Server::start(Arc::new(Memory::default()), IngestOptions::default()).await;
    for (body, encoding, part) in [
        (&b""[..], None, "without a message"),
        (b"\0\0", None, "without a message"),
        (b"\0\0\0\0\x02\xff\xff", None, "undecodable"),
        (b"\0\0\0\0\x09\x0a", None, "ends inside"),
        (b"\0\xff\xff\xff\xff\x0a", None, "--max-request-bytes"),
        (b"\x01\xff\xff\xff\xff\x0a", Some("gzip"), "--max-compressed-bytes"),
        (b"\x02\0\0\0\0", None, "flag 2"),
        (b"\x01\0\0\0\0", None, "grpc-encoding"),
        (b"\0\0\0\0\0\0\0\0\0\0", None, "more than one"),
        (b"\x01\0\0\0\x03abc", Some("gzip"), "gzip"),
        (b"\x01\0\0\0\x03abc", Some("zstd"), "zstd"),
    ] {
        let (code, message) = raw(&server, body, encoding, "Export").await;
        let wanted = if part.starts_with("--") { Code::ResourceExhausted } else { Code::InvalidArgument };
        assert_eq!(code, wanted, "{body:?}: {message}");
        assert!(message.contains(part), "{body:?}: {message}");
        assert!(!collector_retries(&Status::new(code, message)));
    }
    assert_eq!(raw(&server, b"\0\0\0\0\0", None, "Export").await.0, Code::Ok);
    assert_eq!(raw(&server, b"\0\0\0\0\0", Some("identity"), "Export").await.0, Code::Ok);
    assert_eq!(raw(&server, b"\x01\0\0\0\x03abc", Some("snappy"), "Export").await.0, Code::Unimplemented);
    assert_eq!(raw(&server, b"\0\0\0\0\0", None, "Import").await.0, Code::Unimplemented);
    server.finish().await;
}

#[tokio::test]
async fn a_full_house_tells_senders_to_come_back() {
    let options = IngestOptions {
        max_message_bytes: 64 << 10,
        max_compressed_bytes: 1,
        max_in_flight_bytes: 0,
        queue_timeout: Duration::from_millis(1),
        ..IngestOptions::default()
    };
    let store = Arc::new(Memory::default());
    store.set(Mood::Hold);
    let server = Server::start(Arc::clone(&store), options).await;
    let large = || request(1..=1200);
    let mut first = server.client().await;
    let waiting = tokio::spawn(async move { first.export(large()).await });
    while store.submitted.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = server.client().await;
    let status = second.export(large()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("--max-in-flight-bytes"));
    assert!(collector_retries(&status));
    store.release();
    assert_eq!(waiting.await.unwrap().unwrap().into_inner(), OK);
    assert_eq!(second.export(large()).await.unwrap().into_inner(), OK, "there is room again");
    server.finish().await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a file of a person, which is not stored data")]
async fn a_sender_needs_credentials_that_are_good_for_writing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    // printf reader-token | sha256sum; printf writer-token | sha256sum
    let web = "bearer_tokens:
- {name: reader, sha256: ba5005a40cf5212e4ac0190104cc127edab013294bb71279a975b27a80982d45, scopes: [read, admin]}
- {name: writer, sha256: 3590c0a59f72ce02700194a05f228a725c1f135a6dcb3ded9b2d86ab6a6f52cb, scopes: [write]}
";
    std::fs::write(&path, web).unwrap();
    let access = Access::open(&path, &Registry::new()).unwrap();
    let acceptor = Acceptor::new("otlp_grpc", ListenerOptions::default(), &Registry::new()).guarded_by(access);
    let grpc = GrpcOptions { acceptor, ..GrpcOptions::default() };
    let store = Arc::new(Memory::default());
    let server = Server::start_with(Arc::clone(&store), IngestOptions::default(), grpc).await;
    let mut client = server.client().await;
    let mut send = async |authorization: Option<&'static str>| {
        let mut request = tonic::Request::new(request([1]));
        if let Some(value) = authorization {
            request.metadata_mut().insert("authorization", value.parse().unwrap());
        }
        client.export(request).await
    };
    for (authorization, code) in [
        (None, Code::Unauthenticated),
        (Some("Bearer guess"), Code::Unauthenticated),
        (Some("Basic YTpi"), Code::Unauthenticated),
        (Some("Bearer reader-token"), Code::PermissionDenied),
    ] {
        let status = send(authorization).await.unwrap_err();
        assert_eq!(status.code(), code, "{authorization:?}: {status}");
        assert!(!collector_retries(&status) && !status.message().contains("guess"), "{status}");
    }
    assert_eq!(store.sample_count(), 0);
    assert_eq!(send(Some("Bearer writer-token")).await.unwrap().into_inner(), OK);
    server.finish().await;
}

#[tokio::test]
async fn shutdown_waits_for_requests_being_worked_on() {
    let store = Arc::new(Memory::default());
    store.set(Mood::Hold);
    let mut server = Server::start(Arc::clone(&store), IngestOptions::default()).await;
    let mut client = server.client().await;
    let waiting = tokio::spawn(async move { client.export(request([1])).await });
    while store.submitted.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(server.stop.take());
    while MetricsServiceClient::connect(server.address.clone()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.running.is_finished());
    store.release();
    assert_eq!(waiting.await.unwrap().unwrap().into_inner(), OK);
    server.finish().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let store = Arc::new(Memory::default());
    store.set(Mood::Hold);
    let grpc = GrpcOptions { shutdown_grace: Duration::from_millis(1), ..GrpcOptions::default() };
    let server = Server::start_with(Arc::clone(&store), IngestOptions::default(), grpc).await;
    let mut client = server.client().await;
    let waiting = tokio::spawn(async move { client.export(request([1])).await });
    while store.submitted.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    server.finish().await;
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_stores_what_was_acknowledged() {
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let clock = Arc::new(ManualClock::new(60_000_000));
    let (engine, _) = Engine::open(disk, clock, EngineOptions::new("/data"), &Registry::new()).unwrap();
    let engine = Arc::new(engine);
    let committer = std::thread::spawn({
        let engine = Arc::clone(&engine);
        move || engine.run_committer()
    });
    let server = Server::start(Arc::clone(&engine), IngestOptions::default()).await;
    let mut client = server.client().await.send_compressed(CompressionEncoding::Gzip);
    for _ in 0..2 {
        assert_eq!(client.export(request(50_000..50_100)).await.unwrap().into_inner(), OK, "a repeat is no conflict");
    }
    let range = TimeRange::new(50_000_000, 50_100_000);
    let found = engine.select(range, &[Matcher::equal("__name__", "temperature")]).unwrap();
    assert_eq!(found.len(), 100);
    let mut columns = Columns::default();
    found.read(0, range, &mut columns).unwrap();
    assert_eq!(columns.values, [1.5]);
    engine.stop().unwrap();
    let status = client.export(request([50_000])).await.unwrap_err();
    assert!(status.code() == Code::Unavailable && collector_retries(&status), "{status}");
    server.finish().await;
    committer.join().unwrap();
}
