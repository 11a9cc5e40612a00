//! Times and durations as requests write them, and times as answers write them.

use jiff::Timestamp;

/// The earliest time, as the Go client spells it.
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
/// The latest time, as the Go client spells it.
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";
/// The times that these two stand for: beyond any sample, and small enough that a sum of two does not overflow.
pub(crate) const MIN_TIME_MS: i64 = i64::MIN / 4;
pub(crate) const MAX_TIME_MS: i64 = i64::MAX / 4;

/// Milliseconds of a time written as Unix seconds (a fraction is rounded) or in RFC 3339 (a fraction is cut).
pub(crate) fn parse_time_ms(text: &str) -> Result<i64, String> {
    let refuse = || format!("cannot parse {text:?} to a valid timestamp");
    if let Some(seconds) = parse_float(text) {
        return seconds_to_ms(seconds).ok_or_else(refuse);
    }
    match text {
        MIN_TIME => return Ok(MIN_TIME_MS),
        MAX_TIME => return Ok(MAX_TIME_MS),
        _ => {}
    }
    if !is_rfc3339_shaped(text.as_bytes()) {
        return Err(refuse());
    }
    let time: Timestamp = text.parse().map_err(|_| refuse())?;
    Ok(time.as_nanosecond().div_euclid(1_000_000) as i64)
}

/// Seconds as Prometheus reads them: whole seconds, and a fraction that is rounded to milliseconds by itself.
fn seconds_to_ms(seconds: f64) -> Option<i64> {
    let (whole, fraction) = (seconds.trunc(), seconds.fract());
    if !(MIN_TIME_MS as f64..=MAX_TIME_MS as f64).contains(&(whole * 1000.0)) {
        return None;
    }
    let ns = ((fraction * 1000.0).round() / 1000.0 * 1e9) as i64;
    Some(whole as i64 * 1000 + ns.div_euclid(1_000_000))
}

/// A duration as Go prints it, for texts of errors: `1h0m1.5s`, `-2ms`, `0s`.
pub(crate) fn format_go_duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let decimal = |n: u64, unit: u64| {
        let fraction = format!("{:0width$}", n % unit, width = unit.ilog10() as usize);
        let fraction = fraction.trim_end_matches('0');
        if unit == 1 || fraction.is_empty() { (n / unit).to_string() } else { format!("{}.{fraction}", n / unit) }
    };
    let text = match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(ns, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(ns, 1_000_000)),
        _ => {
            let (minutes, rest) = (ns / 60_000_000_000, ns % 60_000_000_000);
            let seconds = decimal(rest, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// Nanoseconds of a duration written as seconds or like `1h30m`.
pub(crate) fn parse_duration_ns(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text) {
        let ns = seconds * 1e9;
        // 2^63 as a float; NaN and infinities were not read as floats.
        if ns.abs() >= 9_223_372_036_854_775_808.0 {
            return Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        }
        return Ok(ns as i64);
    }
    mytsdb_promql_syntax::parse_duration_ms(text)
        .ok()
        .and_then(|ms| ms.checked_mul(1_000_000))
        .ok_or_else(|| format!("cannot parse {text:?} to a valid duration"))
}

/// A finite decimal number.
fn parse_float(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|v| v.is_finite())
}

/// `2006-01-02T15:04:05[.999]Z|±07:00` with any digits; the parser behind it would take more spellings than that.
fn is_rfc3339_shaped(text: &[u8]) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let same = |&b: &u8, &shape: &u8| if shape == b'0' { b.is_ascii_digit() } else { b == shape };
    let Some((date_time, rest)) = text.split_at_checked(SHAPE.len()) else { return false };
    if !date_time.iter().zip(SHAPE).all(|(b, shape)| same(b, shape)) {
        return false;
    }
    let zone = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 || digits > 9 {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    match zone {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// RFC 3339 with as many decimals as needed; the zero time if it cannot be written.
pub(crate) fn format_rfc3339(timestamp_ms: i64) -> String {
    Timestamp::from_millisecond(timestamp_ms).map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

/// The wall clock in ms since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc3339() {
        for (text, expected) in [
            ("0", 0),
            ("1435781451", 1_435_781_451_000),
            ("1435781451.7814", 1_435_781_451_781),
            ("1435781451.7816", 1_435_781_451_782),
            ("-1.5", -1500),
            ("1e3", 1_000_000),
            ("1700000000.0005", 1_700_000_000_000),
            ("1700000000.0015", 1_700_000_000_001),
            ("1543578564.705", 1_543_578_564_705),
            ("-1700000000.0005", -1_700_000_000_000),
            ("+300", 300_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T20:10:51.781999999Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51+02:00", 1_435_781_451_000),
            ("1969-12-31T23:59:59.9995Z", -1),
            (MIN_TIME, MIN_TIME_MS),
            (MAX_TIME, MAX_TIME_MS),
        ] {
            assert_eq!(parse_time_ms(text), Ok(expected), "{text}");
        }
        for text in
            ["", "now", "NaN", "inf", "1e300", "2015-07-01", "2015-07-01 20:10:51Z", "2015-07-01T20:10:51", "1h"]
        {
            assert_eq!(parse_time_ms(text), Err(format!("cannot parse {text:?} to a valid timestamp")));
        }
    }

    #[test]
    fn durations_are_seconds_or_units() {
        for (text, expected) in [
            ("0", 0),
            ("15", 15_000_000_000),
            ("0.5", 500_000_000),
            ("-1", -1_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1d2ms", 86_400_002_000_000),
        ] {
            assert_eq!(parse_duration_ns(text), Ok(expected), "{text}");
        }
        for text in ["", "1x", "30m1h", "1m1m", "NaN"] {
            assert_eq!(parse_duration_ns(text), Err(format!("cannot parse {text:?} to a valid duration")));
        }
        assert_eq!(
            parse_duration_ns("1e10"),
            Err("cannot parse \"1e10\" to a valid duration. It overflows int64".to_owned())
        );
    }

    #[test]
    fn every_millisecond_is_read_back() {
        for ms in 0..1000 {
            let expected = 1_700_000_000_000 + ms;
            assert_eq!(parse_time_ms(&format!("1700000000.{ms:03}")), Ok(expected));
            assert_eq!(parse_time_ms(&format!("-1700000000.{ms:03}")), Ok(-expected));
        }
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        for (ns, text) in [
            (0, "0s"),
            (-1_000_000_000, "-1s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (-2_000_000, "-2ms"),
            (90_500_000_000, "1m30.5s"),
            (3_601_000_000_000, "1h0m1s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format_go_duration(ns), text);
        }
    }

    #[test]
    fn answers_write_rfc3339() {
        assert_eq!(format_rfc3339(1_435_781_451_781), "2015-07-01T20:10:51.781Z");
        assert_eq!(format_rfc3339(MAX_TIME_MS), "0001-01-01T00:00:00Z");
    }
}
