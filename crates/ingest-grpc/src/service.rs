//! The gRPC service as HTTP sees it: headers, method, panics.

use crate::export::Exporter;
use crate::response;
use crate::status::{code_name, from_refusal};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use mytsdb_ingest::{Appender, Encoding, Refusal, Unavailable};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

/// What the `grpc-accept-encoding` header offers.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// The path of the one method there is.
const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Bytes of a method's path that an answer repeats.
const SHOWN_BYTES_MAX: usize = 128;

/// Answers one request, whatever happens.
pub(crate) async fn respond<A: Appender>(exporter: Arc<Exporter<A>>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    // State shared between requests is either atomic or repairs itself after a panic (the series cache).
    let answer = AssertUnwindSafe(answer(&exporter, request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a write request panicked; its sender is told to retry");
        let message = "internal error, the request was not stored";
        Err(from_refusal(&Refusal::unavailable(Unavailable::Internal, message)))
    });
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    exporter.metrics.count_request(code_name(code), started.elapsed());
    let mut response = answer.unwrap_or_else(Status::into_http);
    response.headers_mut().insert("grpc-accept-encoding", ACCEPTED);
    response
}

async fn answer<A: Appender>(exporter: &Exporter<A>, request: Request<Body>) -> Result<Response<Body>, Status> {
    let path = request.uri().path();
    if path != EXPORT {
        let shown = String::from_utf8_lossy(&path.as_bytes()[..path.len().min(SHOWN_BYTES_MAX)]);
        return Err(Status::unimplemented(format!("method {shown:?} is not known, {EXPORT} is")));
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
