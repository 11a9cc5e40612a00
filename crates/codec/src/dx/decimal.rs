//! Numbers as integers: decimals without their point, or bits in the order of the numbers.
#![expect(clippy::inline_always, reason = "compiled anew for each instruction set, which only inlined code is")]

/// Powers of ten that an f64 holds exactly, as far as they are used.
pub(super) const POWERS: [f64; EXPONENT_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

/// The largest number of decimal places.
pub(super) const EXPONENT_MAX: u8 = 17;

/// 1.5 * 2^52. A number that is added to it loses its fraction; the low bits of the sum are its integer.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// `integer as f64`, in instructions that every vector unit has: both halves exactly, one rounding in their sum.
#[inline(always)]
pub(super) fn to_f64(integer: i64) -> f64 {
    let low = f64::from_bits(integer as u64 & 0xffff_ffff | 0x4330_0000_0000_0000);
    let high = f64::from_bits(integer as u64 >> 32 ^ 0x4530_0000_8000_0000);
    (high - f64::from_bits(0x4530_0000_8010_0000)) + low
}

/// The integer that is `value * power`, rounded, and whether dividing it gives `value` back, bit for bit.
///
/// Exact for products below 2^51. For larger ones the answer is no; [`to_integer_wide`] handles those.
#[inline(always)]
pub(super) fn to_integer(value: f64, power: f64) -> (i64, bool) {
    let rounded = value * power + ROUNDER;
    let low = (rounded.to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64);
    let integer = low << 12 >> 12;
    (integer, (to_f64(integer) / power).to_bits() == value.to_bits())
}

/// As [`to_integer`], for products of any size.
#[inline]
pub(super) fn to_integer_wide(value: f64, power: f64) -> Option<i64> {
    let integer = (value * power).round_ties_even() as i64;
    ((integer as f64 / power).to_bits() == value.to_bits()).then_some(integer)
}

/// The smallest exponent from `least` on with which `value` comes back.
pub(super) fn exponent_of(value: f64, least: u8) -> Option<u8> {
    if !value.is_finite() {
        return None;
    }
    (least..=EXPONENT_MAX).find(|&exponent| to_integer_wide(value, POWERS[usize::from(exponent)]).is_some())
}

/// Bits as an integer, in the order of the numbers.
#[inline(always)]
pub(super) fn to_ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The inverse of [`to_ordered`].
#[inline(always)]
pub(super) fn from_ordered(integer: i64) -> f64 {
    f64::from_bits((integer ^ ((integer >> 63) as u64 >> 1) as i64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_convert_as_the_language_does(bits: i64, shift in 0u32..64) {
            prop_assert_eq!(to_f64(bits >> shift).to_bits(), ((bits >> shift) as f64).to_bits());
        }

        #[test]
        fn ordered_bits_keep_the_order_and_come_back(a: f64, b: f64) {
            prop_assert_eq!(a.total_cmp(&b), to_ordered(a).cmp(&to_ordered(b)));
            prop_assert_eq!(from_ordered(to_ordered(a)).to_bits(), a.to_bits());
        }

        #[test]
        fn what_is_called_an_integer_comes_back(bits: u64, mantissa: i32, exponent in 0..=EXPONENT_MAX) {
            let power = POWERS[usize::from(exponent)];
            for value in [f64::from_bits(bits), f64::from(mantissa) / power] {
                let (integer, fits) = to_integer(value, power);
                prop_assert!(!fits || (integer as f64 / power).to_bits() == value.to_bits());
                prop_assert!(!fits || to_integer_wide(value, power).is_some());
            }
            prop_assert_eq!(to_integer(f64::from(mantissa) / power, power), (i64::from(mantissa), true));
        }
    }

    #[test]
    fn minus_zero_and_what_is_no_number_are_no_integers() {
        for value in [-0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE] {
            assert!(!to_integer(value, 1.0).1, "{value}");
            assert_eq!(exponent_of(value, 0), None, "{value}");
        }
    }
}
