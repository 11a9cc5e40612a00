//! Why a request does not reach its handler, and how that is said in plain HTTP.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use mytsdb_access::Denial;
use std::fmt;
use std::time::Duration;

/// Why a request does not reach its handler. Its text is a sentence for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// All connections are busy, this one is one too many.
    Crowded {
        /// How many there may be (`--max-connections`).
        connections_max: usize,
    },
    /// The headers are too long.
    Headers {
        /// How long they are, in bytes.
        bytes: usize,
        /// How long they may be (`--max-header-bytes`).
        bytes_max: u32,
    },
    /// The credentials are missing, or not good for this.
    Denied(Denial),
}

impl TurnedAway {
    /// The code of HTTP.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(Denial::Unauthenticated { .. }) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denial::Forbidden(_) | Denial::ReadOnly) => StatusCode::FORBIDDEN,
            Self::Headers { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Crowded { .. } | Self::Denied(Denial::Busy) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// When to come back; `None` if that never helps.
    pub fn retry_after(&self) -> Option<Duration> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1))
    }

    /// The answer in plain HTTP: a line of text.
    pub fn plain(&self) -> Response<Full<Bytes>> {
        self.answer(HeaderValue::from_static("text/plain; charset=utf-8"), format!("{self}\n"))
    }

    /// The answer in HTTP with a body of any form; all that is not the body is the same for all forms.
    pub fn answer(&self, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type);
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        match self {
            Self::Crowded { .. } => drop(headers.insert(header::CONNECTION, HeaderValue::from_static("close"))),
            Self::Headers { .. } => {}
            Self::Denied(denial) => {
                for challenge in denial.challenges() {
                    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
        }
        response
    }
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crowded { connections_max } => {
                write!(f, "all {connections_max} connections are busy (--max-connections), come back later")
            }
            Self::Headers { bytes, bytes_max } => {
                write!(f, "headers of {bytes} bytes, the limit is {bytes_max} (--max-header-bytes)")
            }
            Self::Denied(denial) => denial.fmt(f),
        }
    }
}
