//! Sample values and timestamps as text: Go's shortest `f` and `e` forms, seconds with none or three decimals.

/// Room that any value or timestamp fits into.
pub(crate) const NUMBER_BYTES_MAX: usize = 32;

/// Writes `value` as Prometheus does and returns the length: the fewest digits that read back as the same number, in
/// plain decimals for `1e-6 <= |value| < 1e21` and with an exponent of at least two digits elsewhere.
///
/// Bytes of `out` behind the text may be overwritten too.
#[inline]
pub(crate) fn format_value(value: f64, out: &mut [u8; NUMBER_BYTES_MAX]) -> usize {
    format_short(value, out).unwrap_or_else(|| format_long(value, out))
}

/// The quick way for numbers of up to three decimals and 15 digits.
///
/// `thousandths / 1000` is correctly rounded, so if it equals `magnitude` those digits read back as it; and no other
/// decimal of up to 15 digits does, so they are the shortest once zeros at the end are gone.
#[inline]
fn format_short(value: f64, out: &mut [u8; NUMBER_BYTES_MAX]) -> Option<usize> {
    const MAGNITUDE_MAX: f64 = 1e12;
    let magnitude = value.abs();
    let thousandths = (magnitude * 1000.0 + 0.5) as i64;
    // NaN fails both comparisons.
    if thousandths as f64 / 1000.0 != magnitude || magnitude >= MAGNITUDE_MAX {
        return None;
    }
    let (whole, fraction) = (thousandths as u64 / 1000, thousandths as u64 % 1000);
    out[0] = b'-';
    let at = usize::from(value.is_sign_negative());
    let at = put_integer(out, at, whole);
    let (text, len) = FRACTIONS[fraction as usize];
    out[at..at + 4].copy_from_slice(&text);
    Some(at + usize::from(len))
}

/// A decimal point and three digits for each number of thousandths, and how many of the four count.
const FRACTIONS: [([u8; 4], u8); 1000] = {
    let mut fractions = [(*b".000", 0); 1000];
    let mut n = 1;
    while n < 1000 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        let len = match n {
            n if n % 100 == 0 => 2,
            n if n % 10 == 0 => 3,
            _ => 4,
        };
        fractions[n] = ([b'.', digits[0], digits[1], digits[2]], len);
        n += 1;
    }
    fractions
};

/// Everything else.
fn format_long(value: f64, out: &mut [u8; NUMBER_BYTES_MAX]) -> usize {
    const INTEGERS_EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    /// Where `zmij` writes plain decimals, and ends them in `.0` only for integers.
    const PLAIN: std::ops::Range<f64> = 1e-5..1e15;
    let magnitude = value.abs();
    if magnitude < INTEGERS_EXACT_BELOW && magnitude as u64 as f64 == magnitude {
        out[0] = b'-';
        return put_integer(out, usize::from(value.is_sign_negative()), magnitude as u64);
    }
    if PLAIN.contains(&magnitude) {
        return put_digits(out, zmij::Buffer::new().format_finite(value).as_bytes());
    }
    if value.is_finite() {
        return format_extreme(value, out);
    }
    let word: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value > 0.0 {
        b"+Inf"
    } else {
        b"-Inf"
    };
    put(out, 0, word)
}

/// Copies a text of up to 32 bytes in pieces of fixed size that may overlap, which is quicker than one of any size.
#[inline]
fn put_digits(out: &mut [u8; NUMBER_BYTES_MAX], text: &[u8]) -> usize {
    let len = text.len();
    if let (Some(head), Some(tail)) = (text.first_chunk::<16>(), text.last_chunk::<16>()) {
        out[..16].copy_from_slice(head);
        out[len - 16..len].copy_from_slice(tail);
    } else if let (Some(head), Some(tail)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        out[..8].copy_from_slice(head);
        out[len - 8..len].copy_from_slice(tail);
    } else {
        put(out, 0, text);
    }
    len
}

/// Any finite number: takes shortest digits apart and puts them together as Go does.
#[cold]
fn format_extreme(value: f64, out: &mut [u8; NUMBER_BYTES_MAX]) -> usize {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    let magnitude = value.abs();
    let exponent_form = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().expect("zmij writes decimal exponents")),
        None if !exponent_form => return put(out, 0, text.strip_suffix(".0").unwrap_or(text).as_bytes()),
        None => (text, 0),
    };
    // All digits, and how many of them stand before the decimal point.
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or((0, mantissa), |rest| (put(out, 0, b"-"), rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [0u8; NUMBER_BYTES_MAX];
    let digit_count = put(&mut digits, 0, whole.as_bytes());
    let digit_count = put(&mut digits, digit_count, fraction.trim_end_matches('0').as_bytes());
    let digits = &digits[..digit_count];
    let point = whole.len() as i32 + exponent;
    if exponent_form {
        put_exponent_form(out, sign, digits, point - 1)
    } else {
        put_decimal_form(out, sign, digits, point)
    }
}

fn put_exponent_form(out: &mut [u8; NUMBER_BYTES_MAX], mut at: usize, digits: &[u8], exponent: i32) -> usize {
    at = put(out, at, &digits[..1]);
    if digits.len() > 1 {
        at = put(out, at, b".");
        at = put(out, at, &digits[1..]);
    }
    at = put(out, at, if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        at = put(out, at, b"0");
    }
    put_integer(out, at, u64::from(exponent.unsigned_abs()))
}

fn put_decimal_form(out: &mut [u8; NUMBER_BYTES_MAX], mut at: usize, digits: &[u8], point: i32) -> usize {
    if point <= 0 {
        at = put(out, at, b"0.");
        for _ in point..0 {
            at = put(out, at, b"0");
        }
        return put(out, at, digits);
    }
    let point = point as usize;
    if point >= digits.len() {
        at = put(out, at, digits);
        for _ in digits.len()..point {
            at = put(out, at, b"0");
        }
        return at;
    }
    at = put(out, at, &digits[..point]);
    at = put(out, at, b".");
    put(out, at, &digits[point..])
}

/// Writes milliseconds as seconds: no decimals if they are whole, else exactly three.
pub(crate) fn format_timestamp(timestamp_ms: i64, out: &mut [u8; NUMBER_BYTES_MAX]) -> usize {
    let mut at = 0;
    if timestamp_ms < 0 {
        at = put(out, at, b"-");
    }
    let magnitude = timestamp_ms.unsigned_abs();
    at = put_integer(out, at, magnitude / 1000);
    let fraction = magnitude % 1000;
    if fraction != 0 {
        let digit = |divisor| b'0' + (fraction / divisor % 10) as u8;
        at = put(out, at, &[b'.', digit(100), digit(10), digit(1)]);
    }
    at
}

/// Writes `n` at `at` and returns where it ends; up to seven bytes behind that are overwritten too.
#[inline]
pub(crate) fn put_integer(out: &mut [u8; NUMBER_BYTES_MAX], at: usize, n: u64) -> usize {
    if n < EIGHT_DIGITS {
        let digits = eight_digits(n);
        // The first digit is the lowest byte; the last one always counts.
        let zeros = (digits | (1 << 56)).trailing_zeros() / 8;
        let text = (digits | ASCII_ZEROS) >> (8 * zeros);
        out[at..at + 8].copy_from_slice(&text.to_le_bytes());
        return at + 8 - zeros as usize;
    }
    let at = put_integer_long(out, at, n / EIGHT_DIGITS);
    let text = eight_digits(n % EIGHT_DIGITS) | ASCII_ZEROS;
    out[at..at + 8].copy_from_slice(&text.to_le_bytes());
    at + 8
}

/// Keeps the recursion, of at most two levels, out of the callers.
#[inline(never)]
fn put_integer_long(out: &mut [u8; NUMBER_BYTES_MAX], at: usize, n: u64) -> usize {
    put_integer(out, at, n)
}

const EIGHT_DIGITS: u64 = 100_000_000;
const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The digits of `n < 10^8`, one a byte, the first in the lowest byte. Halves, quarters and eighths of the register
/// are divided all at once, by multiplication with rounded-up reciprocals that are exact for 4 and for 2 digits.
#[inline]
fn eight_digits(n: u64) -> u64 {
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

#[inline]
fn put(out: &mut [u8; NUMBER_BYTES_MAX], at: usize, text: &[u8]) -> usize {
    out[at..at + text.len()].copy_from_slice(text);
    at + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(v: f64) -> String {
        let mut out = [0; NUMBER_BYTES_MAX];
        let len = format_value(v, &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn values_are_written_as_go_writes_them() {
        for (v, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.1, "0.1"),
            (0.25, "0.25"),
            (-0.125, "-0.125"),
            (0.001, "0.001"),
            (-0.001, "-0.001"),
            (0.0001, "0.0001"),
            (100.0, "100"),
            (100.5, "100.5"),
            (1234.567, "1234.567"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0 / 3.0, "0.3333333333333333"),
            (2.0 / 3.0 * 1e5, "66666.66666666666"),
            (1e-6, "0.000001"),
            (1.5e-6, "0.0000015"),
            (1.2345678901234567e-5, "0.000012345678901234568"),
            (9.999999e-7, "9.999999e-07"),
            (1e-7, "1e-07"),
            (-1e-7, "-1e-07"),
            (1e-10, "1e-10"),
            (1e15, "1000000000000000"),
            (1e16, "10000000000000000"),
            (123456789012345680.0, "123456789012345680"),
            (1.5e20, "150000000000000000000"),
            (999999999999999900000.0, "999999999999999900000"),
            (1e21, "1e+21"),
            (-1.5e21, "-1.5e+21"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (9007199254740993.0, "9007199254740992"),
            (2251799813685248.5, "2251799813685248.5"),
            // Halfway between two shortest forms: the even one, as Go has it.
            (f64::from(1_823_138_828_u32) * 1e6 + 184_112.25, "1823138828184112.2"),
            (999999999999.999, "999999999999.999"),
            (1000000000000.001, "1000000000000.001"),
            (f64::NAN, "NaN"),
            (mytsdb_model::stale_nan(), "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(value(v), expected);
        }
    }

    #[test]
    fn every_value_reads_back_and_is_as_short_as_the_standard_library_writes_it() {
        let seed = std::env::var("MYTSDB_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed_u64);
        println!("MYTSDB_SEED={seed}");
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd)
        };
        for round in 0..300_000 {
            let bits = next();
            let v = match round % 3 {
                0 => f64::from_bits(bits),
                1 => (bits >> 40) as f64 / 1000.0,
                _ => (bits >> 12) as f64 / 10f64.powi((bits % 30) as i32),
            };
            if !v.is_finite() {
                continue;
            }
            let text = value(v);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), v.to_bits(), "{text}");
            let magnitude = v.abs();
            let standard = if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
                format!("{v}")
            } else {
                assert!(text.contains('e'));
                format!("{v:e}").replace('e', "e+").replace("e+-", "e-")
            };
            // Of two shortest forms that are equally near, the standard library takes another one than Go.
            let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
            let short_exponent = usize::from(text.contains("e+0") || text.contains("e-0"));
            assert_eq!(digits(&text) - short_exponent, digits(&standard), "{text} {standard}");
        }
    }

    #[test]
    fn every_value_is_written_as_the_reference_writes_it() {
        let mut random = mytsdb_testkit::Random::new(mytsdb_testkit::seed(0x5eed));
        for round in 0..1_000_000_u64 {
            let (bits, power) = (random.bits(), 10f64.powi(random.below(19) as i32));
            // Digits of every length, and of every length with a few at the end.
            let digits = (bits >> (bits % 64)) as f64;
            let v = match round % 8 {
                0 => f64::from_bits(bits),
                1 => digits,
                2 => digits / 100.0,
                3 => digits / 1000.0,
                4 => digits / power,
                5 => digits * power,
                6 => f64::from_bits((digits / 1000.0).to_bits() ^ 1),
                _ => digits / (random.bits() | 1) as f64,
            };
            let v = if bits & 1 << 40 == 0 { v } else { -v };
            let expected = super::super::number_reference::format_value(v);
            let mut found = [0xff; NUMBER_BYTES_MAX];
            let len = format_value(v, &mut found);
            let text = std::str::from_utf8(&found[..len]);
            assert_eq!(text, Ok(&*expected), "{:#x}", v.to_bits());
        }
    }

    #[test]
    fn integers_of_every_length_are_written() {
        let mut ten = 1_u64;
        for n in std::iter::from_fn(|| {
            let n = ten;
            ten = ten.checked_mul(10)?;
            Some(n)
        }) {
            for n in [n - 1, n, n + 1, n * 9, u64::MAX / n] {
                let mut out = [0; NUMBER_BYTES_MAX];
                let len = put_integer(&mut out, 1, n);
                assert_eq!(std::str::from_utf8(&out[1..len]).unwrap(), n.to_string());
            }
        }
    }

    #[test]
    fn timestamps_have_none_or_three_decimals() {
        for (ms, expected) in [
            (0, "0"),
            (1, "0.001"),
            (-1, "-0.001"),
            (-1500, "-1.500"),
            (1435781451000, "1435781451"),
            (1435781451781, "1435781451.781"),
            (1435781451500, "1435781451.500"),
            (i64::MIN, "-9223372036854775.808"),
            (i64::MAX, "9223372036854775.807"),
        ] {
            let mut out = [0; NUMBER_BYTES_MAX];
            let len = format_timestamp(ms, &mut out);
            assert_eq!(std::str::from_utf8(&out[..len]).unwrap(), expected);
        }
    }
}
