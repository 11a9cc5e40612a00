//! The reference for sample values as text, written step by step with strings: [`super::number`] must agree with it.
//!
//! The digits are Ryu's and not the standard library's, which chooses otherwise between two shortest forms that are
//! equally near; Go and Ryu take the even one.

/// The fewest digits that read back as `value`: in plain decimals for `1e-6 <= |value| < 1e21`, elsewhere with an exponent
/// of at least two digits.
pub(crate) fn format_value(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        return if sign.is_empty() { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    if magnitude == 0.0 {
        return format!("{sign}0");
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(magnitude);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    // value = 0.DIGITS * 10^point
    let point = exponent.parse::<i32>().expect("Ryu writes decimal exponents") + whole.len() as i32
        - (all.len() - all.trim_start_matches('0').len()) as i32;
    let digits = all.trim_matches('0');
    if !(1e-6..1e21).contains(&magnitude) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if point > 0 { '+' } else { '-' };
        return format!("{sign}{first}{dot}{rest}e{exponent_sign}{:02}", (point - 1).abs());
    }
    match usize::try_from(point) {
        Ok(point) if point >= digits.len() => format!("{sign}{digits:0<point$}"),
        Ok(point) if point > 0 => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
        _ => format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
    }
}
