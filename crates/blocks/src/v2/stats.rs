//! Statistics of a chunk's values: computed, written as a few small integers, and read.

use crate::bytes::Take;
use crate::chunk::ChunkStats;
use mytsdb_varint::{put_uvarint, put_varint};

/// Chunks of fewer samples are decoded as fast as statistics are read.
pub(super) const SAMPLES_MIN: usize = 16;

/// The least and the largest size of written statistics.
pub(super) const BYTES_MIN: usize = 6;
pub(super) const BYTES_MAX: usize = 51;

/// Integers are the bits of the values, in the order of the numbers.
const ORDERED_BITS: u8 = 96;

/// Above this an f64 cannot hold every integer.
const INTEGER_MAX: f64 = (1u64 << 53) as f64;

/// Powers of ten that are exact.
const POWERS: [f64; 18] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

/// Computes the statistics of at least one value.
pub(super) enum Found {
    OneValue { is_nan: bool },
    HasNan,
    Stats(ChunkStats),
}

pub(super) fn find(values: &[f64]) -> Found {
    let first = values[0];
    let differences = values.iter().fold(0, |bits, value| bits | (value.to_bits() ^ first.to_bits()));
    if differences == 0 {
        return Found::OneValue { is_nan: first.is_nan() };
    }
    if values.iter().fold(false, |nan, value| nan | value.is_nan()) {
        return Found::HasNan;
    }
    let (mut min, mut max, mut last, mut resets) = (first, first, first, 0);
    for &value in &values[1..] {
        min = if value < min { value } else { min };
        max = if value > max { value } else { max };
        resets += u32::from(value < last);
        last = value;
    }
    Found::Stats(ChunkStats { first, last, min, max, resets })
}

/// Appends statistics, without their size.
pub(super) fn put(stats: &ChunkStats, out: &mut Vec<u8>) {
    let values = [stats.first, stats.last, stats.min, stats.max];
    let decimal = POWERS.iter().zip(0u8..).find_map(|(&power, scale)| Some((scale, to_decimals(values, power)?)));
    let (scale, [first, last, min, max]) = decimal.unwrap_or_else(|| (ORDERED_BITS, values.map(to_ordered)));
    out.push(scale);
    put_varint(out, first);
    put_varint(out, last.wrapping_sub(first));
    put_varint(out, first.min(last).wrapping_sub(min));
    put_varint(out, max.wrapping_sub(first.max(last)));
    put_uvarint(out, stats.resets.into());
}

/// Reads what [`put`] wrote; `None` if the bytes cannot be right.
pub(super) fn take(bytes: &[u8], sample_count: u32) -> Option<ChunkStats> {
    let mut take = Take::new(bytes);
    let scale = take.u8()?;
    let first = take.varint()?;
    let last = first.wrapping_add(take.varint()?);
    let min = first.min(last).wrapping_sub(take.varint()?);
    let max = first.max(last).wrapping_add(take.varint()?);
    let resets = take.uvarint32().filter(|&resets| resets < sample_count)?;
    let value = |integer: i64| match (scale, POWERS.get(usize::from(scale))) {
        (ORDERED_BITS, _) => Some(from_ordered(integer)),
        (_, Some(power)) => Some(integer as f64 / power),
        _ => None,
    };
    let stats = ChunkStats { first: value(first)?, last: value(last)?, min: value(min)?, max: value(max)?, resets };
    let plain = [stats.first, stats.last, stats.min, stats.max].iter().all(|value| !value.is_nan());
    (take.is_empty() && plain).then_some(stats)
}

fn to_decimals(values: [f64; 4], power: f64) -> Option<[i64; 4]> {
    let integers = values.map(|value| (value * power).round_ties_even());
    let exact = values.iter().zip(integers).all(|(value, integer)| {
        integer.abs() < INTEGER_MAX && (integer as i64 as f64 / power).to_bits() == value.to_bits()
    });
    exact.then(|| integers.map(|integer| integer as i64))
}

fn to_ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn from_ordered(integer: i64) -> f64 {
    f64::from_bits((integer ^ ((integer >> 63) as u64 >> 1) as i64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(values: &[f64]) {
        let bits = |s: &ChunkStats| ([s.first, s.last, s.min, s.max].map(f64::to_bits), s.resets);
        match find(values) {
            Found::OneValue { is_nan } => {
                assert!(values.iter().all(|v| v.to_bits() == values[0].to_bits()));
                assert_eq!(is_nan, values[0].is_nan());
            }
            Found::HasNan => assert!(values.iter().any(|v| v.is_nan())),
            Found::Stats(stats) => {
                let mut bytes = Vec::new();
                put(&stats, &mut bytes);
                assert!((BYTES_MIN..=BYTES_MAX).contains(&bytes.len()), "{}", bytes.len());
                assert_eq!(take(&bytes, values.len() as u32).map(|s| bits(&s)), Some(bits(&stats)));
                let least = values.iter().copied().reduce(|a, b| if b < a { b } else { a }).unwrap();
                let greatest = values.iter().copied().reduce(|a, b| if b > a { b } else { a }).unwrap();
                let resets = values.windows(2).filter(|pair| pair[1] < pair[0]).count();
                let expected = [values[0], values[values.len() - 1], least, greatest].map(f64::to_bits);
                assert_eq!(bits(&stats), (expected, resets as u32));
                for cut in 0..bytes.len() {
                    assert!(take(&bytes[..cut], u32::MAX).is_none());
                }
            }
        }
    }

    #[test]
    fn signs_of_zero_infinities_and_decimals_come_back() {
        check(&[0.0, -0.0]);
        check(&[-0.0, 0.0, -0.0]);
        check(&[f64::INFINITY, 1.0, f64::NEG_INFINITY]);
        check(&[0.1, 0.25, -17.125, 1e15]);
        check(&[f64::MIN_POSITIVE, f64::MAX, f64::MIN]);
        check(&[1.0, f64::NAN]);
        check(&[f64::NAN]);
    }

    proptest! {
        #[test]
        fn statistics_come_back(values in prop::collection::vec(prop_oneof![any::<f64>(), (-1_000i64..1_000).prop_map(|i| i as f64 / 8.0)], 1..20)) {
            check(&values);
        }
    }
}
