//! A connection that sends requests which are encoded, compressed and framed already, so that the client costs next to nothing.

use crate::target::{EXPORT, Target};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Channel;

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;

/// A connection, with one request at a time.
pub(super) enum Way {
    Grpc { channel: Channel, url: String, encoding: &'static str, runtime: Handle },
    Http { agent: ureq::Agent, url: String, encoding: &'static str },
}

/// A message as gRPC sends it.
pub(super) fn framed(message: &[u8], is_compressed: bool) -> Result<Vec<u8>> {
    let length = u32::try_from(message.len())?.to_be_bytes();
    Ok([&[u8::from(is_compressed)][..], &length, message].concat())
}

impl Way {
    pub(super) fn http(target: &Target, path: &str, encoding: &'static str) -> Self {
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(2))).build().into();
        Self::Http { agent, url: format!("http://{}{path}", target.http()), encoding }
    }

    pub(super) fn grpc(target: &Target, gzip: bool, runtime: &Handle) -> Result<Self> {
        let base = format!("http://{}", target.grpc().context("only mytsdb takes OTLP over gRPC")?);
        let endpoint = Channel::from_shared(base.clone())?.tcp_nodelay(true);
        let channel = runtime.block_on(endpoint.connect())?;
        let encoding = if gzip { "gzip" } else { "identity" };
        Ok(Self::Grpc { channel, url: format!("{base}{EXPORT}"), encoding, runtime: runtime.clone() })
    }

    /// Sends a request and waits until all its points are stored.
    pub(super) fn send(&mut self, request: Bytes) -> Result<()> {
        match self {
            Self::Grpc { channel, url, encoding, runtime } => {
                let post = Request::post(&*url)
                    .header(header::CONTENT_TYPE, "application/grpc")
                    .header(header::TE, "trailers")
                    .header("grpc-encoding", *encoding)
                    .body(Body::new(Full::new(request)))?;
                runtime.block_on(async {
                    std::future::poll_fn(|context| channel.poll_ready(context)).await?;
                    taken(channel.call(post).await?).await
                })
            }
            Self::Http { agent, url, encoding } => {
                let mut post = agent.post(&*url).content_type("application/x-protobuf");
                if *encoding != "identity" {
                    post = post.header("content-encoding", *encoding);
                }
                post.send(&request[..]).with_context(|| url.clone())?;
                Ok(())
            }
        }
    }
}

/// Whether an answer of gRPC says that all is well and no point was refused.
async fn taken(answer: Response<Body>) -> Result<()> {
    let (head, body) = answer.into_parts();
    let body = body.collect().await?;
    let status = |headers: &HeaderMap| headers.get("grpc-status").cloned();
    let status = body.trailers().and_then(status).or_else(|| status(&head.headers));
    ensure!(status.as_ref().is_some_and(|status| status == "0"), "{} with status {status:?}", head.status);
    let message = body.to_bytes();
    ensure!(message.len() == FRAME_BYTES, "points were refused: {message:?}");
    Ok(())
}
