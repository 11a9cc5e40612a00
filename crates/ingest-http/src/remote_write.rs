//! Prometheus remote write: one request's headers, body, store, answer.

use crate::answer::plain_text;
use crate::body;
use crate::edge::{Edge, Protocol};
use crate::negotiate::{self, Unsupported};
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use mytsdb_ingest::{Appender, Encoding, Ingest, Refusal};
use mytsdb_remote_write::{Receiver, Version, Written};
use std::marker::PhantomData;
use std::sync::Arc;

const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// The remote-write receiver, which counts as `protocol="remote_write"`.
pub type RemoteWrite<A> = Edge<Remote<A>>;

/// The protocol of [`RemoteWrite`].
#[derive(Debug)]
pub struct Remote<A>(PhantomData<fn(A)>);

impl<A: Appender> Protocol for Remote<A> {
    type Store = (Arc<Ingest<A>>, Receiver);
    const NAME: &'static str = "remote_write";
    const CODES: &'static [&'static str] = &["204", "400", "405", "413", "415", "503"];

    async fn respond(edge: Edge<Self>, request: Request) -> Response<Body> {
        respond(edge, request).await
    }
}

async fn respond<A: Appender>(edge: RemoteWrite<A>, request: Request) -> Response<Body> {
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

async fn store<A: Appender>(edge: &RemoteWrite<A>, request: Request, version: Version) -> Result<Written, Refusal> {
    let ((ingest, receiver), metrics) = (edge.store()?, edge.metrics());
    let (request, room) = body::receive(request, Encoding::SnappyBlock, ingest, metrics).await?;
    ingest.store_remote_write(receiver, (version, &request), room, metrics).await
}

/// Says no to a form of request, once its body is out of the way.
async fn unsupported<A: Appender>(edge: &RemoteWrite<A>, request: Request, problem: Unsupported) -> Response<Body> {
    if let Some((ingest, _)) = edge.opened() {
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
