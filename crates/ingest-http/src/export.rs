//! One export request: headers, body, store, answer.

use crate::answer::{Fault, failure, plain_text, success};
use crate::body;
use crate::edge::{Edge, Protocol};
use crate::format::Format;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use mytsdb_ingest::{Appender, Encoding, Ingest, Refusal, Report, Room};
use mytsdb_otlp_json::{Problem, transcode};
use std::marker::PhantomData;
use std::sync::Arc;

/// Bytes of protobuf that a byte of JSON becomes at most: two characters of an array are a number of eight bytes.
const JSON_GROWTH_MAX: usize = 8;

/// OTLP/HTTP, which counts as `protocol="otlp_http"`.
pub type OtlpHttp<A> = Edge<Otlp<A>>;

/// The protocol of [`OtlpHttp`].
#[derive(Debug)]
pub struct Otlp<A>(PhantomData<fn(A)>);

impl<A: Appender> Protocol for Otlp<A> {
    type Store = Arc<Ingest<A>>;
    const NAME: &'static str = "otlp_http";
    const CODES: &'static [&'static str] = &["200", "400", "405", "413", "415", "429", "503"];

    async fn respond(edge: Edge<Self>, request: Request) -> Response<Body> {
        respond(edge, request).await
    }
}

async fn respond<A: Appender>(edge: OtlpHttp<A>, request: Request) -> Response<Body> {
    let Some(format) = Format::of(request.headers()) else {
        let text = "415: the content type must be application/x-protobuf or application/json";
        return plain_text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned());
    };
    let encoding = match content_encoding(request.headers()) {
        Ok(encoding) => encoding,
        Err(fault) => return failure(format, &fault),
    };
    match edge.guard(export(&edge, request, format, encoding)).await {
        Ok(report) => success(format, report),
        Err(fault) => failure(format, &fault),
    }
}

async fn export<A: Appender>(
    edge: &OtlpHttp<A>,
    request: Request,
    format: Format,
    encoding: Encoding,
) -> Result<Option<Report>, Refusal> {
    let (ingest, metrics) = (edge.store()?, edge.metrics());
    let (request, mut room) = body::receive(request, encoding, ingest, metrics).await?;
    let request = match format {
        Format::Protobuf => request,
        Format::Json => from_json(ingest, &request, &mut room).await?,
    };
    room.shrink(request.len());
    let translation = ingest.store_otlp(&request, room, metrics).await?;
    Ok(Report::of(&translation))
}

/// The protobuf form of a request. Mostly it is shorter than the text, so room for as many bytes is tried first.
async fn from_json<A: Appender>(ingest: &Ingest<A>, json: &Bytes, room: &mut Room) -> Result<Bytes, Refusal> {
    let bytes_max = ingest.options().max_message_bytes;
    let likely = json.len().min(bytes_max);
    ingest.enlarge(room, likely).await?;
    let mut protobuf = transcode(json, likely);
    let most = json.len().saturating_mul(JSON_GROWTH_MAX).min(bytes_max);
    if let Err(error) = &protobuf
        && matches!(error.problem, Problem::TooLarge { .. })
        && most > likely
    {
        ingest.enlarge(room, most - likely).await?;
        protobuf = transcode(json, most);
    }
    protobuf.map(Bytes::from).map_err(|error| match error.problem {
        Problem::TooLarge { .. } => ingest.message_too_large("request, as protobuf"),
        _ => Refusal::malformed(error.to_string()),
    })
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Fault> {
    let mut names = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    let name = names.next().unwrap_or_default();
    match Encoding::from_name(name) {
        Some(encoding) if names.next().is_none() => Ok(encoding),
        _ => Err(Fault::Encoding(String::from_utf8_lossy(&name[..name.len().min(32)]).into_owned())),
    }
}
