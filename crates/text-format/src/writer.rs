//! Lines of OpenMetrics.

use mytsdb_model::{Exemplar, FamilyMetadata, LABEL_NAME, Labels};
use std::fmt::Write;

/// Appends what is known of a metric: its type, and help and unit if there are any. A unit is written only if the name ends with
/// it, as OpenMetrics wants it.
pub fn write_family(out: &mut String, family: &str, metadata: &FamilyMetadata) {
    let FamilyMetadata { kind, help, unit } = metadata;
    let mut line = |what: &str, text: &str| {
        out.push_str(what);
        put_name(out, family, true);
        out.push(' ');
        out.push_str(text);
        out.push('\n');
    };
    line("# TYPE ", kind.as_str());
    if !unit.is_empty() && family.strip_suffix(&**unit).is_some_and(|rest| rest.ends_with('_')) {
        line("# UNIT ", unit);
    }
    if !help.is_empty() {
        let mut escaped = String::new();
        put_escaped(&mut escaped, help);
        line("# HELP ", &escaped);
    }
}

/// Appends a sample. Labels without a name of the metric make a line that nobody reads.
pub fn write_sample(out: &mut String, labels: &Labels, timestamp_ms: i64, value: f64, exemplar: Option<&Exemplar>) {
    let name = labels.metric_name();
    let mut separator = '{';
    if is_classic(name, true) {
        out.push_str(name);
    } else {
        out.push('{');
        put_quoted(out, name);
        separator = ',';
    }
    put_labels(out, separator, labels.iter().filter(|(name, _)| *name != LABEL_NAME));
    out.push(' ');
    write_float(out, value);
    out.push(' ');
    put_seconds(out, timestamp_ms);
    if let Some(exemplar) = exemplar {
        out.push_str(" # ");
        if exemplar.labels.is_empty() {
            out.push_str("{}");
        } else {
            // In an exemplar `__name__` is a label as any other.
            put_labels(out, '{', exemplar.labels.iter());
        }
        out.push(' ');
        write_float(out, exemplar.value);
        out.push(' ');
        put_seconds(out, exemplar.timestamp_ms);
    }
    out.push('\n');
}

/// Some labels, and the closing brace if there is an opening one.
fn put_labels<'a>(out: &mut String, first: char, labels: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut separator = first;
    for (name, value) in labels {
        out.push(separator);
        separator = ',';
        put_name(out, name, false);
        out.push('=');
        put_quoted(out, value);
    }
    if separator == ',' {
        out.push('}');
    }
}

/// Appends the shortest text that is read as this value again; all NaNs are `NaN`.
pub fn write_float(out: &mut String, value: f64) {
    // Writing to a string does not fail.
    let written = match value {
        v if v.is_nan() => write!(out, "NaN"),
        f64::INFINITY => write!(out, "+Inf"),
        f64::NEG_INFINITY => write!(out, "-Inf"),
        v => write!(out, "{v:?}"),
    };
    written.expect("a string takes everything");
}

fn put_seconds(out: &mut String, timestamp_ms: i64) {
    let (sign, ms) = (if timestamp_ms < 0 { "-" } else { "" }, timestamp_ms.unsigned_abs());
    write!(out, "{sign}{}.{:03}", ms / 1_000, ms % 1_000).expect("a string takes everything");
}

fn is_classic(name: &str, is_metric: bool) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (is_metric && b == b':');
    !name.is_empty() && name.bytes().all(fits) && !name.as_bytes()[0].is_ascii_digit()
}

fn put_name(out: &mut String, name: &str, is_metric: bool) {
    if is_classic(name, is_metric) { out.push_str(name) } else { put_quoted(out, name) }
}

fn put_quoted(out: &mut String, text: &str) {
    out.push('"');
    put_escaped(out, text);
    out.push('"');
}

fn put_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
}
