//! Writes the shortest form.
#![expect(clippy::inline_always, reason = "the log is 6 % slower where the compiler decides otherwise")]

use crate::zigzag;

/// The longest form of 64 bits, in bytes.
pub const VARINT_BYTES_MAX: usize = 10;

/// Writes `value` at offset `at` and returns the offset behind it.
///
/// # Panics
/// If the slice ends first; [`VARINT_BYTES_MAX`] bytes are always enough.
#[inline(always)]
pub fn write(out: &mut [u8], at: usize, mut value: u64) -> usize {
    if value < 0x80 {
        out[at] = value as u8;
        return at + 1;
    }
    let mut i = at;
    while value >= 0x80 {
        out[i] = value as u8 | 0x80;
        value >>= 7;
        i += 1;
    }
    out[i] = value as u8;
    i + 1
}

/// Appends `value`.
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` in zigzag form.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, zigzag(value));
}
