//! Why a request as a whole cannot be read.

use mytsdb_protobuf::ProtobufError;

/// Errors of this crate: nothing of the request is stored, and sending it again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteWriteError {
    /// The bytes are no protobuf message, or a field has another type than the protocol says.
    #[error("{0}")]
    Protobuf(#[from] ProtobufError),
    /// A message of version 1.0 was announced as 2.0, where it would be read as an empty request.
    #[error("field {field} is one of prometheus.WriteRequest, but io.prometheus.write.v2.Request was announced")]
    OtherVersion {
        /// The field's number.
        field: u32,
    },
    /// More symbols than the reader keeps.
    #[error("more than {limit} symbols")]
    Symbols {
        /// The limit.
        limit: usize,
    },
    /// Samples and histograms would take more memory than one request may have.
    #[error("samples and histograms of the request take more than {limit} bytes of memory, send fewer at once")]
    Memory {
        /// The limit in bytes.
        limit: usize,
    },
}
