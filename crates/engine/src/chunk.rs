//! Chunks as blocks and head keep them: which codec reads which.

use mytsdb_blocks::ChunkEncoding;
use mytsdb_codec::CodecError;

/// Appends the samples of a chunk to two columns, in strictly ascending time.
pub(crate) fn decode(
    encoding: ChunkEncoding,
    bytes: &[u8],
    timestamps_ms: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), CodecError> {
    match encoding {
        ChunkEncoding::XOR => mytsdb_codec::decode(bytes, timestamps_ms, values),
        _ => Err(CodecError::Damaged { reason: "encoding not known" }),
    }
}
