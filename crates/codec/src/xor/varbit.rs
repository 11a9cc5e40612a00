//! Integers in 1 to 72 bits: a prefix says how many follow.

use crate::bits::put_bits;

/// Bits behind the prefixes `10`, `110` and so on; the prefix of eight ones has 64 behind it.
const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Appends a signed integer: a field of n bits holds -(2^(n-1) - 1) to 2^(n-1), the low n bits of it.
pub(super) fn put_varbit(out: &mut Vec<u8>, free_bits: &mut u8, value: i64) {
    let fits = |bits: u32| (-((1 << (bits - 1)) - 1)..=1 << (bits - 1)).contains(&value);
    put(out, free_bits, value as u64, fits);
}

/// Appends an unsigned integer: a field of n bits holds 0 to 2^n - 1.
pub(super) fn put_uvarbit(out: &mut Vec<u8>, free_bits: &mut u8, value: u64) {
    put(out, free_bits, value, |bits| value >> bits == 0);
}

fn put(out: &mut Vec<u8>, free_bits: &mut u8, value: u64, fits: impl Fn(u32) -> bool) {
    if value == 0 {
        return put_bits(out, free_bits, 0, 1);
    }
    let Some(place) = WIDTHS.iter().position(|&bits| fits(bits)) else {
        put_bits(out, free_bits, 0xff, 8);
        return put_bits(out, free_bits, value, 64);
    };
    let (ones, bits) = (place as u32 + 1, WIDTHS[place]);
    put_bits(out, free_bits, ((1 << ones) - 1) << 1, ones + 1);
    put_bits(out, free_bits, value & ((1 << bits) - 1), bits);
}
