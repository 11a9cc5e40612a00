//! From a handler to a response: the envelope, the status, the encoding.

use crate::body::{ChunkBody, StreamBody};
use crate::encoding::Encoding;
use crate::error::{ApiError, ErrorKind};
use crate::json::Chunks;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// Most warnings, and most infos, that an answer carries.
const REMARKS_MAX: usize = 10;

const JSON: &str = "application/json";

/// The envelope of an answer, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The API's envelope, in JSON.
    Envelope,
    /// Nothing, and this content type.
    Bare(&'static str),
}

/// What a handler says besides its data.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Remarks {
    pub(crate) fn truncated(truncated: bool) -> Self {
        let warnings = if truncated { vec!["results truncated due to limit".to_owned()] } else { Vec::new() };
        Self { warnings, infos: Vec::new() }
    }

    /// The same with more warnings.
    pub(crate) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

/// What a handler gives: data that it has written, or deliberately none.
pub(crate) enum Outcome {
    /// The data is in the writer.
    Data(Remarks),
    /// 204 without a body.
    NoContent,
}

impl Outcome {
    /// Data without remarks.
    pub(crate) fn data() -> Self {
        Self::Data(Remarks::default())
    }
}

/// An answer ready to be sent.
pub(crate) struct Answer {
    status: StatusCode,
    encoding: Encoding,
    retry_after: bool,
    content_type: &'static str,
    content: Content,
}

/// What an error looks like.
#[derive(Serialize)]
struct ErrorEnvelope<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    error_type: &'static str,
    error: &'a str,
}

enum Content {
    Whole(Vec<Bytes>),
    /// The rest is still being made.
    Stream(StreamBody),
}

impl Answer {
    /// Runs a handler: it writes the data, the envelope is put around it.
    pub(crate) fn of(encoding: Encoding, handler: impl FnOnce(&mut Chunks) -> Result<Outcome, ApiError>) -> Self {
        let mut out = Chunks::new();
        match write_framed(&mut out, Frame::Envelope, handler) {
            Ok(Written::Data) => Self::success(encoding, out.finish()),
            Ok(Written::NoContent) => Self::no_content(),
            Err(error) => Self::error(&error),
        }
    }

    /// Small data.
    pub(crate) fn data(encoding: Encoding, data: &impl Serialize) -> Self {
        Self::of(encoding, |out| {
            out.data(data);
            Ok(Outcome::data())
        })
    }

    /// A whole answer, not encoded yet.
    pub(crate) fn success(encoding: Encoding, chunks: Vec<Bytes>) -> Self {
        let (encoding, chunks) = encoding.apply(chunks);
        Self {
            status: StatusCode::OK,
            encoding,
            retry_after: false,
            content_type: JSON,
            content: Content::Whole(chunks),
        }
    }

    /// An answer whose chunks, encoded, arrive while it is sent.
    pub(crate) fn streamed(encoding: Encoding, body: StreamBody) -> Self {
        Self {
            status: StatusCode::OK,
            encoding,
            retry_after: false,
            content_type: JSON,
            content: Content::Stream(body),
        }
    }

    /// The same with another content type than JSON.
    pub(crate) fn typed(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    pub(crate) fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            encoding: Encoding::Identity,
            retry_after: false,
            content_type: JSON,
            content: Content::Whole(Vec::new()),
        }
    }

    pub(crate) fn error(error: &ApiError) -> Self {
        let mut out = Chunks::new();
        out.data(&ErrorEnvelope { status: "error", error_type: error.kind.as_str(), error: &error.message });
        Self {
            status: error.kind.status(),
            encoding: Encoding::Identity,
            retry_after: error.kind == ErrorKind::Overloaded,
            content_type: JSON,
            content: Content::Whole(out.finish()),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let body = match self.content {
            Content::Whole(chunks) => Body::new(ChunkBody::new(chunks)),
            Content::Stream(stream) => Body::new(stream),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if let Some(encoding) = self.encoding.header() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        Answer::error(&self).into_response()
    }
}

/// Text without an envelope, for everything that is not the API proper.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// What [`write_framed`] has written.
pub(crate) enum Written {
    Data,
    /// Nothing to be sent.
    NoContent,
}

/// Runs a handler and puts the frame around what it writes.
pub(crate) fn write_framed(
    out: &mut Chunks,
    frame: Frame,
    handler: impl FnOnce(&mut Chunks) -> Result<Outcome, ApiError>,
) -> Result<Written, ApiError> {
    if frame != Frame::Envelope {
        return handler(out)
            .map(|outcome| if matches!(outcome, Outcome::Data(_)) { Written::Data } else { Written::NoContent });
    }
    out.raw("{\"status\":\"success\",\"data\":");
    let Outcome::Data(remarks) = handler(out)? else { return Ok(Written::NoContent) };
    write_remarks(out, "warning", &remarks.warnings);
    write_remarks(out, "info", &remarks.infos);
    out.raw("}");
    Ok(Written::Data)
}

fn write_remarks(out: &mut Chunks, kind: &str, remarks: &[String]) {
    if remarks.is_empty() {
        return;
    }
    out.raw(",\"");
    out.raw(kind);
    out.raw("s\":");
    let omitted = remarks.len().saturating_sub(REMARKS_MAX);
    let more = (omitted > 0).then(|| format!("{omitted} more {kind} annotations omitted"));
    out.strings(remarks.iter().take(REMARKS_MAX).chain(&more));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> String {
        let Content::Whole(chunks) = &answer.content else { panic!("nothing is streamed here") };
        String::from_utf8(chunks.concat()).unwrap()
    }

    #[test]
    fn the_envelope_carries_at_most_ten_remarks_of_a_kind() {
        let warnings: Vec<String> = (0..12).map(|i| format!("w{i}")).collect();
        let answer = Answer::of(Encoding::Identity, |out| {
            out.raw("[]");
            Ok(Outcome::Data(Remarks { warnings, infos: vec!["i".into()] }))
        });
        assert_eq!(
            text(&answer),
            concat!(
                r#"{"status":"success","data":[],"warnings":["w0","w1","w2","w3","w4","w5","w6","w7","w8","w9","#,
                r#""2 more warning annotations omitted"],"infos":["i"]}"#
            )
        );
    }

    #[test]
    fn an_error_replaces_what_was_written() {
        let answer = Answer::of(Encoding::Gzip, |out| {
            out.raw("[1,2");
            Err(ApiError::new(ErrorKind::Execution, "a < b"))
        });
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(text(&answer), r#"{"status":"error","errorType":"execution","error":"a \u003c b"}"#);
    }
}
