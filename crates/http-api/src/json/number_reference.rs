//! The plain way to write sample values, one step after the other over Ryu's digits: what [`super::number`] must agree with.

/// Room that any value fits into.
const NUMBER_BYTES_MAX: usize = 32;

/// Writes `value` as Prometheus does and returns the length: the fewest digits that read back as the same number, in
/// plain decimals for `1e-6 <= |value| < 1e21` and with an exponent of at least two digits elsewhere.
pub(crate) fn format_value(value: f64, out: &mut [u8; NUMBER_BYTES_MAX]) -> usize {
    if let Some(len) = format_short(value, out) {
        return len;
    }
    if value.is_finite() {
        return format_shortest(value, out);
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

/// The quick way for numbers of up to three decimals and 15 digits.
///
/// `thousandths / 1000` is correctly rounded, so if it equals `value` those digits read back as `value`; and no other
/// decimal of up to 15 digits does, so they are the shortest once zeros at the end are gone.
#[inline]
fn format_short(value: f64, out: &mut [u8; NUMBER_BYTES_MAX]) -> Option<usize> {
    const INTEGER_MAX: i64 = 1 << 53;
    const THOUSANDTHS_MAX: i64 = 1_000_000_000_000_000;
    let integer = value as i64;
    if integer as f64 == value && integer.abs() < INTEGER_MAX {
        let at = if value.is_sign_negative() { put(out, 0, b"-") } else { 0 };
        return Some(put_integer(out, at, integer.unsigned_abs()));
    }
    let scaled = value * 1000.0;
    let thousandths = (scaled + 0.5f64.copysign(scaled)) as i64;
    if thousandths as f64 / 1000.0 != value || thousandths.abs() >= THOUSANDTHS_MAX {
        return None;
    }
    let mut at = 0;
    if value.is_sign_negative() {
        out[0] = b'-';
        at = 1;
    }
    let magnitude = thousandths.unsigned_abs();
    at = put_integer(out, at, magnitude / 1000);
    let fraction = (magnitude % 1000) as u32;
    if fraction != 0 {
        out[at] = b'.';
        for (place, divisor) in [100, 10, 1].into_iter().enumerate() {
            out[at + 1 + place] = b'0' + (fraction / divisor % 10) as u8;
        }
        at += match fraction {
            f if f % 100 == 0 => 2,
            f if f % 10 == 0 => 3,
            _ => 4,
        };
    }
    Some(at)
}

/// Any finite number, through Ryu's digits.
fn format_shortest(value: f64, out: &mut [u8; NUMBER_BYTES_MAX]) -> usize {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    let magnitude = value.abs();
    let exponent_form = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().expect("Ryu writes decimal exponents")),
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

/// Digits of 0 to 99, two each.
const DIGIT_PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut n = 0;
    while n < 100 {
        pairs[2 * n] = b'0' + (n / 10) as u8;
        pairs[2 * n + 1] = b'0' + (n % 10) as u8;
        n += 1;
    }
    pairs
};

/// Writes `n` at `at` and returns where it ends.
#[inline]
fn put_integer(out: &mut [u8; NUMBER_BYTES_MAX], at: usize, mut n: u64) -> usize {
    let end = at + n.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut first = end;
    while n >= 100 {
        let pair = (n % 100) as usize * 2;
        n /= 100;
        first -= 2;
        out[first..first + 2].copy_from_slice(&DIGIT_PAIRS[pair..pair + 2]);
    }
    if n >= 10 {
        let pair = n as usize * 2;
        out[first - 2..first].copy_from_slice(&DIGIT_PAIRS[pair..pair + 2]);
    } else {
        out[first - 1] = b'0' + n as u8;
    }
    end
}

#[inline]
fn put(out: &mut [u8; NUMBER_BYTES_MAX], at: usize, text: &[u8]) -> usize {
    out[at..at + text.len()].copy_from_slice(text);
    at + text.len()
}
