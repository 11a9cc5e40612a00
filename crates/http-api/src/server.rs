//! The server: accepts connections, bounds them, and lets them finish when told to stop.

use crate::api::{Api, Shared};
use crate::error::HttpApiError;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// Most bytes of header names and values in a request.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Most bytes of a request's head: the headers, and a request line that may carry the longest query, escaped.
const HEAD_BYTES_MAX: usize = HEADER_BYTES_MAX + 4 * mytsdb_promql::QUERY_BYTES_MAX;
/// Longest time for a request's head to arrive; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_mins(5);
/// Streams that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;
/// Pause after a failed accept, which usually means that descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `api` on `listener` until `shutdown` is done; then takes no more connections and gives those there are
/// [`ApiOptions::drain`](crate::ApiOptions::drain) to finish what they are at. What is left then is cut off.
///
/// HTTP/1.1 and HTTP/2 without TLS. A connection that cannot be served ends alone.
///
/// # Errors
/// [`HttpApiError::Listen`] if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), HttpApiError> {
    let address = listener.local_addr().map_err(HttpApiError::Listen)?;
    tracing::info!(%address, "HTTP API is listening");
    let shared = Arc::clone(&api.0);
    let router = api.router();
    let places = Arc::new(Semaphore::new(shared.options.connections_max));
    let connections = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        // Finished tasks are taken out, so that the set does not grow with every connection ever made.
        while tasks.try_join_next().is_some() {}
        let Some((stream, place)) = accepted else { continue };
        let connection = connection(stream, router.clone());
        let connection = connections.watch(connection);
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    stop(&shared, connections, tasks).await;
    Ok(())
}

async fn stop(shared: &Shared, connections: GracefulShutdown, mut tasks: tokio::task::JoinSet<()>) {
    // Relaxed: a word for people, nothing follows from it.
    shared.stopping.store(true, Ordering::Relaxed);
    if tokio::time::timeout(shared.options.drain, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still running when the time to finish them was over");
    }
    tasks.shutdown().await;
}

/// The next connection and its place among those served; `None` if it failed.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    match listener.accept().await {
        Ok((stream, _)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "connection without TCP_NODELAY");
            }
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// The future that serves one connection.
fn connection(
    stream: TcpStream,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send {
    let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            if header_bytes(request.headers()) > HEADER_BYTES_MAX {
                return Ok(too_large());
            }
            router.oneshot(request.map(Body::new)).await
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned()
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn too_large() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}
