//! Imports of Prometheus' text format and OpenMetrics: one request's headers, body, store, answer.

use crate::answer::plain_text;
use crate::body;
use crate::edge::Edge;
use crate::remote_write::failure;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::{HeaderMap, Response, StatusCode, header};
use mytsdb_ingest::{Appender, Encoding, Ingest, Refusal, TextWritten};
use mytsdb_telemetry::Registry;
use mytsdb_text_format::Format;
use std::sync::Arc;
use std::time::SystemTime;

/// The answers that are given; anything else is counted as the last.
const CODES: [&str; 6] = ["204", "400", "405", "413", "415", "503"];

/// The import of text into one store, which may be opened later. A clone is the same.
#[derive(Debug)]
pub struct TextImport<A>(Edge<Arc<Ingest<A>>>);

impl<A> Clone for TextImport<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Appender> TextImport<A> {
    /// Answers 503 until it is [opened](Self::open). Counts into `mytsdb_ingest_*` with `protocol="text_import"`.
    pub fn new(registry: &Registry) -> Self {
        Self(Edge::new(registry, "text_import", &CODES))
    }

    /// Stores requests from now on. Only the first call does something.
    pub fn open(&self, ingest: Arc<Ingest<A>>) {
        self.0.open(ingest);
    }

    /// Takes requests at `path`; to be merged into the router of any server.
    pub fn router(&self, path: &str) -> Router {
        self.0.router(path, respond)
    }
}

async fn respond<A: Appender>(edge: Edge<Arc<Ingest<A>>>, request: Request) -> Response<Body> {
    let Some(encoding) = encoding(request.headers()) else {
        let text = "the content encoding is none of gzip, zstd, snappy and deflate";
        return plain_text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned());
    };
    match edge.guard(store(&edge, request, encoding)).await {
        Ok(written) => outcome(&written),
        Err(refusal) => failure(&refusal),
    }
}

async fn store<A: Appender>(
    edge: &Edge<Arc<Ingest<A>>>,
    request: Request,
    encoding: Encoding,
) -> Result<TextWritten, Refusal> {
    let (ingest, metrics) = (edge.store()?, edge.metrics());
    let format = format(request.headers());
    let (text, room) = body::receive(request, encoding, ingest, metrics).await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ingest.store_text((format, &text), now.as_millis() as i64, room, metrics).await
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
