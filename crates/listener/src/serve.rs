//! The loop that serves HTTP on a bounded listener, and lets requests finish when it is told to stop.

use crate::acceptor::Acceptor;
use crate::slot::{Busy, Slot};
use crate::stream::Stream;
use crate::turned_away::TurnedAway;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use mytsdb_access::{Access, Scope};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is read of a body that is not wanted, so that its sender comes to read the answer; and for how long.
const UNWANTED_BYTES_MAX: usize = 1 << 20;
const UNWANTED_TIME_MAX: Duration = Duration::from_secs(5);

/// The smallest buffer that the HTTP/1 library takes.
const HTTP1_BUFFER_BYTES_MIN: usize = 8 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How HTTP is served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Most bytes of a request line. With the headers and some room, it is the most of a body that is read at once.
    pub line_bytes_max: u32,
    /// What a [spare](crate::Slot::is_spare) connection may ask for; everything else is [turned away](TurnedAway).
    pub spare_paths: &'static [&'static str],
    /// How long requests may take to finish once the server is told to stop.
    pub drain: Duration,
    /// HTTP/2 beyond its defaults.
    pub http2: Http2Options,
    /// What a request wants to do, by its path.
    pub scope: fn(&str) -> Scope,
    /// The answer to a request that does not reach the handler.
    pub turn_away: fn(&TurnedAway) -> Response<Full<Bytes>>,
}

impl Default for ServeOptions {
    /// Request lines of 8 KiB, 5 s to finish, plain answers; everything takes [`Scope::Admin`].
    fn default() -> Self {
        Self {
            line_bytes_max: 8 << 10,
            spare_paths: &[],
            drain: Duration::from_secs(5),
            http2: Http2Options::default(),
            scope: |_| Scope::Admin,
            turn_away: TurnedAway::plain,
        }
    }
}

/// What HTTP/2 may be beyond its defaults. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Http2Options {
    /// HTTP/1 is not spoken.
    pub only: bool,
    /// What may be on its way in one stream, and in all of one connection. `None`: 1 MiB, as the library has it.
    pub windows: Option<(u32, u32)>,
    /// The largest frame that is taken. `None`: 16 KiB, the least there is.
    pub frame_bytes_max: Option<u32>,
    /// A silent connection is asked for a sign of life this often, and closed if there is none. `None`: never.
    pub keepalive: Option<Duration>,
}

/// Serves what `acceptor` lets in on `listener` until `shutdown` is done; then takes no more connections and gives those
/// there are [`ServeOptions::drain`] to finish what they are at. What is left then is cut off.
///
/// HTTP/1.1 and HTTP/2, behind TLS if the acceptor says so. A request reaches the handler only if its connection is not
/// one too many and its credentials are good for its [scope](ServeOptions::scope). A connection that cannot be served
/// ends alone. A connection is busy from the head of a request to the last byte of its answer.
pub async fn serve<H, F, B>(
    listener: TcpListener,
    acceptor: Acceptor,
    options: ServeOptions,
    handler: H,
    shutdown: impl Future<Output = ()> + Send,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = acceptor.accept(&listener) => stream,
        };
        // Finished tasks are taken out, so that the set does not grow with every connection ever made.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(connection(stream, options.clone(), acceptor.clone(), handler.clone(), stopped.clone()));
    }
    drop(listener);
    stop.send_replace(true);
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(options.drain, finished).await.is_err() {
        tracing::warn!("requests were still running when the time to finish them was over");
    }
    tasks.shutdown().await;
}

/// Serves one connection until it ends, or until the server is `stopped` and the request that it is at is answered.
///
/// The HTTP library and its buffers, which take some 40 kB, come in only with the first whole head: who sends less than
/// that costs the server little.
async fn connection<H, F, B>(
    mut stream: Stream<TcpStream>,
    options: ServeOptions,
    acceptor: Acceptor,
    handler: H,
    mut stopped: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let waited = tokio::select! {
        waited = stream.wait_for_head() => waited,
        _ = stopped.wait_for(|&stopped| stopped) => return,
    };
    let served = match waited {
        Ok(()) => Box::pin(speak(stream, options, acceptor, handler, stopped)).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Speaks HTTP on a connection.
async fn speak<H, F, B>(
    stream: Stream<TcpStream>,
    options: ServeOptions,
    acceptor: Acceptor,
    handler: H,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), BoxError>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let door = Door {
        slot: stream.slot().clone(),
        access: acceptor.access().clone(),
        connections_max: acceptor.options().connections_max,
        header_bytes_max: acceptor.options().header_bytes_max,
        spare_paths: options.spare_paths,
        scope: options.scope,
    };
    let turn_away = options.turn_away;
    let service = service_fn(move |request: Request<Incoming>| {
        let (door, handler) = (door.clone(), handler.clone());
        async move {
            let busy = door.slot.begin_request();
            if request.version() == Version::HTTP_2 {
                door.slot.begin_stream();
            }
            let response = match door.let_in(&request).await {
                Ok(()) => handler(request).await.map(Either::Left),
                Err(turned_away) => {
                    door.slot.count_turned_away(&turned_away);
                    discard(request).await;
                    turn_away(&turned_away).map(Either::Right)
                }
            };
            Ok::<_, Infallible>(response.map(|body| UntilSent { body, _busy: busy }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if options.http2.only {
        builder = builder.http2_only();
    }
    // Some room beyond what is allowed, so that a head that is somewhat too long hears by how much.
    let head_bytes_max = acceptor.options().header_bytes_max.saturating_mul(2).saturating_add(options.line_bytes_max);
    // The stream keeps the time of heads.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size((head_bytes_max as usize).max(HTTP1_BUFFER_BYTES_MIN));
    let mut http2 = builder.http2();
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(acceptor.options().streams_max)
        .max_header_list_size(head_bytes_max)
        .keep_alive_interval(options.http2.keepalive)
        .max_frame_size(options.http2.frame_bytes_max);
    if let Some((stream_bytes, connection_bytes)) = options.http2.windows {
        http2.initial_stream_window_size(stream_bytes).initial_connection_window_size(connection_bytes);
    }
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        served = connection.as_mut() => return served,
        _ = stopped.wait_for(|&stopped| stopped) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// What every request of one connection has to pass.
#[derive(Clone)]
struct Door {
    slot: Slot,
    access: Access,
    connections_max: usize,
    header_bytes_max: u32,
    spare_paths: &'static [&'static str],
    scope: fn(&str) -> Scope,
}

impl Door {
    async fn let_in<B: Sync>(&self, request: &Request<B>) -> Result<(), TurnedAway> {
        let path = request.uri().path();
        if self.slot.is_spare() && !self.spare_paths.contains(&path) {
            return Err(TurnedAway::Crowded { connections_max: self.connections_max });
        }
        let bytes = header_bytes(request.headers());
        if bytes > self.header_bytes_max as usize {
            return Err(TurnedAway::Headers { bytes, bytes_max: self.header_bytes_max });
        }
        self.access.check(request.headers(), (self.scope)(path)).await.map_err(TurnedAway::Denied)
    }
}

/// The bytes of all names and values.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Reads some of a body that is not wanted: the sender of one on HTTP/1 reads the answer only behind it.
async fn discard(request: Request<Incoming>) {
    if request.version() == Version::HTTP_2 || request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut body = Limited::new(request.into_body(), UNWANTED_BYTES_MAX);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    // It does not matter whether the body ends in time.
    drop(tokio::time::timeout(UNWANTED_TIME_MAX, read).await);
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
