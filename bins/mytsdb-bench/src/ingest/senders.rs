//! What sends the requests of a round: all of them, over all connections, until each is acknowledged.

use crate::k8s::{Connection, Failure, Protocol, Way};
use crate::raw_codec::RawCodec;
use crate::target::{EXPORT, Target};
use crate::times::microseconds;
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

/// How long a sender waits before it sends again what a server had no room for.
const BUSY: Duration = Duration::from_millis(10);

/// Messages one after the other, and when each is to be sent.
pub(super) trait Messages: Send + Sync {
    /// The message of that number; nothing if there are no more.
    fn get(&self, number: usize) -> Option<bytes::Bytes>;

    /// When it is to be sent; as soon as there is a connection if that is not said. The time to its acknowledgement counts from then.
    fn due(&self, _number: usize) -> Option<Instant> {
        None
    }

    /// Its acknowledgement has arrived.
    fn acknowledged(&self, _number: usize) {}
}

impl Messages for Vec<bytes::Bytes> {
    fn get(&self, number: usize) -> Option<bytes::Bytes> {
        self.as_slice().get(number).cloned()
    }
}

/// Connections to a server.
pub(super) enum Senders {
    /// Several requests in flight on each.
    Grpc { runtime: Runtime, channels: Vec<Channel>, in_flight: usize },
    /// One request at a time on each.
    Http(Vec<Connection>),
}

impl Senders {
    /// `connections` with `in_flight` requests each; over HTTP, which has one at a time, as many connections more.
    pub(super) fn open(target: &Target, protocol: Protocol, connections: usize, in_flight: usize) -> Result<Self> {
        if protocol != Protocol::OtlpGrpc {
            let way = Way::new(target, protocol, None)?;
            let connections = (0..connections * in_flight).map(|_| Connection::open(&way)).collect::<Result<_>>()?;
            return Ok(Self::Http(connections));
        }
        let address = target.grpc().context("no address for OTLP/gRPC: --protocol otlp-http, or --grpc")?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let endpoint = Channel::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(32 << 20);
        let channels = runtime.block_on(async {
            let mut channels = Vec::new();
            for _ in 0..connections {
                channels.push(endpoint.connect().await?);
            }
            Ok::<_, anyhow::Error>(channels)
        })?;
        Ok(Self::Grpc { runtime, channels, in_flight })
    }

    /// Sends every message once; how long each acknowledgement took, from the time that it was due or sent, in us.
    pub(super) fn send(&mut self, messages: &Arc<impl Messages + 'static>) -> Result<Histogram<u64>> {
        match self {
            Self::Grpc { runtime, channels, in_flight } => runtime.block_on(send_grpc(channels, *in_flight, messages)),
            Self::Http(connections) => send_http(connections, &**messages),
        }
    }
}

async fn send_grpc(
    channels: &[Channel],
    in_flight: usize,
    messages: &Arc<impl Messages + 'static>,
) -> Result<Histogram<u64>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for worker in 0..channels.len() * in_flight {
        let channel = channels[worker % channels.len()].clone();
        let (messages, next) = (messages.clone(), next.clone());
        workers.push(tokio::spawn(async move {
            let mut client = tonic::client::Grpc::new(channel);
            let mut latencies = microseconds();
            loop {
                // Relaxed: the counter only hands out indexes.
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(message) = messages.get(number) else { return Ok::<_, anyhow::Error>(latencies) };
                let begun = messages.due(number).unwrap_or_else(Instant::now);
                tokio::time::sleep_until(begun.into()).await;
                let answer = loop {
                    client.ready().await?;
                    let path = http::uri::PathAndQuery::from_static(EXPORT);
                    match client.unary(tonic::Request::new(message.clone()), path, RawCodec).await {
                        Err(status) if status.code() == tonic::Code::ResourceExhausted => {
                            tokio::time::sleep(BUSY).await;
                        }
                        answer => break answer?,
                    }
                };
                if !answer.get_ref().is_empty() {
                    bail!("points were refused: {:?}", answer.into_inner());
                }
                messages.acknowledged(number);
                latencies += begun.elapsed().as_micros() as u64;
            }
        }));
    }
    let mut latencies = microseconds();
    for worker in workers {
        latencies += worker.await??;
    }
    Ok(latencies)
}

fn send_http(connections: &mut [Connection], messages: &impl Messages) -> Result<Histogram<u64>> {
    let next = AtomicUsize::new(0);
    let send = |connection: &mut Connection| -> Result<Histogram<u64>> {
        let mut latencies = microseconds();
        // Relaxed: the counter only hands out indexes.
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(message) = messages.get(number) else { return Ok(latencies) };
            let begun = messages.due(number).unwrap_or_else(Instant::now);
            std::thread::sleep(begun.saturating_duration_since(Instant::now()));
            loop {
                match connection.send(&message) {
                    Ok(()) => break,
                    Err(Failure::Busy(_)) => std::thread::sleep(BUSY),
                    Err(Failure::Gone(why) | Failure::Refused(why)) => bail!("a request failed: {why}"),
                }
            }
            messages.acknowledged(number);
            latencies += begun.elapsed().as_micros() as u64;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = connections.iter_mut().map(|connection| scope.spawn(|| send(connection))).collect();
        let mut latencies = microseconds();
        for thread in threads {
            latencies += thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(latencies)
    })
}
