//! The gRPC service as HTTP sees it: headers, method, panics.

use crate::export::Exporter;
use crate::response;
use crate::status::{code_name, from_refusal};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use mytsdb_ingest::{Appender, Encoding, Refusal, Unavailable};
use mytsdb_listener::Slot;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

/// What the `grpc-accept-encoding` header offers.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// `opentelemetry.proto.collector.metrics.v1.MetricsService`.
pub(crate) struct MetricsService<A>(pub Arc<Exporter<A>>);

impl<A> Clone for MetricsService<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A> NamedService for MetricsService<A> {
    const NAME: &'static str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
}

impl<A: Appender> Service<Request<Body>> for MetricsService<A> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let exporter = Arc::clone(&self.0);
        let slot = request.extensions().get::<Slot>().cloned();
        Box::pin(async move {
            let _busy = slot.as_ref().map(Slot::begin_request);
            let started = Instant::now();
            // State shared between requests is either atomic or repairs itself after a panic (the series cache).
            let spare = slot.as_ref().is_some_and(Slot::is_spare);
            let answering = AssertUnwindSafe(answer(&exporter, request, spare)).catch_unwind();
            let answer = answering.await.unwrap_or_else(|_| {
                tracing::error!("a write request panicked; its sender is told to retry");
                let message = "internal error, the request was not stored";
                Err(from_refusal(&Refusal::unavailable(Unavailable::Internal, message)))
            });
            let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
            exporter.metrics.count_request(code_name(code), started.elapsed());
            let mut response = answer.unwrap_or_else(Status::into_http);
            response.headers_mut().insert("grpc-accept-encoding", ACCEPTED);
            Ok(response)
        })
    }
}

async fn answer<A: Appender>(
    exporter: &Exporter<A>,
    request: Request<Body>,
    spare: bool,
) -> Result<Response<Body>, Status> {
    if spare {
        return Err(from_refusal(&Refusal::overloaded("all connections are busy (--max-connections)")));
    }
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    if method != "Export" {
        return Err(Status::unimplemented(format!("method {method:?}")));
    }
    check_content_type(request.headers())?;
    let encoding = grpc_encoding(request.headers())?;
    let message = exporter.export(request.into_body(), encoding).await.map_err(|refusal| from_refusal(&refusal))?;
    Ok(response::ok(&message))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Status> {
    let content_type = headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    match content_type.strip_prefix(b"application/grpc") {
        Some(b"" | b"+proto" | [b';', ..]) => Ok(()),
        _ => Err(Status::invalid_argument("content-type is not application/grpc or application/grpc+proto")),
    }
}

fn grpc_encoding(headers: &HeaderMap) -> Result<Encoding, Status> {
    let name = headers.get("grpc-encoding").map_or(&b""[..], |value| value.as_bytes());
    let known = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd];
    Encoding::from_name(name).filter(|encoding| known.contains(encoding)).ok_or_else(|| {
        let name = String::from_utf8_lossy(&name[..name.len().min(32)]);
        Status::unimplemented(format!("compression {name:?} is not supported, identity, gzip and zstd are"))
    })
}
