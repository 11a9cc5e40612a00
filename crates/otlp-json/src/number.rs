//! Numbers as JSON writes them, as integers without rounding and as doubles.

/// Bytes of the number at the start of `text` (RFC 8259, section 6), `None` if there is none.
pub(crate) fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += match text.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if text.get(at) == Some(&b'.') {
        let count = digits(at + 1);
        if count == 0 {
            return None;
        }
        at += 1 + count;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let count = digits(at + 1 + sign);
        if count == 0 {
            return None;
        }
        at += 1 + sign + count;
    }
    Some(at)
}

/// Whether `text` is one number and nothing else.
pub(crate) fn is_number(text: &[u8]) -> bool {
    number_length(text) == Some(text.len())
}

/// The value of a number that is an integer, however it is written (`10`, `1e1`, `10.0`); at most 20 digits.
pub(crate) fn integer(number: &[u8]) -> Option<i128> {
    const DIGITS_MAX: i64 = 20;
    let (negative, number) = match number.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let exponent_at = number.iter().position(|b| matches!(b, b'e' | b'E'));
    let (mantissa, exponent) = number.split_at(exponent_at.unwrap_or(number.len()));
    let point_at = mantissa.iter().position(|b| *b == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = mantissa.split_at(point_at);
    let fraction = fraction.get(1..).unwrap_or_default();
    // Zeros at both ends do not change the digits, only the exponent.
    let digits = whole.iter().chain(fraction).map(|digit| digit - b'0');
    let count = whole.len() + fraction.len();
    let mut places = digits.clone().enumerate().filter(|(_, digit)| *digit != 0).map(|(place, _)| place);
    let Some(first) = places.next() else { return Some(0) };
    let last = places.last().unwrap_or(first);
    let exponent = match exponent.get(1..) {
        None => 0,
        // A longer exponent than an i64 holds is out of range, whatever it says.
        Some(text) => std::str::from_utf8(text).ok()?.parse::<i64>().ok()?,
    };
    let zeros = exponent.checked_add((count - 1 - last) as i64)?.checked_sub(fraction.len() as i64)?;
    let significant = (last - first + 1) as i64;
    if zeros < 0 || significant > DIGITS_MAX || significant.checked_add(zeros)? > DIGITS_MAX {
        return None;
    }
    let value = digits.skip(first).take(last - first + 1).fold(0, |value, d| value * 10 + i128::from(d));
    let value = value * 10i128.pow(zeros as u32);
    Some(if negative { -value } else { value })
}

/// The double nearest to a number, `None` if that is infinite.
pub(crate) fn double(number: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_numbers_are_numbers() {
        for text in ["0", "-0", "10", "1.50", "-2e3", "2E+03", "0.1e-9"] {
            assert!(is_number(text.as_bytes()), "{text}");
        }
        for text in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "NaN", "Infinity", "0x1", " 1", "1 ", "1_0"] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn integers_are_exact_in_every_form() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0.000", Some(0)),
            ("0e999999999999", Some(0)),
            ("18446744073709551615", Some(i128::from(u64::MAX))),
            ("-9223372036854775808", Some(i128::from(i64::MIN))),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("1.8446744073709551615e19", Some(i128::from(u64::MAX))),
            ("12e0", Some(12)),
            ("1.20e1", Some(12)),
            ("120e-1", Some(12)),
            ("1200.00E-002", Some(12)),
            ("1.5", None),
            ("15e-2", None),
            ("1e20", None),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", None),
            ("123456789012345678901", None),
        ] {
            assert_eq!(integer(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn doubles_are_finite() {
        assert_eq!(double(b"-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
        assert_eq!(double(b"1e308"), Some(1e308));
        assert_eq!(double(b"1e-400"), Some(0.0));
        assert_eq!(double(b"1e309"), None);
    }
}
