//! Values of number, duration and string tokens, as Go reads them.

/// A number as Go's `ParseInt(…, 0, 64)`, else as `ParseFloat`.
///
/// # Errors
/// The message that Prometheus shows.
pub fn parse_number(text: &str) -> Result<f64, String> {
    let bad =
        || format!("error parsing number: strconv.ParseFloat: parsing {}: invalid syntax", crate::token::quote(text));
    // Most numbers are a few digits.
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') && text.len() <= 15 {
        return text.parse().map_err(|_| bad());
    }
    let lower = text.to_ascii_lowercase();
    let (negative, body) = match lower.as_bytes().first() {
        Some(b'-') => (true, &lower[1..]),
        Some(b'+') => (false, &lower[1..]),
        _ => (false, lower.as_str()),
    };
    let sign = if negative { -1.0 } else { 1.0 };
    match body {
        "inf" | "infinity" => return Ok(sign * f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    let clean: String = body.chars().filter(|&c| c != '_').collect();
    let radix = |digits: &str, base| i64::from_str_radix(digits, base).ok().map(|v| sign * v as f64);
    let integer = if let Some(hex) = clean.strip_prefix("0x") {
        return radix(hex, 16).ok_or_else(bad);
    } else if let Some(octal) = clean.strip_prefix("0o") {
        radix(octal, 8)
    } else if let Some(binary) = clean.strip_prefix("0b") {
        radix(binary, 2)
    } else if clean.len() > 1 && clean.starts_with('0') {
        radix(&clean[1..], 8)
    } else {
        None
    };
    if let Some(value) = integer {
        return Ok(value);
    }
    if !clean.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(bad());
    }
    match clean.parse::<f64>() {
        Ok(value) if value.is_infinite() => Err(format!(
            "error parsing number: strconv.ParseFloat: parsing {}: value out of range",
            crate::token::quote(text)
        )),
        Ok(value) => Ok(sign * value),
        Err(_) => Err(bad()),
    }
}

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3600 * 1000),
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Milliseconds of a duration like `1h30m`: units strictly descending, each at most once.
///
/// # Errors
/// The message that Prometheus shows.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let quoted = || crate::token::quote(text);
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("empty duration string".into());
    }
    let bytes = text.as_bytes();
    let (mut at, mut next_unit, mut total) = (0, 0, 0i64);
    while at < bytes.len() {
        let digits = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        if at == digits {
            return Err(format!("not a valid duration string: {}", quoted()));
        }
        let number = &text[digits..at];
        let unit_start = at;
        while at < bytes.len() && !bytes[at].is_ascii_digit() {
            at += 1;
        }
        let unit = &text[unit_start..at];
        if unit.is_empty() {
            return Err(format!("not a valid duration string: {}", quoted()));
        }
        let Some(index) = UNITS.iter().position(|&(name, _)| name == unit) else {
            return Err(format!("unknown unit {} in duration {}", crate::token::quote(unit), quoted()));
        };
        if index < next_unit {
            return Err(format!("not a valid duration string: {}", quoted()));
        }
        next_unit = index + 1;
        if number.parse::<u64>().is_err() {
            return Err(format!("not a valid duration string: {}", quoted()));
        }
        let value: i64 = number.parse().map_err(|_| "duration out of range".to_owned())?;
        total = value
            .checked_mul(UNITS[index].1)
            .and_then(|ms| total.checked_add(ms))
            // Prometheus counts in nanoseconds.
            .filter(|&ms| ms <= i64::MAX / 1_000_000)
            .ok_or_else(|| "duration out of range".to_owned())?;
    }
    Ok(total)
}

/// The shortest text of a duration: the inverse of [`parse_duration_ms`].
pub fn format_duration_ms(duration_ms: i64) -> String {
    if duration_ms == 0 {
        return "0s".into();
    }
    let mut out = String::new();
    let mut rest = duration_ms.unsigned_abs();
    if duration_ms < 0 {
        out.push('-');
    }
    // Years, weeks and days only if nothing remains, so that `1y1d` is not shown as something unusual.
    for (name, ms) in UNITS {
        let ms = ms.unsigned_abs();
        let exact_only = matches!(name, "y" | "w");
        if exact_only && !rest.is_multiple_of(ms) {
            continue;
        }
        let count = rest / ms;
        if count > 0 {
            out.push_str(&count.to_string());
            out.push_str(name);
            rest -= count * ms;
        }
    }
    out
}

/// The bytes of a quoted string token, whose escapes the lexer has checked.
pub(crate) fn unquote(token: &str) -> Vec<u8> {
    let quote = token.as_bytes()[0];
    let body = &token[1..token.len() - 1];
    if quote == b'`' {
        // Go drops carriage returns from raw strings.
        return body.bytes().filter(|&b| b != b'\r').collect();
    }
    if !body.contains('\\') {
        return body.as_bytes().to_vec();
    }
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    let mut buffer = [0; 4];
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let escape = chars.next().unwrap_or('\\');
        let mut number = |first: u32, digits: usize, base: u32| {
            (0..digits).fold(first, |n, _| n * base + chars.next().and_then(|c| c.to_digit(base)).unwrap_or(0))
        };
        match escape {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            'x' => out.push(number(0, 2, 16) as u8),
            '0'..='7' => {
                let first = escape.to_digit(8).unwrap_or(0);
                out.push(number(first, 2, 8) as u8);
            }
            'u' | 'U' => {
                let code = number(0, if escape == 'u' { 4 } else { 8 }, 16);
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_go_reads_them() {
        for (text, expected) in
            [("0755", 493.0), ("0x1F", 31.0), ("1_000", 1000.0), (".5", 0.5), ("5.", 5.0), ("08", 8.0), ("1e3", 1e3)]
        {
            assert_eq!(parse_number(text), Ok(expected), "{text}");
        }
        assert!(parse_number("NaN").unwrap().is_nan());
        assert!(parse_number("0x").is_err());
    }

    #[test]
    fn durations_need_descending_units() {
        assert_eq!(parse_duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration_ms("4s18ms"), Ok(4018));
        assert!(parse_duration_ms("5m1h").is_err());
        assert!(parse_duration_ms("5m1m").is_err());
        assert!(parse_duration_ms("300000000y").is_err());
        assert_eq!(format_duration_ms(5_400_000), "1h30m");
        assert_eq!(format_duration_ms(7 * 86_400_000), "1w");
        assert_eq!(format_duration_ms(8 * 86_400_000), "8d");
    }

    #[test]
    fn strings_are_bytes() {
        assert_eq!(unquote(r#""a\xc5z""#), b"a\xc5z");
        assert_eq!(unquote(r"'\377\u00e9\''"), b"\xff\xc3\xa9'");
        assert_eq!(unquote(r"`\n`"), br"\n");
    }
}
