//! Why a request as a whole cannot be read.

/// The bytes are not an `ExportMetricsServiceRequest`. Sending them again changes nothing.
pub use mytsdb_protobuf::ProtobufError as OtlpError;
