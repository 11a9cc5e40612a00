//! What every write protocol over HTTP has: a store that is opened later, a route, counters, and an answer to panics.

use crate::answer::plain_text;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use futures_util::FutureExt;
use http::{HeaderValue, Method, Response, StatusCode, header};
use mytsdb_ingest::{IngestMetrics, Refusal, Unavailable};
use mytsdb_telemetry::Registry;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A write protocol over HTTP.
pub trait Protocol: Sized + Send + Sync + 'static {
    /// What its requests go into.
    type Store: Send + Sync + 'static;

    /// Its name in metrics and in the log.
    const NAME: &'static str;

    /// The codes that it answers with; anything else is counted as the last.
    const CODES: &'static [&'static str];

    /// Answers one request, which came by POST.
    fn respond(edge: Edge<Self>, request: Request) -> impl Future<Output = Response<Body>> + Send;
}

/// One protocol over one store, which may be opened later. A clone is the same.
#[derive(Debug)]
pub struct Edge<P: Protocol>(Arc<Shared<P::Store>>);

#[derive(Debug)]
struct Shared<S> {
    store: OnceLock<S>,
    metrics: IngestMetrics,
}

impl<P: Protocol> Clone for Edge<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Protocol> Edge<P> {
    /// Answers 503 until it is [opened](Self::open). Counts into `mytsdb_ingest_*` under the name of the protocol.
    pub fn new(registry: &Registry) -> Self {
        let metrics = IngestMetrics::new(registry, P::NAME, P::CODES);
        Self(Arc::new(Shared { store: OnceLock::new(), metrics }))
    }

    /// Stores requests from now on. Only the first call does something.
    pub fn open(&self, store: P::Store) {
        if self.0.store.set(store).is_err() {
            tracing::warn!(protocol = P::NAME, "a write protocol was opened twice");
        }
    }

    pub(crate) fn metrics(&self) -> &IngestMetrics {
        &self.0.metrics
    }

    /// The store, if it is open.
    pub(crate) fn opened(&self) -> Option<&P::Store> {
        self.0.store.get()
    }

    /// The store.
    ///
    /// # Errors
    /// [`Unavailable::Starting`] if it is not open yet.
    pub(crate) fn store(&self) -> Result<&P::Store, Refusal> {
        self.opened().ok_or_else(|| {
            Refusal::unavailable(Unavailable::Starting, "the server is starting: it reads what is on disk")
        })
    }

    /// Takes requests at `path`; to be merged into the router of any server.
    pub fn router(&self, path: &str) -> Router {
        let handler = |State(edge): State<Self>, request: Request| async move {
            let started = Instant::now();
            let response = if request.method() == Method::POST {
                P::respond(edge.clone(), request).await
            } else {
                let mut response =
                    plain_text(StatusCode::METHOD_NOT_ALLOWED, "405: samples are sent by POST".to_owned());
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                response
            };
            edge.metrics().count_request(response.status().as_str(), started.elapsed());
            response
        };
        Router::new().route(path, axum::routing::any(handler)).with_state(self.clone())
    }

    /// What `work` comes to; a panic is a refusal that makes the sender come back. Refusals by limits are counted.
    pub(crate) async fn guard<T, E: From<Refusal>>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, E> {
        // State shared between requests is either atomic or repairs itself after a panic (the series cache).
        let done = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(protocol = P::NAME, "a write request panicked; its sender is told to retry");
            Err(Refusal::unavailable(Unavailable::Internal, "internal error, the request was not stored"))
        });
        done.inspect_err(|refusal| self.metrics().count_refusal(refusal)).map_err(E::from)
    }
}
