//! UCUM units as words: `By/s` is `bytes` per `second`.

/// Words for the part before the slash. `TBy` and `TiBy` follow Prometheus, irregular spelling included.
fn main_word(unit: &str) -> &str {
    match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        other => other,
    }
}

/// Words for the part behind the slash.
fn per_word(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

/// The words of `unit` before and behind its first slash, the latter with `per_` in front; empty where there is none.
/// Parts in braces are annotations and yield nothing.
pub(crate) fn words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let part = |text: &str| {
        let text = text.trim();
        (!text.is_empty() && !text.contains(['{', '}'])).then(|| text.to_owned())
    };
    let main = part(main).map(|m| main_word(&m).to_owned()).unwrap_or_default();
    let per = part(per).map(|p| format!("per_{}", per_word(&p))).unwrap_or_default();
    (main, per)
}

/// Turns every character but ASCII letters, digits and `:` into `_`, and runs of `_` into one; drops a leading `_`.
pub(crate) fn clean(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if c.is_ascii_alphanumeric() || c == ':' {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    if out.starts_with('_') {
        out.remove(0);
    }
    out
}

/// The unit as metadata shows it: `bytes_per_second`.
pub(crate) fn unit_name(unit: &str, utf8_allowed: bool) -> String {
    let (main, per) = words(unit);
    let (main, per) = if utf8_allowed { (main, per) } else { (clean(&main), clean(&per)) };
    let joined = if main.is_empty() || per.is_empty() { main + &per } else { format!("{main}_{per}") };
    let text = joined.strip_prefix('_').unwrap_or(&joined);
    text.strip_suffix('_').unwrap_or(text).to_owned()
}
