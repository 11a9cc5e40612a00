//! Bucket boundaries: exact powers for exponential schemas, the given list for custom ones.

use super::CUSTOM_SCHEMA;

/// The finest exponential schema, 256 buckets per power of two.
const SCHEMA_MAX: i32 = 8;

/// `2^(1/2)`, `2^(1/4)`, ... `2^(1/256)`, nearest doubles but for the first, which is rounded down:
/// boundaries must equal Prometheus' to the last bit, and those start from this square root.
const ROOTS_OF_TWO: [f64; 8] = [
    std::f64::consts::SQRT_2.next_down(),
    1.189207115002721,
    1.0905077326652577,
    1.0442737824274138,
    1.0218971486541166,
    1.0108892860517005,
    1.0054299011128027,
    1.0027112750502025,
];

/// Mantissas in [0.5, 1) of the boundaries inside one power of two, at the finest schema. Schema `s` uses each
/// `2^(8-s)`-th of them.
static MANTISSAS: [f64; 256] = mantissas();

const fn mantissas() -> [f64; 256] {
    let mut table = [0.5; 256];
    let mut index = 0;
    while index < 256 {
        let mut bit = 0;
        while bit < 8 {
            if (index >> (7 - bit)) & 1 == 1 {
                table[index] *= ROOTS_OF_TWO[bit];
            }
            bit += 1;
        }
        index += 1;
    }
    table
}

/// Upper bound of the bucket `index`; the lower bound is that of `index - 1`.
///
/// Exponential: the magnitude, never above `f64::MAX` for the last bucket of finite values, `+Inf` beyond it.
/// Custom: `-Inf` below the list, `+Inf` behind it. An unknown schema is taken for the nearest exponential one.
pub fn bucket_bound(schema: i32, index: i64, custom_values: &[f64]) -> f64 {
    if schema == CUSTOM_SCHEMA {
        return match usize::try_from(index) {
            Ok(at) => custom_values.get(at).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        };
    }
    if schema <= 0 {
        let shift = schema.unsigned_abs().min(30);
        let exponent = index.saturating_mul(1 << shift);
        return if exponent == 1024 { f64::MAX } else { scale(0.5, exponent.saturating_add(1)) };
    }
    let schema = schema.min(SCHEMA_MAX);
    let step = index & ((1 << schema) - 1);
    let mantissa = MANTISSAS[(step << (SCHEMA_MAX - schema)) as usize];
    let exponent = (index >> schema) + 1;
    if step == 0 && exponent == 1025 { f64::MAX } else { scale(mantissa, exponent) }
}

/// `mantissa * 2^exponent`, rounded once. `mantissa` must lie in [0.5, 1).
fn scale(mantissa: f64, exponent: i64) -> f64 {
    let power_of_two = |exponent: i64| f64::from_bits(((exponent + 1023) as u64) << 52);
    match exponent {
        1025.. => f64::INFINITY,
        // One factor would be outside of the normal range; the first product is exact, so only the second rounds.
        1001..=1024 => mantissa * power_of_two(1000) * power_of_two(exponent - 1000),
        -1000..=1000 => mantissa * power_of_two(exponent),
        -1100..=-1001 => mantissa * power_of_two(exponent + 1000) * power_of_two(-1000),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_bounds_are_powers_of_the_base() {
        assert_eq!(bucket_bound(0, 0, &[]), 1.0);
        assert_eq!(bucket_bound(0, -2, &[]), 0.25);
        assert_eq!(bucket_bound(-4, 1, &[]), 65536.0);
        assert_eq!(bucket_bound(1, 1, &[]).to_string(), "1.414213562373095");
        assert_eq!(bucket_bound(8, 256, &[]), 2.0);
        for schema in -4..=8 {
            for index in -2000..2000 {
                let (low, high) = (bucket_bound(schema, index - 1, &[]), bucket_bound(schema, index, &[]));
                assert!(low < high || high == 0.0 || low.is_infinite(), "schema {schema} index {index}: {low} {high}");
                let exact = (index as f64 * (-f64::from(schema)).exp2()).exp2();
                assert!(!exact.is_normal() || (high / exact - 1.0).abs() < 1e-14, "schema {schema} index {index}");
            }
        }
    }

    #[test]
    fn last_finite_bucket_ends_at_the_largest_float() {
        assert_eq!(bucket_bound(0, 1024, &[]), f64::MAX);
        assert_eq!(bucket_bound(3, 8 * 1024, &[]), f64::MAX);
        assert_eq!(bucket_bound(-2, 256, &[]), f64::MAX);
        assert_eq!(bucket_bound(0, 1025, &[]), f64::INFINITY);
        assert_eq!(bucket_bound(-4, i64::from(i32::MAX), &[]), f64::INFINITY);
        assert_eq!(bucket_bound(8, i64::from(i32::MIN), &[]), 0.0);
    }

    #[test]
    fn custom_bounds_end_at_the_infinities() {
        assert_eq!(bucket_bound(CUSTOM_SCHEMA, -1, &[1.0, 2.0]), f64::NEG_INFINITY);
        assert_eq!(bucket_bound(CUSTOM_SCHEMA, 1, &[1.0, 2.0]), 2.0);
        assert_eq!(bucket_bound(CUSTOM_SCHEMA, 2, &[1.0, 2.0]), f64::INFINITY);
    }
}
