//! Requests against the router and the listener, with a store in memory that can hold on, fail and panic.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use mytsdb_engine::{Batch, Done, EngineError, Outcome, Refusal};
use mytsdb_ingest::{Appender, Ingest, IngestOptions};
use mytsdb_ingest_http::{HttpOptions, OtlpHttp, serve};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_telemetry::{Registry, write_text};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point::Value,
};
use prost::Message;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// What the store does with the next batches.
#[derive(Default)]
enum Mood {
    #[default]
    Store,
    Fail(EngineError),
    Panic,
    /// Keeps batches without an answer.
    Hold,
}

#[derive(Default)]
struct Memory {
    mood: Mutex<Mood>,
    series: Mutex<Vec<String>>,
    samples: Mutex<Vec<(i64, f64)>>,
    held: Mutex<Vec<Done>>,
}

impl Appender for Memory {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, EngineError> {
        let mut series = self.series.lock().unwrap();
        series.push(labels.to_string());
        Ok(SeriesRef(series.len() as u64))
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn touch(&self, _: SeriesRef) -> bool {
        true
    }

    /// Samples at time 0 are too old.
    fn keeps_exemplars(&self) -> bool {
        true
    }

    fn submit(&self, batch: Batch, done: Done) {
        match &*self.mood.lock().unwrap() {
            Mood::Store => {}
            Mood::Fail(error) => return done(Err(error.clone())),
            Mood::Panic => panic!("the store has a bug"),
            Mood::Hold => return self.held.lock().unwrap().push(done),
        }
        let mut outcome = Outcome::default();
        for (row, time) in batch.timestamps_ms.iter().enumerate() {
            if *time == 0 {
                outcome.refused.push((row as u32, Refusal::TooOld));
            } else {
                self.samples.lock().unwrap().push((*time, batch.values[row]));
            }
        }
        done(Ok(outcome));
    }
}

struct Server {
    store: Arc<Memory>,
    registry: Registry,
    otlp: OtlpHttp<Memory>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Server {
    fn new(options: IngestOptions) -> Self {
        let (store, registry) = (Arc::new(Memory::default()), Registry::new());
        let otlp = OtlpHttp::new(&registry);
        let translator = Arc::new(mytsdb_otlp::Translator::new(mytsdb_otlp::Options::default()));
        otlp.open(Arc::new(Ingest::new(Arc::clone(&store), translator, options)));
        Self { store, registry, otlp }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.otlp.router("/v1/metrics").oneshot(request).await.unwrap().into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    async fn post(&self, content_type: &str, encoding: Option<&str>, body: impl Into<Body>) -> Answer {
        self.send(post(content_type, encoding, body)).await
    }

    fn sample_count(&self) -> usize {
        self.store.samples.lock().unwrap().len()
    }

    fn metric(&self, line: &str) -> bool {
        let mut text = String::new();
        write_text(&self.registry.gather(), &mut text);
        text.lines().any(|l| l == line)
    }
}

fn post(content_type: &str, encoding: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post("/v1/metrics").header("content-type", content_type);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    request.body(body.into()).unwrap()
}

/// `google.rpc.Status` in protobuf.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Answer {
    /// The status of an error, which must come in `content_type`.
    #[track_caller]
    fn fault(&self, content_type: &str) -> Status {
        assert!(!self.status.is_success(), "{self:?}");
        assert_eq!(self.headers["content-type"], content_type);
        if content_type == PROTOBUF {
            return Status::decode(self.body.clone()).unwrap();
        }
        let tree = tree(&self.body);
        Status { code: tree["code"].as_i64().unwrap() as i32, message: text(&tree["message"]) }
    }
}

type Tree = serde_json::Value;

fn tree(body: &[u8]) -> Tree {
    serde_json::from_slice(body).unwrap()
}

fn text(value: &Tree) -> String {
    value.as_str().unwrap().to_owned()
}

fn request(times: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let point = |second| NumberDataPoint {
        time_unix_nano: second * 1_000_000_000,
        value: Some(Value::AsInt(second as i64)),
        ..NumberDataPoint::default()
    };
    let data = Some(Data::Gauge(Gauge { data_points: times.into_iter().map(point).collect() }));
    let metrics = vec![Metric { name: "temperature".into(), data, ..Metric::default() }];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn json(times: impl IntoIterator<Item = u64>) -> String {
    let point = |s: u64| format!(r#"{{"timeUnixNano":"{}","asInt":"{s}"}}"#, s * 1_000_000_000);
    let points: Vec<String> = times.into_iter().map(point).collect();
    let points = points.join(",");
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"temperature","gauge":{{"dataPoints":[{points}]}}}}]}}]}}]}}"#
    )
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn both_forms_in_every_compression_store_every_point() {
    let server = Server::new(IngestOptions::default());
    let (protobuf, text) = (request(1..=500), json(1..=500));
    let mut wanted = 0;
    for (form, body) in
        [(PROTOBUF, &protobuf[..]), (JSON, text.as_bytes()), ("Application/JSON; charset=utf-8", text.as_bytes())]
    {
        let snappy = snap::raw::Encoder::new().compress_vec(body).unwrap();
        for (encoding, packed) in [
            (None, body.to_vec()),
            (Some("identity"), body.to_vec()),
            (Some("gzip"), gzip(body)),
            (Some("GZIP"), gzip(body)),
            (Some("zstd"), zstd::encode_all(body, 3).unwrap()),
            (Some("deflate"), deflate(body)),
            (Some("snappy"), snappy),
        ] {
            let answer = server.post(form, encoding, packed).await;
            assert_eq!(answer.status, StatusCode::OK, "{form} {encoding:?}: {answer:?}");
            let empty: &[u8] = if form == PROTOBUF { b"" } else { b"{}" };
            assert_eq!(answer.body, empty);
            assert_eq!(answer.headers["content-type"], if form == PROTOBUF { PROTOBUF } else { JSON });
            wanted += 500;
            assert_eq!(server.sample_count(), wanted, "{form} {encoding:?}");
        }
    }
    assert_eq!(*server.store.series.lock().unwrap(), [r#"{__name__="temperature"}"#], "the same series in both forms");
    assert!(server.metric("mytsdb_ingest_points_total{protocol=\"otlp_http\"} 10500"));
    assert!(server.metric("mytsdb_ingest_requests_total{code=\"200\",protocol=\"otlp_http\"} 21"));
    assert!(server.metric("mytsdb_ingest_in_flight_bytes{protocol=\"otlp_http\"} 0"));
}

#[tokio::test]
async fn an_empty_request_is_fine() {
    let server = Server::new(IngestOptions::default());
    assert_eq!(server.post(PROTOBUF, None, Body::empty()).await.status, StatusCode::OK);
    assert_eq!(server.post(JSON, None, "{}").await.status, StatusCode::OK);
}

#[tokio::test]
async fn refused_points_are_counted_in_the_form_of_the_request() {
    let server = Server::new(IngestOptions::default());
    let answer = server.post(PROTOBUF, None, request([1, 0, 0])).await;
    let partial = ExportMetricsServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, partial.rejected_data_points), (StatusCode::OK, 2));
    let answer = server.post(JSON, None, json([1, 0, 0])).await;
    let tree = tree(&answer.body);
    assert_eq!((answer.status, text(&tree["partialSuccess"]["rejectedDataPoints"])), (StatusCode::OK, "2".to_owned()));
    for message in [partial.error_message, text(&tree["partialSuccess"]["errorMessage"])] {
        assert!(message.contains("--retention"), "{message}");
    }
    let warned = server.post(JSON, None, json([])).await;
    let tree: Tree = serde_json::from_slice(&warned.body).unwrap();
    assert!(tree["partialSuccess"].get("rejectedDataPoints").is_none(), "{tree}");
    assert!(text(&tree["partialSuccess"]["errorMessage"]).contains("no data points"), "{tree}");
}

#[tokio::test]
async fn an_attribute_that_nests_too_deep_costs_its_point_and_no_other() {
    for levels in [65, 100, 20_000] {
        let server = Server::new(IngestOptions::default());
        let deep = [r#"{"arrayValue":{"values":["#, "]}}"].map(|part| part.repeat(levels)).join("");
        let good = json(1..=3);
        let bad = format!(r#"{{"asInt":"7","timeUnixNano":"9","attributes":[{{"key":"deep","value":{deep}}}]}},"#);
        let both = good.replacen(r#""dataPoints":["#, &format!(r#""dataPoints":[{bad}"#), 1);
        let answer = server.post(JSON, None, both).await;
        assert_eq!((answer.status, server.sample_count()), (StatusCode::OK, 3), "{levels}: {answer:?}");
        let partial = &tree(&answer.body)["partialSuccess"];
        assert_eq!(text(&partial["rejectedDataPoints"]), "1");
        assert!(text(&partial["errorMessage"]).contains("--max-attribute-nesting"), "{partial}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_dropped_in_its_own_form() {
    let server = Server::new(IngestOptions::default());
    let (protobuf, text) = (request(1..9), json(1..9));
    let packed = gzip(&protobuf);
    for (form, encoding, body) in [
        (JSON, None, b"".to_vec()),
        (JSON, None, text.as_bytes()[..text.len() - 5].to_vec()),
        (JSON, None, br#"{"resourceMetrics":{"a":1}}"#.to_vec()),
        (JSON, None, text.replace("\"asInt\":\"3\"", "\"asInt\":\"3.5\"").into_bytes()),
        (JSON, None, protobuf.clone()),
        (PROTOBUF, None, protobuf[..protobuf.len() - 3].to_vec()),
        (PROTOBUF, None, text.clone().into_bytes()),
        (PROTOBUF, Some("gzip"), protobuf.clone()),
        (PROTOBUF, Some("gzip"), packed[..packed.len() - 6].to_vec()),
        (PROTOBUF, Some("zstd"), protobuf.clone()),
        (PROTOBUF, Some("snappy"), vec![0xff; 20]),
        (JSON, Some("deflate"), deflate(text.as_bytes())[..30].to_vec()),
    ] {
        let answer = server.post(form, encoding, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{encoding:?}: {answer:?}");
        let status = answer.fault(form);
        assert_eq!(status.code, 3);
        assert!(!status.message.is_empty() && status.message.len() < 300, "{status:?}");
        assert!(!answer.headers.contains_key("retry-after"));
    }
    assert_eq!(server.sample_count(), 0);
}

#[tokio::test]
async fn other_methods_types_and_compressions_are_told_what_is_wanted() {
    let server = Server::new(IngestOptions::default());
    for form in ["", "text/plain", "application/grpc", "application/jsonx"] {
        assert_eq!(server.post(form, None, json([1])).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{form}");
    }
    let bare = Request::post("/v1/metrics").body(Body::from(request([1]))).unwrap();
    assert_eq!(server.send(bare).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let answer =
            server.send(Request::builder().method(method).uri("/v1/metrics").body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.headers["allow"].as_bytes()), (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..]));
    }
    for encoding in ["br", "gzip, gzip"] {
        let answer = server.post(JSON, Some(encoding), json([1])).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(answer.fault(JSON).message.contains(encoding));
        assert!(answer.headers.contains_key("accept-encoding"));
    }
}

#[tokio::test]
async fn requests_over_a_limit_are_dropped_and_the_limit_is_named() {
    let options = IngestOptions {
        max_message_bytes: 256 << 10,
        max_compressed_bytes: 16 << 10,
        max_in_flight_bytes: 0,
        ..IngestOptions::default()
    };
    let server = Server::new(options);
    let chunks = |body: Vec<u8>| {
        let pieces: Vec<_> =
            body.chunks(10_000).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    let noise: Vec<u8> = (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let noise: Vec<u8> = noise.iter().zip(noise.iter().cycle().skip(7)).map(|(a, b)| a ^ b.rotate_left(3)).collect();
    let zeros = vec![0; 1 << 20];
    for (encoding, body, flag) in [
        (None, Body::from(zeros.clone()), "--max-request-bytes"),
        (None, chunks(zeros.clone()), "--max-request-bytes"),
        (Some("gzip"), Body::from(gzip(&zeros)), "--max-request-bytes"),
        (Some("deflate"), Body::from(deflate(&zeros)), "--max-request-bytes"),
        (Some("snappy"), Body::from(vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]), "--max-request-bytes"),
        (Some("gzip"), Body::from(noise.clone()), "--max-compressed-bytes"),
        (Some("gzip"), chunks(noise), "--max-compressed-bytes"),
    ] {
        let answer = server.post(PROTOBUF, encoding, body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding:?} {flag}: {answer:?}");
        let status = answer.fault(PROTOBUF);
        assert!(status.code == 8 && status.message.contains(flag), "{status:?}");
        assert!(!answer.headers.contains_key("retry-after"));
    }
    // A text within the limit, all numbers of one digit: longer as protobuf than as JSON.
    let numbers = vec!["1"; 100_000].join(",");
    let wide = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{"explicitBounds":[{numbers}]}}]}}}}]}}]}}]}}"#
    );
    let answer = server.post(JSON, None, wide).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{answer:?}");
    assert!(answer.fault(JSON).message.contains("--max-request-bytes"));
    assert!(server.metric("mytsdb_ingest_requests_total{code=\"413\",protocol=\"otlp_http\"} 8"));
    assert!(server.metric("mytsdb_ingest_in_flight_bytes{protocol=\"otlp_http\"} 0"));
}

#[tokio::test]
async fn a_body_in_chunks_is_read_whole() {
    let server = Server::new(IngestOptions::default());
    let body = request(1..=20_000);
    let pieces: Vec<_> =
        body.chunks(9_999).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let answer = server.post(PROTOBUF, None, Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!((answer.status, server.sample_count()), (StatusCode::OK, 20_000), "{answer:?}");
}

#[tokio::test]
async fn failures_of_the_store_make_the_sender_retry() {
    let server = Server::new(IngestOptions::default());
    for (mood, status, code) in [
        (Mood::Fail(EngineError::Stopped), 503, 14),
        (Mood::Fail(EngineError::Overloaded { limit: 1 }), 429, 8),
        (Mood::Panic, 503, 14),
    ] {
        *server.store.mood.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = mood;
        for (form, body) in [(JSON, json([1]).into_bytes()), (PROTOBUF, request([1]))] {
            let answer = server.post(form, None, body).await;
            assert_eq!((answer.status.as_u16(), answer.fault(form).code), (status, code));
            let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=5).contains(&wait), "{wait}");
            if code == 14 && server.store.mood.is_poisoned() {
                server.store.mood.clear_poison();
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_open_yet_says_so() {
    let otlp = OtlpHttp::<Memory>::new(&Registry::new());
    let response = otlp.router("/v1/metrics").oneshot(post(JSON, None, json([1]))).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
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
    let server = Arc::new(Server::new(options));
    *server.store.mood.lock().unwrap() = Mood::Hold;
    let waiting = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.post(PROTOBUF, None, request(1..=3000)).await }
    });
    while server.store.held.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let answer = server.post(JSON, None, json(1..=900)).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.fault(JSON).message.contains("--max-in-flight-bytes"));
    server.store.held.lock().unwrap().pop().unwrap()(Ok(Outcome::default()));
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    *server.store.mood.lock().unwrap() = Mood::Store;
    assert_eq!(server.post(JSON, None, json(1..=900)).await.status, StatusCode::OK, "there is room again");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_ends_in_time() {
    let options = IngestOptions { body_timeout: Duration::from_millis(20), ..IngestOptions::default() };
    let server = Server::new(options);
    let stalled = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = server.post(PROTOBUF, None, stalled).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.fault(PROTOBUF).message.contains("took over"));
    assert!(server.metric("mytsdb_ingest_in_flight_bytes{protocol=\"otlp_http\"} 0"));
}

#[tokio::test]
async fn a_body_that_drips_ends_long_before_its_time_and_the_limit_is_named() {
    let grace = Duration::from_millis(20);
    let options = IngestOptions { body_grace: grace, min_body_bytes_per_second: 1000, ..IngestOptions::default() };
    let server = Server::new(options);
    // The second byte never comes.
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
    let dripping = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let answer = server.post(PROTOBUF, None, Body::from_stream(dripping)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let message = answer.fault(PROTOBUF).message;
    assert!(message.contains("1000 bytes a second") && message.contains("--min-body-bytes-per-second"), "{message}");
    let limited = "mytsdb_ingest_limited_requests_total{limit=\"min-body-bytes-per-second\",protocol=\"otlp_http\"} 1";
    assert!(server.metric(limited));
    assert!(server.metric("mytsdb_ingest_in_flight_bytes{protocol=\"otlp_http\"} 0"));
}

#[tokio::test]
async fn a_sender_of_too_much_reads_the_answer_over_a_real_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::new(IngestOptions { max_message_bytes: 1 << 20, ..IngestOptions::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let router = server.otlp.router("/v1/metrics");
    let running = tokio::spawn(serve(listener, router, HttpOptions::default(), shutdown));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\n\r\n",
        2 << 20
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![0; 2 << 20]).await.unwrap();
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    drop((client, stop));
    running.await.unwrap().unwrap();
}
