//! Times and durations as requests write them, and times as answers write them.

use jiff::Timestamp;

/// The earliest time, as the Go client spells it.
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
/// The latest time, as the Go client spells it.
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";
/// The times those two stand for: far enough for any sample, and near enough that sums of two do not overflow.
pub(crate) const MIN_TIME_MS: i64 = i64::MIN / 4;
pub(crate) const MAX_TIME_MS: i64 = i64::MAX / 4;

/// Milliseconds of a time written as Unix seconds (a fraction is rounded) or in RFC 3339 (a fraction is cut).
pub(crate) fn parse_time_ms(text: &str) -> Result<i64, String> {
    let refuse = || format!("cannot parse {text:?} to a valid timestamp");
    if let Some(seconds) = parse_float(text) {
        let ms = (seconds * 1000.0).round();
        return if (MIN_TIME_MS as f64..=MAX_TIME_MS as f64).contains(&ms) { Ok(ms as i64) } else { Err(refuse()) };
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
    mytsdb_promql::parse_duration_ms(text)
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
    fn answers_write_rfc3339() {
        assert_eq!(format_rfc3339(1_435_781_451_781), "2015-07-01T20:10:51.781Z");
        assert_eq!(format_rfc3339(MAX_TIME_MS), "0001-01-01T00:00:00Z");
    }
}
