//! A listener for OTLP/HTTP alone: accepts connections, bounds them, and lets them finish when told to stop.

use crate::{HttpIngestError, HttpOptions};
use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use mytsdb_listener::Stream;
use std::future::Future;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// Most bytes of a request's head, and of a body that are read at once.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Streams that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;

/// Serves `router` on `listener` until `shutdown` is done; then takes no more connections and gives those there are
/// [`HttpOptions::shutdown_grace`] to finish what they are at. What is left then is cut off.
///
/// HTTP/1.1 and HTTP/2 without TLS. A connection that cannot be served ends alone.
///
/// # Errors
/// [`HttpIngestError::Listen`] if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: HttpOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), HttpIngestError> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "OTLP/HTTP is listening");
    let connections = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = options.acceptor.accept(&listener) => stream,
        };
        // Finished tasks are taken out, so that the set does not grow with every connection ever made.
        while tasks.try_join_next().is_some() {}
        let connection = connections.watch(connection(stream, router.clone()));
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(options.shutdown_grace, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still being worked on when the shutdown grace ended");
    }
    tasks.shutdown().await;
    Ok(())
}

/// The future that serves one connection.
fn connection(
    stream: Stream<TcpStream>,
    router: Router,
) -> impl GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send + use<> {
    let slot = stream.slot().clone();
    let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        let (router, slot) = (router.clone(), slot.clone());
        async move {
            // Answers are a few bytes: what is left to be written when this ends is in the connection's buffer.
            let _busy = slot.begin_request();
            if slot.is_spare() { Ok(too_many()) } else { router.oneshot(request.map(Body::new)).await }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The stream keeps the time of heads.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned()
}

/// All connections are busy, this one is one too many.
fn too_many() -> Response<Body> {
    let mut response = Response::new(Body::from("all connections are busy (--max-connections), come back later\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
