//! The loop that serves HTTP on a bounded listener, and lets requests finish when it is told to stop.

use crate::acceptor::Acceptor;
use crate::slot::Busy;
use crate::stream::Stream;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Streams that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How HTTP is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Most bytes of a request's head, and of a body that are read at once.
    pub head_bytes_max: u32,
    /// What a [spare](crate::Slot::is_spare) connection may ask for; it gets 503 for everything else.
    pub spare_paths: &'static [&'static str],
    /// How long requests may take to finish once the server is told to stop.
    pub drain: Duration,
}

/// Serves what `acceptor` lets in on `listener` until `shutdown` is done; then takes no more connections and gives those
/// there are [`ServeOptions::drain`] to finish what they are at. What is left then is cut off.
///
/// HTTP/1.1 and HTTP/2 without TLS. A connection that cannot be served ends alone. A connection is busy from the head of
/// a request to the last byte of its answer.
pub async fn serve<H, F, B>(
    listener: TcpListener,
    acceptor: Acceptor,
    options: ServeOptions,
    handler: H,
    shutdown: impl Future<Output = ()> + Send,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let connections = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = acceptor.accept(&listener) => stream,
        };
        // Finished tasks are taken out, so that the set does not grow with every connection ever made.
        while tasks.try_join_next().is_some() {}
        let connection = connections.watch(connection(stream, &options, acceptor.connections_max(), handler.clone()));
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(options.drain, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still running when the time to finish them was over");
    }
    tasks.shutdown().await;
}

/// The future that serves one connection.
fn connection<H, F, B>(
    stream: Stream<TcpStream>,
    options: &ServeOptions,
    connections_max: usize,
    handler: H,
) -> impl GracefulConnection<Error = BoxError> + Send + use<H, F, B>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let (slot, spare_paths) = (stream.slot().clone(), options.spare_paths);
    let service = service_fn(move |request: Request<Incoming>| {
        let (slot, handler) = (slot.clone(), handler.clone());
        async move {
            let busy = slot.begin_request();
            let response = if slot.is_spare() && !spare_paths.contains(&request.uri().path()) {
                too_many(connections_max).map(Either::Right)
            } else {
                handler(request).await.map(Either::Left)
            };
            Ok::<_, Infallible>(response.map(|body| UntilSent { body, _busy: busy }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The stream keeps the time of heads.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(options.head_bytes_max as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(options.head_bytes_max);
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}

/// All connections are busy, this one is one too many.
fn too_many(connections_max: usize) -> Response<Full<Bytes>> {
    let text = format!("all {connections_max} connections are busy (--max-connections), come back later\n");
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A body whose connection is busy until its last byte is taken.
struct UntilSent<B> {
    body: B,
    _busy: Busy,
}

impl<B: Body + Unpin> Body for UntilSent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
