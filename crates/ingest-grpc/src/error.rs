//! Why the server as a whole stopped.

/// Errors of this crate; what is wrong with one request is answered to its sender instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The transport failed.
    #[error("otlp/grpc server: {0}")]
    Transport(#[from] tonic::transport::Error),
}
