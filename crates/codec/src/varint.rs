//! LEB128 integers, unsigned and zigzag.

use crate::CodecError;

/// Longest encoding of a 64-bit integer.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value as u64) << 1) ^ ((value >> 63) as u64));
}

/// Reads from the front of `rest` and advances it.
pub(crate) fn take_uvarint(rest: &mut &[u8], field: &'static str) -> Result<u64, CodecError> {
    let mut value = 0u64;
    for (index, &byte) in rest.iter().take(VARINT_BYTES_MAX).enumerate() {
        if index == VARINT_BYTES_MAX - 1 && byte > 1 {
            return Err(CodecError::Damaged { reason: "varint over 64 bits" });
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(CodecError::Truncated { field, bytes: rest.len() })
}

/// Reads from the front of `rest` and advances it.
pub(crate) fn take_varint(rest: &mut &[u8], field: &'static str) -> Result<i64, CodecError> {
    let folded = take_uvarint(rest, field)?;
    Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_survive() {
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut rest = bytes.as_slice();
            assert_eq!(take_varint(&mut rest, "test").unwrap(), value);
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_varint_over_64_bits_is_refused() {
        let mut rest = [0xff; 9].to_vec();
        rest.push(2);
        assert!(take_uvarint(&mut rest.as_slice(), "test").is_err());
        assert!(take_uvarint(&mut [0x80; 10].as_slice(), "test").is_err());
        assert!(take_uvarint(&mut [0x80; 3].as_slice(), "test").is_err());
    }
}
