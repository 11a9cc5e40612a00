//! 128-bit fingerprints of encoded bytes, chained from resource to point.
//!
//! Equal bytes give equal fingerprints; different bytes that mean the same labels (another attribute order) give
//! different ones, which costs a second cache entry and nothing else. A false match would put a sample into the wrong
//! series, hence 128 bits and a seed.

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The fingerprint of `bytes`, bound to everything `parent` covers.
#[inline]
pub fn chain(parent: u128, bytes: &[u8]) -> u128 {
    // The low half of the parent seeds the hash, the high half is mixed in after it, so that all 128 bits count.
    let hash = xxh3_128_with_seed(bytes, parent as u64);
    let high = u128::from((parent >> 64) as u64);
    hash ^ high.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// The fingerprint of `bytes` alone.
#[inline]
pub fn hash(seed: u64, bytes: &[u8]) -> u128 {
    xxh3_128_with_seed(bytes, seed)
}

/// The fingerprint of a number, bound to everything `parent` covers.
#[inline]
pub fn chain_number(parent: u128, number: u128) -> u128 {
    chain(parent, &number.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_of_the_parent_count() {
        let base = chain(7, b"x");
        assert_ne!(chain(base, b"a"), chain(base ^ 1, b"a"));
        assert_ne!(chain(base, b"a"), chain(base ^ 1 << 127, b"a"));
        assert_ne!(chain(base, b"a"), chain(base, b"b"));
        assert_eq!(chain(base, b"a"), chain(base, b"a"));
    }
}
