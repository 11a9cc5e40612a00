//! Listens, serves, and stops without cutting requests off.

use crate::GrpcOptions;
use crate::export::Exporter;
use crate::service::respond;
use crate::status::{CODE_NAMES, from_turned_away};
use http::Request;
use hyper::body::Incoming;
use mytsdb_access::Scope;
use mytsdb_ingest::{Appender, Ingest, IngestMetrics};
use mytsdb_listener::{Http2Options, ServeOptions};
use mytsdb_telemetry::Registry;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::body::Body;

/// HTTP/2 windows: large requests should not wait for round trips.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

/// Largest HTTP/2 frame: fewer pieces per request.
const FRAME_BYTES_MAX: u32 = 1 << 20;

/// A silent connection is asked for a sign of life this often, and closed if it stays silent.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// What the server counts: `mytsdb_ingest_*` with `protocol="otlp_grpc"`.
pub fn metrics(registry: &Registry) -> IngestMetrics {
    IngestMetrics::new(registry, "otlp_grpc", &CODE_NAMES)
}

/// Serves OTLP/gRPC on `listener` until `shutdown` completes; then no new connection or request is taken, and requests
/// being worked on finish within [`GrpcOptions::shutdown_grace`].
///
/// An OK means that the engine has called the batch durable.
pub async fn serve<A: Appender>(
    listener: TcpListener,
    ingest: Arc<Ingest<A>>,
    options: GrpcOptions,
    metrics: IngestMetrics,
    shutdown: impl Future<Output = ()> + Send,
) {
    let serving = ServeOptions {
        drain: options.shutdown_grace,
        http2: Http2Options {
            only: true,
            windows: Some((STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES)),
            frame_bytes_max: Some(FRAME_BYTES_MAX),
            keepalive: Some(KEEPALIVE),
        },
        scope: |_| Scope::Write,
        turn_away: |reason| from_turned_away(reason).into_http(),
        ..ServeOptions::default()
    };
    let exporter = Arc::new(Exporter { ingest, metrics });
    let handler = move |request: Request<Incoming>| respond(Arc::clone(&exporter), request.map(Body::new));
    mytsdb_listener::serve(listener, options.acceptor, serving, handler, shutdown).await;
}
