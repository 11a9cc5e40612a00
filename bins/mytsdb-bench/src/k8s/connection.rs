//! A writer's connection: one request at a time, and what became of it.

use super::wire::Protocol;
use crate::raw_codec::RawCodec;
use crate::target::{EXPORT, Target};
use anyhow::{Context, Result, bail};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

/// Why a request was not acknowledged.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be sent again.
    Busy(String),
    /// No answer came. Whether the request was stored is unknown.
    Gone(String),
    /// Not all of it was taken.
    Refused(String),
}

/// Where writers connect to.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    Grpc { address: String, runtime: Arc<Runtime> },
    Http { url: String, protocol: Protocol },
}

impl Way {
    /// The way into a target by a protocol; HTTP goes through `proxy` if there is one.
    pub(crate) fn new(target: &Target, protocol: Protocol, proxy: Option<&str>) -> Result<Self> {
        let http = proxy.unwrap_or(target.http());
        Ok(match protocol {
            Protocol::OtlpGrpc => {
                let address = target.grpc().context("no address for OTLP/gRPC: --protocol otlp-http, or --grpc")?;
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
                Self::Grpc { address: address.to_owned(), runtime: Arc::new(runtime) }
            }
            Protocol::OtlpHttp => Self::Http { url: format!("http://{http}{}", target.otlp_path()), protocol },
            Protocol::Rw1 | Protocol::Rw2 => Self::Http { url: format!("http://{http}/api/v1/write"), protocol },
        })
    }
}

/// One connection.
pub(crate) enum Connection {
    Grpc { client: tonic::client::Grpc<Channel>, runtime: Arc<Runtime> },
    Http { agent: ureq::Agent, url: String, protocol: Protocol },
}

impl Connection {
    pub(crate) fn open(way: &Way) -> Result<Self> {
        Ok(match way {
            Way::Grpc { address, runtime } => {
                let endpoint = Channel::from_shared(format!("http://{address}"))?
                    .tcp_nodelay(true)
                    .initial_stream_window_size(8 << 20)
                    .initial_connection_window_size(32 << 20);
                let channel = runtime.block_on(endpoint.connect())?;
                Self::Grpc { client: tonic::client::Grpc::new(channel), runtime: Arc::clone(runtime) }
            }
            Way::Http { url, protocol } => {
                let config = ureq::Agent::config_builder()
                    .timeout_global(Some(Duration::from_mins(1)))
                    .http_status_as_error(false)
                    .build();
                Self::Http { agent: config.into(), url: url.clone(), protocol: *protocol }
            }
        })
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(&mut self, body: &bytes::Bytes) -> Result<(), Failure> {
        match self {
            Self::Grpc { client, runtime } => runtime.block_on(send_grpc(client, body.clone())),
            Self::Http { agent, url, protocol } => send_http(agent, url, *protocol, body),
        }
    }
}

async fn send_grpc(client: &mut tonic::client::Grpc<Channel>, body: bytes::Bytes) -> Result<(), Failure> {
    client.ready().await.map_err(|error| Failure::Gone(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static(EXPORT);
    match client.unary(tonic::Request::new(body), path, RawCodec).await {
        Ok(answer) => whole(answer.get_ref()),
        Err(status) => Err(match status.code() {
            // A full server sends details with its status. The status that the client makes up for a broken connection has none.
            tonic::Code::ResourceExhausted => Failure::Busy(status.to_string()),
            tonic::Code::Unavailable if !status.details().is_empty() => Failure::Busy(status.to_string()),
            tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled | tonic::Code::Internal => {
                Failure::Gone(status.to_string())
            }
            _ => Failure::Refused(status.to_string()),
        }),
    }
}

fn send_http(agent: &ureq::Agent, url: &str, protocol: Protocol, body: &[u8]) -> Result<(), Failure> {
    let headers = protocol.headers().iter();
    let post = headers.fold(agent.post(url), |post, (name, value)| post.header(*name, *value));
    let gone = |error: &dyn std::fmt::Display| Failure::Gone(error.to_string());
    let mut answer = post.send(body).map_err(|error| gone(&error))?;
    let mut text = Vec::new();
    answer.body_mut().as_reader().take(64 << 10).read_to_end(&mut text).map_err(|error| gone(&error))?;
    match answer.status().as_u16() {
        200..300 if protocol == Protocol::OtlpHttp => whole(&text),
        200..300 => Ok(()),
        status @ (429 | 500..600) => Err(Failure::Busy(format!("{status}: {}", String::from_utf8_lossy(&text)))),
        status => Err(Failure::Refused(format!("{status}: {}", String::from_utf8_lossy(&text)))),
    }
}

/// A partial success is a refusal.
fn whole(answer: &[u8]) -> Result<(), Failure> {
    let partial = ExportMetricsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
    match partial {
        Some(partial) if partial.rejected_data_points > 0 => {
            Err(Failure::Refused(format!("{} points: {}", partial.rejected_data_points, partial.error_message)))
        }
        _ => Ok(()),
    }
}

/// Sends a request until it is acknowledged, for a minute at most.
pub(crate) fn send_again(way: &Way, body: &bytes::Bytes) -> Result<()> {
    let mut connection = Connection::open(way)?;
    let mut last = String::new();
    for _ in 0..600 {
        match connection.send(body) {
            Ok(()) => return Ok(()),
            Err(Failure::Refused(why)) => bail!("refused: {why}"),
            Err(Failure::Busy(why) | Failure::Gone(why)) => last = why,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("not acknowledged within a minute: {last}")
}
