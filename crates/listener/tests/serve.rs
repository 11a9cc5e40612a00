//! Serving HTTP over real connections: requests are answered, bounded, and finished when the server stops.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use mytsdb_listener::{Acceptor, ListenerOptions, ServeOptions, serve};
use mytsdb_telemetry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

/// A server whose requests to `/slow` wait until they are let go.
struct Server {
    address: SocketAddr,
    /// A permit for each request to `/slow` that has arrived.
    arrived: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(listener_options: ListenerOptions, drain: Duration) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Acceptor::new("test", listener_options, &Registry::new());
        let options = ServeOptions { spare_paths: &["/health"], drain, ..ServeOptions::default() };
        let (arrived, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let gates = (Arc::clone(&arrived), Arc::clone(&let_go));
        let handler = move |request: http::Request<hyper::body::Incoming>| {
            let (arrived, let_go) = gates.clone();
            async move {
                if request.uri().path() == "/slow" {
                    arrived.add_permits(1);
                    let_go.acquire().await.unwrap().forget();
                }
                Response::new(Full::new(Bytes::from(request.uri().path().to_owned())))
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { stopped.await.unwrap_or(()) };
        let serving = tokio::spawn(serve(listener, acceptor, options, handler, stopped));
        Server { address, arrived, let_go, stop: Some(stop), serving }
    }

    async fn ask(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    /// The same, and waits until it is being worked on.
    async fn ask_slow(&self) -> TcpStream {
        let stream = self.ask("/slow").await;
        self.arrived.acquire().await.unwrap().forget();
        stream
    }
}

/// What comes until the other side closes, or until `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buf = [0; 1024];
    while !text.ends_with(end) {
        match stream.read(&mut buf).await {
            Ok(0) | Err(_) => break,
            Ok(n) => text.push_str(std::str::from_utf8(&buf[..n]).unwrap()),
        }
    }
    text
}

#[tokio::test]
async fn requests_are_answered_and_one_at_work_is_finished_when_the_server_stops() {
    let mut server = Server::start(ListenerOptions::default(), Duration::from_mins(1)).await;
    let mut quick = server.ask("/quick").await;
    assert!(read_until(&mut quick, "/quick").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let mut slow = server.ask_slow().await;
    drop(server.stop.take());
    assert_eq!(read_until(&mut quick, "nothing more").await, "", "a quiet connection is closed");
    server.let_go.add_permits(1);
    assert!(read_until(&mut slow, "/slow").await.starts_with("HTTP/1.1 200 OK\r\n"));
    server.serving.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let mut server = Server::start(ListenerOptions::default(), Duration::from_millis(20)).await;
    let mut slow = server.ask_slow().await;
    drop(server.stop.take());
    server.serving.await.unwrap();
    assert_eq!(read_until(&mut slow, "/slow").await, "");
}

#[tokio::test]
async fn a_spare_connection_may_ask_for_health_alone() {
    let options = ListenerOptions { connections_max: 1, spare_connections_max: 1, ..ListenerOptions::default() };
    let server = Server::start(options, Duration::from_millis(20)).await;
    let mut slow = server.ask_slow().await;
    let refused = read_until(&mut server.ask("/else").await, "until it is closed").await;
    assert!(refused.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{refused}");
    let head = refused.to_lowercase();
    assert!(head.contains("retry-after: 1\r\n") && head.contains("connection: close\r\n"), "{refused}");
    assert!(
        refused.ends_with("\r\n\r\nall 1 connections are busy (--max-connections), come back later\n"),
        "{refused}"
    );
    let mut health = server.ask("/health").await;
    assert!(read_until(&mut health, "/health").await.starts_with("HTTP/1.1 200 OK\r\n"));
    server.let_go.add_permits(1);
    assert!(read_until(&mut slow, "/slow").await.starts_with("HTTP/1.1 200 OK\r\n"));
}
