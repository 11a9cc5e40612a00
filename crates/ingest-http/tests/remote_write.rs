//! Every row of what remote write answers, with a store in memory that can fail, panic and refuse.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use mytsdb_engine::{Batch, Done, EngineError, Outcome, Refusal};
use mytsdb_ingest::{Appender, Ingest, IngestOptions};
use mytsdb_ingest_http::RemoteWrite;
use mytsdb_intake::{Limits, Metadata, SeriesCache};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_remote_write::{Options, Receiver};
use mytsdb_telemetry::{Registry, write_text};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

const V1: &str = "application/x-protobuf";
const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// What the store does with batches; samples at time 1 are too old, at 2 in conflict, at 3 too far ahead.
#[derive(Default)]
enum Mood {
    #[default]
    Store,
    Fail(EngineError),
    Panic,
}

#[derive(Default)]
struct Memory {
    mood: Mutex<Mood>,
    series: Mutex<Vec<String>>,
    samples: Mutex<Vec<(String, i64, f64)>>,
}

impl Appender for Memory {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, EngineError> {
        if labels.metric_name() == "one_too_many" {
            return Err(EngineError::SeriesLimit { limit: 7 });
        }
        let mut series = self.series.lock().unwrap();
        series.push(labels.to_string());
        Ok(SeriesRef(series.len() as u64 - 1))
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn touch(&self, _: SeriesRef) -> bool {
        true
    }

    fn keeps_exemplars(&self) -> bool {
        true
    }

    fn submit(&self, batch: Batch, done: Done) {
        match &*self.mood.lock().unwrap() {
            Mood::Store => {}
            Mood::Fail(error) => return done(Err(error.clone())),
            Mood::Panic => panic!("the store has a bug"),
        }
        let mut outcome = Outcome::default();
        for row in 0..batch.len() {
            let refusal = match batch.timestamps_ms[row] {
                1 => Refusal::TooOld,
                2 => Refusal::Conflict,
                3 => Refusal::TooFarAhead,
                time => {
                    let series = self.series.lock().unwrap()[batch.refs[row].0 as usize].clone();
                    self.samples.lock().unwrap().push((series, time, batch.values[row]));
                    continue;
                }
            };
            outcome.refused.push((row as u32, refusal));
        }
        outcome.exemplars = batch.exemplar_count() as u32;
        done(Ok(outcome));
    }
}

struct Server {
    store: Arc<Memory>,
    registry: Registry,
    edge: RemoteWrite<Memory>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Server {
    fn new() -> Self {
        Self::with(IngestOptions::default())
    }

    fn with(options: IngestOptions) -> Self {
        let (store, registry) = (Arc::new(Memory::default()), Registry::new());
        let edge = RemoteWrite::new(&registry);
        let translator = Arc::new(mytsdb_otlp::Translator::new(mytsdb_otlp::Options::default()));
        let receiver = Receiver::new(Options {
            limits: Limits::default(),
            cache: Arc::new(SeriesCache::new(100)),
            metadata: Arc::new(Metadata::new(100)),
            fingerprint_seed: 1,
        });
        edge.open((Arc::new(Ingest::new(Arc::clone(&store), translator, options)), receiver));
        Self { store, registry, edge }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.edge, request).await
    }

    /// Posts a message, packed.
    async fn post(&self, content_type: &str, message: &[u8]) -> Answer {
        self.send(post(content_type, "snappy", packed(message))).await
    }

    fn stored(&self) -> usize {
        self.store.samples.lock().unwrap().len()
    }
}

async fn send(edge: &RemoteWrite<Memory>, request: Request<Body>) -> Answer {
    let (parts, body) = edge.router("/api/v1/write").oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

impl Answer {
    /// Samples, histograms and exemplars that version 2.0 is told are written.
    fn written(&self) -> Option<[u64; 3]> {
        let header = |kind| self.headers.get(format!("x-prometheus-remote-write-{kind}-written"));
        let number = |kind| header(kind)?.to_str().unwrap().parse().ok();
        Some([number("samples")?, number("histograms")?, number("exemplars")?])
    }
}

fn post(content_type: &str, encoding: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/api/v1/write").header("content-type", content_type);
    request.header("content-encoding", encoding).body(body.into()).unwrap()
}

fn packed(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 1 << 14);
    let length = [content.len() as u8 & 0x7f | 0x80, (content.len() >> 7) as u8];
    [&[number << 3 | 2], &length[..], content].concat()
}

fn exemplar(time: u8) -> Vec<u8> {
    [&[0x11], &1.5_f64.to_le_bytes()[..], &[0x18, time]].concat()
}

fn sample(time: u8) -> Vec<u8> {
    [&[0x09], &1.5_f64.to_le_bytes()[..], &[0x10, time]].concat()
}

/// A series of version 1.0.
fn v1(name: &str, times: &[u8]) -> Vec<u8> {
    let label = [field(1, b"__name__"), field(2, name.as_bytes())].concat();
    let samples = times.iter().flat_map(|time| field(2, &sample(*time)));
    field(1, &field(1, &label).into_iter().chain(samples).collect::<Vec<_>>())
}

/// A request of version 2.0 with series of these names and times; a histogram too if asked for.
fn v2(series: &[(&str, &[u8])], histogram: bool) -> Vec<u8> {
    let mut out = [field(4, b""), field(4, b"__name__")].concat();
    for (number, (name, times)) in series.iter().enumerate() {
        out.extend(field(4, name.as_bytes()));
        let mut message = field(1, &[1, number as u8 + 2]);
        message.extend(times.iter().flat_map(|time| field(2, &sample(*time))));
        if histogram {
            message.extend(field(3, &[0x78, 9]));
        }
        // An exemplar.
        message.extend(field(4, &exemplar(9)));
        out.extend(field(5, &message));
    }
    out
}

#[tokio::test]
async fn what_is_stored_is_204_and_version_2_hears_how_much() {
    let server = Server::new();
    let answer = server.post(V1, &[v1("a", &[7, 8]), v1("b", &[9])].concat()).await;
    assert_eq!((answer.status, &answer.text[..], answer.written()), (204, "", None));
    let answer = server.post(V2, &v2(&[("c", &[7, 8]), ("d", &[9])], false)).await;
    assert_eq!((answer.status, &answer.text[..], answer.written()), (204, "", Some([3, 0, 2])));
    let answer = server.post(V2, &v2(&[("e", &[7]), ("f", &[])], true)).await;
    assert_eq!((answer.status, &answer.text[..], answer.written()), (204, "", Some([1, 2, 2])));
    assert_eq!(server.stored(), 9);
    assert_eq!(server.store.samples.lock().unwrap()[5], ("{__name__=\"d\"}".to_owned(), 9, 1.5));
    for (content_type, written) in [(V1, None), (V2, Some([0, 0, 0]))] {
        let answer = server.post(content_type, b"").await;
        assert_eq!((answer.status, answer.written()), (204, written), "an empty request is a success");
    }
}

#[tokio::test]
async fn some_bad_samples_are_400_after_the_good_ones_are_stored() {
    let server = Server::new();
    let series: [(&str, &[u8]); 3] = [("a", &[1, 7]), ("b", &[2]), ("c", &[3, 8])];
    let wanted = "\
too old sample: timestamp is older than the retention (--retention) for series {__name__=\"a\"}
duplicate sample for timestamp: a sample with the same timestamp but another value is already stored for series {__name__=\"b\"}
out of bounds: timestamp is too far in the future (--future-tolerance) for series {__name__=\"c\"}
3 samples were refused, 2 are stored
";
    let answer = server.post(V1, &series.map(|(name, times)| v1(name, times)).concat()).await;
    assert_eq!((answer.status, &answer.text[..], answer.written()), (400, wanted, None));
    let answer = server.post(V2, &v2(&series, false)).await;
    assert_eq!((answer.status, &answer.text[..], answer.written()), (400, wanted, Some([2, 0, 3])));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(server.stored(), 4);
}

#[tokio::test]
async fn refused_series_are_400_and_named() {
    let server = Server::new();
    let answer = server.post(V2, &v2(&[("one_too_many", &[7]), ("", &[7]), ("fine", &[7])], false)).await;
    assert_eq!((answer.status, answer.written()), (400, Some([1, 0, 1])));
    let lines: Vec<&str> = answer.text.lines().collect();
    assert!(lines[0].contains('7') && lines[0].ends_with(" for series {__name__=\"one_too_many\"}"), "{lines:?}");
    assert_eq!(
        lines[1..],
        ["invalid metric name or labels, got {__name__=\"\"}", "2 samples were refused, 1 are stored"]
    );
}

#[tokio::test]
async fn many_refused_series_make_a_short_text() {
    let server = Server::new();
    let names: Vec<String> = (0..100).map(|i| format!("{}{i}", "long".repeat(10))).collect();
    let series: Vec<_> = names.iter().flat_map(|name| v1(name, &[1])).collect();
    let answer = server.post(V1, &series).await;
    assert_eq!((answer.status, answer.text.lines().count()), (400, 6));
    assert!(
        answer.text.len() < 1500 && answer.text.contains("100 samples were refused, 0 are stored"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_400() {
    let server = Server::new();
    let good = v1("a", &[7]);
    let frames = {
        use std::io::Write;
        let mut frames = snap::write::FrameEncoder::new(Vec::new());
        frames.write_all(&good).unwrap();
        frames.into_inner().unwrap()
    };
    let whole = packed(&good);
    for body in [&frames[..], b"", &whole[..whole.len() - 2], b"\xff\xff\xff\xff\xff\xff", &good, &packed(&good[..20])]
    {
        for (content_type, written) in [(V1, None), (V2, Some([0, 0, 0]))] {
            let answer = server.send(post(content_type, "snappy", body.to_vec())).await;
            assert_eq!((answer.status, answer.written()), (400, written), "{body:?} {answer:?}");
            assert!(answer.text.ends_with('\n') && answer.text.len() < 200, "{answer:?}");
            assert!(answer.headers.get("retry-after").is_none());
        }
    }
    assert_eq!(server.post(V2, &good).await.status, 400, "the other version");
    assert_eq!(server.stored(), 0);
    assert_eq!(server.post(V1, &good).await.status, 204);
}

#[tokio::test]
async fn what_is_too_large_is_413() {
    let options = IngestOptions { max_message_bytes: 1000, max_compressed_bytes: 100, ..IngestOptions::default() };
    let server = Server::with(options);
    let promise = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    let blown_up = packed(&[0; 1001]);
    for body in [&promise[..], &blown_up, &[0; 101]] {
        let answer = server.send(post(V1, "snappy", body.to_vec())).await;
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(answer.text.contains("the limit is 100"), "{answer:?}");
    }
}

#[tokio::test]
async fn other_forms_are_415_and_other_methods_405() {
    let server = Server::new();
    let good = packed(&v1("a", &[7]));
    for content_type in ["application/json", "text/plain", "application/x-protobuf;proto=prometheus.WriteRequestV9"] {
        let answer = server.send(post(content_type, "snappy", good.clone())).await;
        assert_eq!((answer.status, answer.written()), (415, None), "{content_type}");
    }
    for encoding in ["gzip", "zstd", "identity"] {
        let answer = server.send(post(V1, encoding, good.clone())).await;
        assert_eq!((answer.status, answer.headers["accept-encoding"].to_str().unwrap()), (415, "snappy"));
        let wanted =
            format!("{encoding:?} encoding (compression) is not accepted by this server; only snappy is acceptable\n");
        assert_eq!(answer.text, wanted);
    }
    let bare = Request::post("/api/v1/write").body(Body::from(good)).unwrap();
    assert_eq!(server.send(bare).await.status, 204, "without headers it is 1.0 in snappy");
    for method in [Method::GET, Method::PUT] {
        let request = Request::builder().method(method).uri("/api/v1/write").body(Body::empty()).unwrap();
        let answer = server.send(request).await;
        assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "POST"));
    }
}

#[tokio::test]
async fn what_may_pass_is_503_with_a_time_to_come_back() {
    let server = Server::new();
    let moods = [
        Mood::Fail(EngineError::Overloaded { limit: 5 }),
        Mood::Fail(EngineError::Stopped),
        Mood::Fail(EngineError::UnknownSeries),
        Mood::Panic,
    ];
    for mood in moods {
        *server.store.mood.lock().unwrap() = mood;
        for (content_type, written) in [(V1, None), (V2, Some([0, 0, 0]))] {
            let message = if content_type == V1 { v1("a", &[7]) } else { v2(&[("a", &[7])], false) };
            let answer = server.post(content_type, &message).await;
            server.store.mood.clear_poison();
            assert_eq!((answer.status, answer.written()), (503, written));
            let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=30).contains(&seconds));
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_is_503() {
    let edge = RemoteWrite::<Memory>::new(&Registry::new());
    let answer = send(&edge, post(V1, "snappy", packed(b""))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE.as_u16());
    assert!(answer.headers.contains_key("retry-after") && answer.text.contains("starting"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let server = Server::with(IngestOptions { body_timeout: Duration::from_millis(10), ..IngestOptions::default() });
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let answer = server.send(post(V1, "snappy", never)).await;
    assert_eq!(answer.status, 503, "{answer:?}");
}

#[tokio::test]
async fn requests_and_samples_are_counted() {
    let server = Server::new();
    server.post(V1, &v1("a", &[1, 7, 8])).await;
    server.post(V1, &v1("a", &[9])).await;
    let mut text = String::new();
    write_text(&server.registry.gather(), &mut text);
    for line in [
        "mytsdb_ingest_points_total{protocol=\"remote_write\"} 3",
        "mytsdb_ingest_refused_points_total{protocol=\"remote_write\",reason=\"sample\"} 1",
        "mytsdb_ingest_requests_total{protocol=\"remote_write\",code=\"400\"} 1",
        "mytsdb_ingest_requests_total{protocol=\"remote_write\",code=\"204\"} 1",
        "mytsdb_ingest_in_flight_bytes{protocol=\"remote_write\"} 0",
    ] {
        let labels: Vec<_> = line.split(['{', '}', ',']).collect();
        let found =
            text.lines().any(|l| labels.iter().all(|label| l.contains(label)) && l.ends_with(labels[labels.len() - 1]));
        assert!(found, "{line} in\n{text}");
    }
}
