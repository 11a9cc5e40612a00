//! Floats as the texts that Go's formatting verbs give.

/// Go's `FormatFloat(value, 'f', -1, 64)`: shortest digits that round-trip, never an exponent.
pub fn format_fixed(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        value.to_string()
    }
}

/// Go's `FormatFloat(value, 'g', -1, 64)`, as `%v` and `%g` print: an exponent below 1e-4 and from 1e6 on.
pub fn format_general(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_fixed(value);
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// A float as OpenMetrics writes label values: always with a dot or an exponent.
pub fn format_open_metrics(value: f64) -> String {
    let text = format_general(value);
    if value.is_finite() && !text.contains(['.', 'e']) { text + ".0" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_go() {
        assert_eq!(format_fixed(1e21), "1000000000000000000000");
        assert_eq!(format_fixed(-0.5), "-0.5");
        assert_eq!(format_general(1e21), "1e+21");
        assert_eq!(format_general(1e-7), "1e-07");
        assert_eq!(format_general(0.0001), "0.0001");
        assert_eq!(format_general(2349209.324), "2.349209324e+06");
        assert_eq!(format_general(100000.0), "100000");
        assert_eq!(format_open_metrics(1.0), "1.0");
        assert_eq!(format_open_metrics(f64::INFINITY), "+Inf");
    }
}
