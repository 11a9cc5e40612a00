//! Whether the server is ready, stopping, or has a storage that takes nothing more.

use crate::answer::plain;
use crate::options::Fault;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct Readiness {
    ready: Arc<AtomicBool>,
    stopping: AtomicBool,
    fault: Fault,
    caution: Fault,
}

impl Readiness {
    /// Ready once `ready` is set; `fault` is asked what is wrong with the storage, `caution` what people should know.
    pub(crate) fn new(ready: Arc<AtomicBool>, fault: Fault, caution: Fault) -> Self {
        Self { ready, stopping: AtomicBool::new(false), fault, caution }
    }

    pub(crate) fn is_ready(&self) -> bool {
        // Acquire pairs with the owner's Release: who sees the flag sees the storage as it was when it was set.
        self.ready.load(Ordering::Acquire)
    }

    /// What is wrong with the storage, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.find()
    }

    /// What people should know of a storage that is ready, if anything.
    pub(crate) fn caution(&self) -> Option<String> {
        self.caution.find()
    }

    pub(crate) fn stop(&self) {
        // Relaxed: the text is for people, no other memory depends on it.
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// The answer to everything while the storage is being opened or closed.
    pub(crate) fn not_ready(&self) -> Response<Body> {
        let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
        // Relaxed: see `stop`.
        let stopping = if self.stopping.load(Ordering::Relaxed) { "true" } else { "false" };
        let headers = response.headers_mut();
        headers.insert(HeaderName::from_static("x-prometheus-stopping"), HeaderValue::from_static(stopping));
        response
    }
}

/// Lets requests through once the server is ready.
pub(crate) async fn layer(State(readiness): State<Arc<Readiness>>, request: Request, next: Next) -> Response<Body> {
    if readiness.is_ready() { next.run(request).await } else { readiness.not_ready() }
}
