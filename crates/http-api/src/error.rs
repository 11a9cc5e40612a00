//! Errors: of the server as a whole, and of one request with the words and status codes of the API.

use http::StatusCode;
use mytsdb_promql::{EvalError, StorageError};
use mytsdb_promql_syntax::ParseError;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpApiError {
    /// The listener cannot be asked for its address or fails for good.
    #[error("listen for HTTP: {0}")]
    Listen(#[source] std::io::Error),
    /// A CORS origin pattern that is not a regular expression.
    #[error("CORS origin {pattern:?}: {source}")]
    CorsOrigin {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: mytsdb_go_regex::RegexError,
    },
}

/// The API's `errorType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    BadData,
    Execution,
    Canceled,
    Timeout,
    Internal,
    /// `bad_data` to clients.
    UrlTooLong,
    /// Turned off.
    Unavailable,
    /// Too much at once: `timeout` to clients, with `Retry-After`.
    Overloaded,
}

impl ErrorKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            ErrorKind::BadData | ErrorKind::UrlTooLong => "bad_data",
            ErrorKind::Execution => "execution",
            ErrorKind::Canceled => "canceled",
            ErrorKind::Timeout | ErrorKind::Overloaded => "timeout",
            ErrorKind::Internal => "internal",
            ErrorKind::Unavailable => "unavailable",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            ErrorKind::BadData => StatusCode::BAD_REQUEST,
            ErrorKind::UrlTooLong => StatusCode::URI_TOO_LONG,
            ErrorKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Canceled => StatusCode::from_u16(499).expect("499 is a status code"),
            ErrorKind::Timeout | ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal | ErrorKind::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a request gets an error for an answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadData, message)
    }

    /// `invalid parameter "name": reason`
    pub(crate) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }

    /// A query or selector that does not parse.
    pub(crate) fn parse(name: &str, error: &ParseError) -> Self {
        Self::parameter(name, error)
    }
}

impl From<EvalError> for ApiError {
    fn from(error: EvalError) -> Self {
        if let EvalError::Query(reason) = &error {
            return Self::parameter("query", reason);
        }
        let kind = match &error {
            EvalError::Canceled => ErrorKind::Canceled,
            EvalError::Timeout => ErrorKind::Timeout,
            EvalError::Storage(_) => ErrorKind::Internal,
            EvalError::NoMemoryLeft { .. } => ErrorKind::Overloaded,
            _ => ErrorKind::Execution,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        Self::new(ErrorKind::Internal, error.to_string())
    }
}

/// Bytes in quotes, those that are no UTF-8 as `\xff`.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().escape_debug());
        out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    out + "\""
}
