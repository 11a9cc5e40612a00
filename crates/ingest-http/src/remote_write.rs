//! Prometheus remote write: one request's headers, body, store, answer.

use crate::answer::plain_text;
use crate::body;
use crate::negotiate::{self, Unsupported};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use mytsdb_ingest::{Appender, Encoding, Ingest, IngestMetrics, Refusal, Unavailable};
use mytsdb_remote_write::{Receiver, Version, Written};
use mytsdb_telemetry::Registry;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The answers that are given; anything else is counted as the last.
const CODES: [&str; 6] = ["204", "400", "405", "413", "415", "503"];

const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// The remote-write receiver over one store, which may be opened later. A clone is the same.
#[derive(Debug)]
pub struct RemoteWrite<A>(Arc<Shared<A>>);

#[derive(Debug)]
struct Shared<A> {
    store: OnceLock<Store<A>>,
    metrics: IngestMetrics,
}

#[derive(Debug)]
struct Store<A> {
    ingest: Arc<Ingest<A>>,
    receiver: Receiver,
}

impl<A> Clone for RemoteWrite<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Appender> RemoteWrite<A> {
    /// Answers 503 until it is [opened](Self::open). Counts into `mytsdb_ingest_*` with `protocol="remote_write"`.
    pub fn new(registry: &Registry) -> Self {
        let metrics = IngestMetrics::new(registry, "remote_write", &CODES);
        Self(Arc::new(Shared { store: OnceLock::new(), metrics }))
    }

    /// Stores requests from now on. Only the first call does something.
    pub fn open(&self, ingest: Arc<Ingest<A>>, receiver: Receiver) {
        if self.0.store.set(Store { ingest, receiver }).is_err() {
            tracing::warn!("remote write was opened twice");
        }
    }

    /// Takes requests at `path`; to be merged into the router of any server.
    pub fn router(&self, path: &str) -> Router {
        let handler = |State(this): State<Self>, request: Request| async move { this.answer(request).await };
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
            let mut response = plain_text(StatusCode::METHOD_NOT_ALLOWED, "samples are written by POST".to_owned());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let version = match negotiate::version(request.headers()) {
            Ok(version) => version,
            Err(problem) => return self.unsupported(request, problem).await,
        };
        if let Err(problem) = negotiate::snappy(request.headers()) {
            return self.unsupported(request, problem).await;
        }
        // State shared between requests is either atomic or repairs itself after a panic (the series cache).
        let stored = AssertUnwindSafe(self.store(request, version)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("a remote-write request panicked; its sender is told to retry");
            Err(Refusal::unavailable(Unavailable::Internal, "internal error, the request was not stored"))
        });
        let (mut response, counts) = match stored {
            Ok(written) => (outcome(&written), [written.samples, written.histograms]),
            Err(refusal) => (failure(&refusal), [0, 0]),
        };
        if version == Version::V2 {
            let headers = response.headers_mut();
            headers.insert(SAMPLES, HeaderValue::from(counts[0]));
            headers.insert(HISTOGRAMS, HeaderValue::from(counts[1]));
            // Exemplars are not stored.
            headers.insert(EXEMPLARS, HeaderValue::from(0));
        }
        response
    }

    async fn store(&self, request: Request, version: Version) -> Result<Written, Refusal> {
        let Shared { store, metrics } = &*self.0;
        let Store { ingest, receiver } = store.get().ok_or_else(|| {
            Refusal::unavailable(Unavailable::Starting, "the server is starting: it reads what is on disk")
        })?;
        let (request, room) = body::receive(request, Encoding::SnappyBlock, ingest, metrics).await?;
        ingest.store_remote_write(receiver, (version, &request), room, metrics).await
    }

    /// Says no to a form of request, once its body is out of the way.
    async fn unsupported(&self, request: Request, problem: Unsupported) -> Response<Body> {
        if let Some(Store { ingest, .. }) = self.0.store.get() {
            body::discard(request, ingest).await;
        }
        let mut response = plain_text(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem.to_string());
        if let Unsupported::Encoding(_) = problem {
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("snappy"));
        }
        response
    }
}

/// The answer to a request that was worked on: an error if any of it is not stored, though the rest is.
fn outcome(written: &Written) -> Response<Body> {
    if written.is_complete() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let mut lines = written.refused.messages().to_vec();
    let (refused, stored) = (written.refused.total(), written.samples + written.histograms);
    if refused > 1 || stored > 0 {
        lines.push(format!("{refused} samples were refused, {stored} are stored"));
    }
    plain_text(StatusCode::BAD_REQUEST, lines.join("\n"))
}

/// The answer to a request that was not. What may pass is 503 and never 429, which Prometheus does not retry by default.
fn failure(refusal: &Refusal) -> Response<Body> {
    let status = match refusal {
        Refusal::Malformed { .. } => StatusCode::BAD_REQUEST,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = plain_text(status, refusal.to_string());
    crate::answer::set_retry_after(&mut response, refusal);
    response
}
