//! Prometheus remote write: one request's headers, body, store, answer.

use crate::answer::plain_text;
use crate::body;
use crate::edge::Edge;
use crate::negotiate::{self, Unsupported};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use mytsdb_ingest::{Appender, Encoding, Ingest, Refusal};
use mytsdb_remote_write::{Receiver, Version, Written};
use mytsdb_telemetry::Registry;
use std::sync::Arc;

/// The answers that are given; anything else is counted as the last.
const CODES: [&str; 6] = ["204", "400", "405", "413", "415", "503"];

const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// The remote-write receiver over one store, which may be opened later. A clone is the same.
#[derive(Debug)]
pub struct RemoteWrite<A>(Edge<Store<A>>);

#[derive(Debug)]
struct Store<A> {
    ingest: Arc<Ingest<A>>,
    receiver: Receiver,
}

impl<A> Clone for RemoteWrite<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Appender> RemoteWrite<A> {
    /// Answers 503 until it is [opened](Self::open). Counts into `mytsdb_ingest_*` with `protocol="remote_write"`.
    pub fn new(registry: &Registry) -> Self {
        Self(Edge::new(registry, "remote_write", &CODES))
    }

    /// Stores requests from now on. Only the first call does something.
    pub fn open(&self, ingest: Arc<Ingest<A>>, receiver: Receiver) {
        self.0.open(Store { ingest, receiver });
    }

    /// Takes requests at `path`; to be merged into the router of any server.
    pub fn router(&self, path: &str) -> Router {
        self.0.router(path, respond)
    }
}

async fn respond<A: Appender>(edge: Edge<Store<A>>, request: Request) -> Response<Body> {
    let form = negotiate::version(request.headers());
    let version = match form.and_then(|version| negotiate::snappy(request.headers()).map(|()| version)) {
        Ok(version) => version,
        Err(problem) => return unsupported(&edge, request, problem).await,
    };
    let (mut response, counts) = match edge.guard(store(&edge, request, version)).await {
        Ok(written) => (outcome(&written), [written.samples, written.histograms, written.exemplars]),
        Err(refusal) => (failure(&refusal), [0, 0, 0]),
    };
    if version == Version::V2 {
        let headers = response.headers_mut();
        headers.insert(SAMPLES, HeaderValue::from(counts[0]));
        headers.insert(HISTOGRAMS, HeaderValue::from(counts[1]));
        headers.insert(EXEMPLARS, HeaderValue::from(counts[2]));
    }
    response
}

async fn store<A: Appender>(edge: &Edge<Store<A>>, request: Request, version: Version) -> Result<Written, Refusal> {
    let (Store { ingest, receiver }, metrics) = (edge.store()?, edge.metrics());
    let (request, room) = body::receive(request, Encoding::SnappyBlock, ingest, metrics).await?;
    ingest.store_remote_write(receiver, (version, &request), room, metrics).await
}

/// Says no to a form of request, once its body is out of the way.
async fn unsupported<A: Appender>(edge: &Edge<Store<A>>, request: Request, problem: Unsupported) -> Response<Body> {
    if let Some(Store { ingest, .. }) = edge.opened() {
        body::discard(request, ingest).await;
    }
    let mut response = plain_text(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem.to_string());
    if let Unsupported::Encoding(_) = problem {
        response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("snappy"));
    }
    response
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
pub(crate) fn failure(refusal: &Refusal) -> Response<Body> {
    let status = match refusal {
        Refusal::Malformed { .. } => StatusCode::BAD_REQUEST,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = plain_text(status, refusal.to_string());
    crate::answer::set_retry_after(&mut response, refusal);
    response
}
