//! The server: accepts connections, bounds them, and lets them finish when told to stop.

use crate::api::{Api, Shared, plain};
use crate::body::Held;
use crate::error::HttpApiError;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use mytsdb_listener::{Acceptor, ListenerOptions, Stream};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// Most bytes of header names and values in a request.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Most bytes of a request's head: the headers, and a request line with the longest URL.
const HEAD_BYTES_MAX: usize = HEADER_BYTES_MAX + (68 << 10);
/// Streams that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;
/// What a [spare](mytsdb_listener::Slot::is_spare) connection may ask for.
const OF_HEALTH: [&str; 3] = ["/-/healthy", "/-/ready", "/metrics"];

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
    let options =
        ListenerOptions { target_bytes_max: Some(shared.options.url_bytes_max()), ..shared.options.listener.clone() };
    let connections_max = options.connections_max;
    let acceptor = Acceptor::new("http", options, &shared.registry);
    let connections = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = acceptor.accept(&listener) => stream,
        };
        // Finished tasks are taken out, so that the set does not grow with every connection ever made.
        while tasks.try_join_next().is_some() {}
        let connection = connections.watch(connection(stream, router.clone(), connections_max));
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
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

/// The future that serves one connection.
fn connection(
    stream: Stream<TcpStream>,
    router: Router,
    connections_max: usize,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send {
    let slot = stream.slot().clone();
    let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        let (router, slot) = (router.clone(), slot.clone());
        async move {
            let busy = slot.begin_request();
            let response = if header_bytes(request.headers()) > HEADER_BYTES_MAX {
                too_large()
            } else if slot.is_spare() && !OF_HEALTH.contains(&request.uri().path()) {
                too_many(connections_max)
            } else {
                router.oneshot(request.map(Body::new)).await?
            };
            // Until the last byte of the answer is written.
            Ok::<_, std::convert::Infallible>(response.map(|body| Body::new(Held { body, _held: busy })))
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

fn too_many(connections_max: usize) -> Response<Body> {
    let text = format!("all {connections_max} connections are busy (--max-connections), come back later\n");
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn too_large() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}
