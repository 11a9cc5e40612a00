//! One export request: headers, body, store, answer.

use crate::answer::{Fault, failure, plain, success};
use crate::body;
use crate::format::Format;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use mytsdb_ingest::{Appender, Encoding, Ingest, IngestMetrics, Refusal, Report, Room, Unavailable};
use mytsdb_otlp_json::{Problem, transcode};
use mytsdb_telemetry::Registry;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The answers that are given; anything else is counted as the last.
const CODES: [&str; 7] = ["200", "400", "405", "413", "415", "429", "503"];

/// Bytes of protobuf that a byte of JSON becomes at most: two characters of an array are a number of eight bytes.
const JSON_GROWTH_MAX: usize = 8;

/// OTLP/HTTP over one store, which may be opened later. A clone is the same.
#[derive(Debug)]
pub struct OtlpHttp<A>(Arc<Shared<A>>);

#[derive(Debug)]
struct Shared<A> {
    ingest: OnceLock<Arc<Ingest<A>>>,
    metrics: IngestMetrics,
}

impl<A> Clone for OtlpHttp<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Appender> OtlpHttp<A> {
    /// Answers 503 until it is [opened](Self::open). Counts into `mytsdb_ingest_*` with `protocol="otlp_http"`.
    pub fn new(registry: &Registry) -> Self {
        let metrics = IngestMetrics::new(registry, "otlp_http", &CODES);
        Self(Arc::new(Shared { ingest: OnceLock::new(), metrics }))
    }

    /// Stores requests from now on. Only the first call does something.
    pub fn open(&self, ingest: Arc<Ingest<A>>) {
        if self.0.ingest.set(ingest).is_err() {
            tracing::warn!("OTLP/HTTP was opened twice");
        }
    }

    /// Takes requests at `path`; to be merged into the router of any server.
    pub fn router(&self, path: &str) -> Router {
        let handler = |State(otlp): State<Self>, request: Request| async move { otlp.answer(request).await };
        Router::new().route(path, axum::routing::any(handler)).with_state(self.clone())
    }

    async fn answer(&self, request: Request) -> Response<Body> {
        let started = Instant::now();
        let response = self.respond(request).await;
        self.0.metrics.count_request(response.status().as_str(), started.elapsed());
        response
    }

    async fn respond(&self, request: Request) -> Response<Body> {
        if request.method() != http::Method::POST {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "405: metrics are sent by POST\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let Some(format) = Format::of(request.headers()) else {
            let text = "415: the content type must be application/x-protobuf or application/json\n";
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
        };
        // State shared between requests is either atomic or repairs itself after a panic (the series cache).
        let stored = AssertUnwindSafe(self.export(request, format)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a write request panicked; its sender is told to retry");
            let message = "internal error, the request was not stored";
            Err(Refusal::unavailable(Unavailable::Internal, message).into())
        });
        match stored {
            Ok(report) => success(format, report),
            Err(fault) => failure(format, &fault),
        }
    }

    async fn export(&self, request: Request, format: Format) -> Result<Option<Report>, Fault> {
        let Shared { ingest, metrics } = &*self.0;
        let ingest = ingest.get().ok_or_else(|| {
            Refusal::unavailable(Unavailable::Starting, "the server is starting: it reads what is on disk")
        })?;
        let encoding = content_encoding(request.headers())?;
        let (request, mut room) = body::receive(request, encoding, ingest, metrics).await?;
        let request = match format {
            Format::Protobuf => request,
            Format::Json => from_json(ingest, &request, &mut room).await?,
        };
        room.shrink(request.len());
        let translation = ingest.store_otlp(&request, room, metrics).await?;
        Ok(Report::of(&translation))
    }
}

/// The protobuf form of a request. Mostly it is shorter than the text, so room for as many bytes is tried first.
async fn from_json<A: Appender>(ingest: &Ingest<A>, json: &Bytes, room: &mut Room) -> Result<Bytes, Refusal> {
    let bytes_max = ingest.options().max_message_bytes;
    let likely = json.len().min(bytes_max);
    ingest.enlarge(room, likely).await?;
    let mut protobuf = transcode(json, likely);
    let most = json.len().saturating_mul(JSON_GROWTH_MAX).min(bytes_max);
    if let Err(error) = &protobuf
        && matches!(error.problem, Problem::TooLarge { .. })
        && most > likely
    {
        ingest.enlarge(room, most - likely).await?;
        protobuf = transcode(json, most);
    }
    protobuf.map(Bytes::from).map_err(|error| match error.problem {
        Problem::TooLarge { .. } => ingest.message_too_large("request, as protobuf"),
        _ => Refusal::malformed(error.to_string()),
    })
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Fault> {
    let mut names = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    let name = names.next().unwrap_or_default();
    match Encoding::from_name(name) {
        Some(encoding) if names.next().is_none() => Ok(encoding),
        _ => Err(Fault::Encoding(String::from_utf8_lossy(&name[..name.len().min(32)]).into_owned())),
    }
}
