//! Imports of Prometheus' text format, OpenMetrics and JSON lines: one request's headers, body, store, answer.

use crate::answer::plain_text;
use crate::body;
use crate::edge::{Edge, Protocol};
use crate::remote_write::failure;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderMap, Response, StatusCode, header};
use mytsdb_ingest::{Appender, Encoding, Ingest, Refusal, TextWritten};
use mytsdb_text_format::Format;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

/// The import of text, which counts as `protocol="text_import"`.
pub type TextImport<A> = Edge<Text<A>>;

/// The protocol of [`TextImport`].
#[derive(Debug)]
pub struct Text<A>(PhantomData<fn(A)>);

/// The import of JSON lines, which counts as `protocol="json_import"`.
pub type JsonImport<A> = Edge<JsonLines<A>>;

/// The protocol of [`JsonImport`].
#[derive(Debug)]
pub struct JsonLines<A>(PhantomData<fn(A)>);

/// The answers that are given; anything else is counted as the last.
const CODES: &[&str] = &["204", "400", "405", "413", "415", "503"];

/// What the lines of a request are.
#[derive(Debug, Clone, Copy)]
enum Lines {
    Text(Format),
    Json,
}

impl<A: Appender> Protocol for Text<A> {
    type Store = Arc<Ingest<A>>;
    const NAME: &'static str = "text_import";
    const CODES: &'static [&'static str] = CODES;

    async fn respond(edge: Edge<Self>, request: Request) -> Response<Body> {
        let format = format(request.headers());
        respond(&edge, request, Lines::Text(format)).await
    }
}

impl<A: Appender> Protocol for JsonLines<A> {
    type Store = Arc<Ingest<A>>;
    const NAME: &'static str = "json_import";
    const CODES: &'static [&'static str] = CODES;

    async fn respond(edge: Edge<Self>, request: Request) -> Response<Body> {
        respond(&edge, request, Lines::Json).await
    }
}

async fn respond<P, A>(edge: &Edge<P>, request: Request, lines: Lines) -> Response<Body>
where
    P: Protocol<Store = Arc<Ingest<A>>>,
    A: Appender,
{
    let Some(encoding) = encoding(request.headers()) else {
        let text = "the content encoding is none of gzip, zstd, snappy and deflate";
        return plain_text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned());
    };
    match edge.guard(store(edge, request, encoding, lines)).await {
        Ok(written) => outcome(&written),
        Err(refusal) => failure(&refusal),
    }
}

async fn store<P, A>(edge: &Edge<P>, request: Request, encoding: Encoding, lines: Lines) -> Result<TextWritten, Refusal>
where
    P: Protocol<Store = Arc<Ingest<A>>>,
    A: Appender,
{
    let (ingest, metrics) = (edge.store()?, edge.metrics());
    let (text, room) = body::receive(request, encoding, ingest, metrics).await?;
    match lines {
        Lines::Text(format) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            ingest.store_text((format, &text), now.as_millis() as i64, room, metrics).await
        }
        Lines::Json => ingest.store_json_lines(&text, room, metrics).await,
    }
}

/// OpenMetrics if the content type says so, else Prometheus' own format, which has no name that all senders use.
fn format(headers: &HeaderMap) -> Format {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let mut names = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes().trim_ascii());
    let encoding = Encoding::from_name(names.next().unwrap_or_default());
    encoding.filter(|_| names.next().is_none())
}

/// The answer to a text that was worked on: an error if any line of it is not stored, though the others are.
fn outcome(written: &TextWritten) -> Response<Body> {
    if written.refused.messages().is_empty() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let mut lines = written.refused.messages().to_vec();
    lines.push(format!("{} lines were refused, {} samples are stored", written.refused.total(), written.samples));
    plain_text(StatusCode::BAD_REQUEST, lines.join("\n"))
}
