//! Why the listener as a whole stopped.

/// Errors of this crate; what is wrong with one request is answered to its sender instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpIngestError {
    /// The listener has no address.
    #[error("OTLP/HTTP listener: {0}")]
    Listen(#[from] std::io::Error),
}
