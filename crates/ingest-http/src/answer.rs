//! Outcomes and refusals as HTTP responses, in the form of the request.

use crate::format::Format;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use mytsdb_ingest::{Refusal, Report};
use mytsdb_listener::TurnedAway;
use prost::Message;

/// What the `Accept-Encoding` header of a refusal offers (RFC 7694).
const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, zstd, snappy, deflate, identity");

/// Codes of `google.rpc.Code`.
const INVALID_ARGUMENT: i32 = 3;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const UNAVAILABLE: i32 = 14;
const PERMISSION_DENIED: i32 = 7;
const UNAUTHENTICATED: i32 = 16;

/// Why a request is answered with an error.
#[derive(Debug)]
pub(crate) enum Fault {
    Refused(Refusal),
    /// A compression that is not known; holds its name, cut.
    Encoding(String),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// `google.rpc.Status`, without details.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// `opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `opentelemetry.proto.collector.metrics.v1.ExportMetricsPartialSuccess`.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_data_points: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The answer to a request that was worked on.
pub(crate) fn success(format: Format, report: Option<Report>) -> Response<Body> {
    let partial = report.map(|report| PartialSuccess {
        rejected_data_points: report.rejected_points as i64,
        error_message: report.message,
    });
    let body = match (format, partial) {
        (Format::Protobuf, partial_success) => ExportResponse { partial_success }.encode_to_vec(),
        (Format::Json, None) => b"{}".to_vec(),
        (Format::Json, Some(partial)) => {
            let mut object = serde_json::Map::new();
            if partial.rejected_data_points != 0 {
                // Protobuf's JSON mapping writes 64-bit integers as text.
                object.insert("rejectedDataPoints".into(), partial.rejected_data_points.to_string().into());
            }
            object.insert("errorMessage".into(), partial.error_message.into());
            serde_json::json!({ "partialSuccess": object }).to_string().into_bytes()
        }
    };
    respond(StatusCode::OK, format, body)
}

/// The answer to a request that was not.
pub(crate) fn failure(format: Format, fault: &Fault) -> Response<Body> {
    let (status, code, message) = match fault {
        Fault::Encoding(name) => {
            let message = format!("content-encoding {name:?} is not supported; gzip, zstd, snappy and deflate are");
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, UNIMPLEMENTED, message)
        }
        Fault::Refused(refusal) => {
            let (status, code) = match refusal {
                Refusal::Malformed { .. } => (StatusCode::BAD_REQUEST, INVALID_ARGUMENT),
                Refusal::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, RESOURCE_EXHAUSTED),
                Refusal::Overloaded { .. } => (StatusCode::TOO_MANY_REQUESTS, RESOURCE_EXHAUSTED),
                // What is not known here must not cost the sender its data: 503 is sent again, 500 is not.
                _ => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE),
            };
            (status, code, refusal.to_string())
        }
    };
    let body = match format {
        Format::Protobuf => Status { code, message }.encode_to_vec(),
        Format::Json => serde_json::json!({ "code": code, "message": message }).to_string().into_bytes(),
    };
    let mut response = respond(status, format, body);
    match fault {
        Fault::Encoding(_) => drop(response.headers_mut().insert(header::ACCEPT_ENCODING, ACCEPTED)),
        Fault::Refused(refusal) => set_retry_after(&mut response, refusal),
    }
    response
}

/// The answer to a request that was not let in. Its form is not known yet; a Collector reads the one that it sends by
/// default.
pub(crate) fn turned_away(reason: &TurnedAway) -> Response<Full<Bytes>> {
    let code = match reason.status() {
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        _ => UNAVAILABLE,
    };
    let body = Status { code, message: reason.to_string() }.encode_to_vec();
    reason.answer(Format::Protobuf.content_type(), body)
}

/// Tells a sender that may come back when to do so.
pub(crate) fn set_retry_after(response: &mut Response<Body>, refusal: &Refusal) {
    if let Some(wait) = refusal.retry_after() {
        // Whole seconds, rounded up: a sender that comes back early comes back in vain.
        let seconds = wait.as_millis().div_ceil(1000) as u64;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// A text with its status, a line of its own at the end.
pub(crate) fn plain_text(status: StatusCode, mut text: String) -> Response<Body> {
    text.push('\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn respond(status: StatusCode, format: Format, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, format.content_type());
    response
}
