//! Zigzag: maps signed integers to unsigned ones, small magnitudes to small numbers.
#![expect(clippy::inline_always, reason = "the log is 6 % slower where the compiler decides otherwise")]

/// 0, -1, 1, -2, 2, .. become 0, 1, 2, 3, 4, ..
#[inline(always)]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline(always)]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
