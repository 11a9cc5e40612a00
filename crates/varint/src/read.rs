//! Reads integers; checks lengths before it reads.
#![expect(clippy::inline_always, reason = "the log is 6 % slower where the compiler decides otherwise")]

use crate::{VARINT_BYTES_MAX, unzigzag};

/// Why there is no integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VarintError {
    /// The bytes end before the integer does.
    #[error("variable-length integer cut short")]
    Truncated,
    /// The integer has more than 64 bits.
    #[error("variable-length integer over 64 bits")]
    TooLong,
}

/// Shift of the tenth byte, of which one bit is left.
const LAST_SHIFT: usize = 7 * (VARINT_BYTES_MAX - 1);

/// Reads an integer at offset `*at` and moves `*at` behind it. After an error `*at` is unspecified.
///
/// # Errors
/// [`VarintError::Truncated`] or [`VarintError::TooLong`].
#[inline(always)]
pub fn read(bytes: &[u8], at: &mut usize) -> Result<u64, VarintError> {
    let first = *bytes.get(*at).ok_or(VarintError::Truncated)?;
    *at += 1;
    if first < 0x80 {
        return Ok(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = *bytes.get(*at).ok_or(VarintError::Truncated)?;
        *at += 1;
        if shift == LAST_SHIFT && byte > 1 {
            return Err(VarintError::TooLong);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
        shift += 7;
    }
}

/// Reads an integer from the front of `rest` and advances it; on error `rest` stays.
///
/// # Errors
/// [`VarintError::Truncated`] or [`VarintError::TooLong`].
#[inline]
pub fn take_uvarint(rest: &mut &[u8]) -> Result<u64, VarintError> {
    let mut at = 0;
    let value = read(rest, &mut at)?;
    *rest = &rest[at..];
    Ok(value)
}

/// As [`take_uvarint`], of the zigzag form.
///
/// # Errors
/// [`VarintError::Truncated`] or [`VarintError::TooLong`].
#[inline]
pub fn take_varint(rest: &mut &[u8]) -> Result<i64, VarintError> {
    take_uvarint(rest).map(unzigzag)
}
