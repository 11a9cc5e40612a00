//! Values and times as they are written.

/// A float in decimal, `NaN`, or an infinity in any case, with or without a sign.
pub(crate) fn float(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    if text.len() - digits.len() > 1 {
        return None;
    }
    // What else Rust reads as a float has digits.
    let is_word = ["nan", "inf", "infinity"].iter().any(|word| digits.eq_ignore_ascii_case(word));
    let is_decimal = digits.bytes().any(|b| b.is_ascii_digit());
    (is_word || is_decimal).then(|| text.parse().ok()).flatten()
}

/// Milliseconds.
pub(crate) fn milliseconds(text: &str) -> Option<i64> {
    text.strip_prefix('+').filter(|rest| !rest.starts_with(['+', '-'])).unwrap_or(text).parse().ok()
}

/// Seconds in decimal as milliseconds; what is finer is cut off.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_decimal = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !is_decimal(whole) || !is_decimal(fraction) {
        // With an exponent: exact enough for whoever writes times so.
        let ms = float(text)? * 1_000.0;
        return (ms.abs() < 9e18).then(|| ms.round() as i64);
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let thousandths = fraction.bytes().chain([b'0'; 3]).take(3).fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    whole.checked_mul(1_000)?.checked_add(thousandths).map(|ms| sign * ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_seconds_are_exact_to_the_millisecond() {
        for (text, ms) in [
            ("1700000000.123", 1_700_000_000_123),
            ("1543578564.705", 1_543_578_564_705),
            ("0", 0),
            ("-1.5", -1_500),
            ("-0.001", -1),
            ("+7.", 7_000),
            (".25", 250),
            ("1.0009999", 1_000),
            ("1.7e9", 1_700_000_000_000),
        ] {
            assert_eq!(seconds(text), Some(ms), "{text}");
        }
        for text in ["", ".", "-", "1.2.3", "x", "NaN", "Inf", "1e300", "9223372036854775807", "--1", "1_0"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn floats_are_read_as_others_write_them() {
        for (text, value) in
            [("1", 1.0), ("-0", -0.0), ("1e21", 1e21), ("+Inf", f64::INFINITY), ("-inf", -f64::INFINITY)]
        {
            assert_eq!(float(text).map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
        assert!(float("NaN").is_some_and(f64::is_nan) && float(".5") == Some(0.5));
        for text in ["", "+", "++1", "0x1p-2", "1 ", "1_000", "e5", "."] {
            assert_eq!(float(text), None, "{text}");
        }
        assert_eq!(
            (milliseconds("+5"), milliseconds("-5"), milliseconds("+-5"), milliseconds("1.5")),
            (Some(5), Some(-5), None, None)
        );
    }
}
