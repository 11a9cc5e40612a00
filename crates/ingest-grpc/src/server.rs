//! Listens, serves, and stops without cutting requests off.

use crate::connection::incoming;
use crate::export::Exporter;
use crate::service::MetricsService;
use crate::status::CODE_NAMES;
use crate::{GrpcOptions, IngestError};
use mytsdb_ingest::{Appender, Ingest, IngestMetrics};
use mytsdb_telemetry::Registry;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;

/// HTTP/2 windows: large requests should not wait for round trips.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

/// Largest HTTP/2 frame: fewer pieces per request.
const FRAME_BYTES_MAX: u32 = 1 << 20;

/// Bytes of a request's headers.
const HEADER_BYTES_MAX: u32 = 16 << 10;

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
///
/// # Errors
/// [`IngestError::Transport`] if the listener fails.
pub async fn serve<A: Appender>(
    listener: TcpListener,
    ingest: Arc<Ingest<A>>,
    options: GrpcOptions,
    metrics: IngestMetrics,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), IngestError> {
    let grace = options.shutdown_grace;
    let mut server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(options.max_streams_per_connection)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE));
    let exporter = Exporter { ingest, metrics };
    let incoming = incoming(options.acceptor, listener);
    let (stopping, stopped) = oneshot::channel::<()>();
    let signal = async move {
        shutdown.await;
        drop(stopping);
    };
    let serving = server.add_service(MetricsService(Arc::new(exporter))).serve_with_incoming_shutdown(incoming, signal);
    let out_of_patience = async move {
        // Ends with an error when the other side is dropped, which is the signal.
        stopped.await.unwrap_or_default();
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        result = serving => Ok(result?),
        () = out_of_patience => {
            tracing::warn!(?grace, "requests were still being worked on when the shutdown grace ended");
            Ok(())
        }
    }
}
