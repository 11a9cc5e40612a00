//! Variable-length integers of chunks: `mytsdb-varint`, with this crate's errors.

use crate::CodecError;
use mytsdb_varint::VarintError;

pub(crate) use mytsdb_varint::{VARINT_BYTES_MAX, put_uvarint, put_varint};

/// Reads from the front of `rest` and advances it.
#[inline]
pub(crate) fn take_uvarint(rest: &mut &[u8], field: &'static str) -> Result<u64, CodecError> {
    let bytes = rest.len();
    mytsdb_varint::take_uvarint(rest).map_err(|error| named(error, field, bytes))
}

/// Reads from the front of `rest` and advances it.
#[inline]
pub(crate) fn take_varint(rest: &mut &[u8], field: &'static str) -> Result<i64, CodecError> {
    let bytes = rest.len();
    mytsdb_varint::take_varint(rest).map_err(|error| named(error, field, bytes))
}

#[cold]
fn named(error: VarintError, field: &'static str, bytes: usize) -> CodecError {
    match error {
        VarintError::TooLong => CodecError::Damaged { reason: "varint over 64 bits" },
        _ => CodecError::Truncated { field, bytes },
    }
}
