//! The Prometheus text exposition format, version 0.0.4.

use crate::Family;
use std::fmt::Write;

/// Appends `families` to `out`; serve it as `text/plain; version=0.0.4; charset=utf-8`.
pub fn write_text(families: &[Family], out: &mut String) {
    for family in families {
        out.push_str("# HELP ");
        out.push_str(&family.name);
        out.push(' ');
        escape(&family.help, false, out);
        out.push_str("\n# TYPE ");
        out.push_str(&family.name);
        out.push(' ');
        out.push_str(family.kind.as_str());
        out.push('\n');
        for sample in &family.samples {
            out.push_str(&family.name);
            out.push_str(sample.suffix);
            let mut separator = '{';
            for (name, value) in &sample.labels {
                out.push(separator);
                separator = ',';
                out.push_str(name);
                out.push_str("=\"");
                escape(value, true, out);
                out.push('"');
            }
            if separator == ',' {
                out.push('}');
            }
            out.push(' ');
            write_value(sample.value, out);
            out.push('\n');
        }
    }
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

fn write_value(value: f64, out: &mut String) {
    let magnitude = value.abs();
    let written = if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
    written.expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Description, Registry};

    #[test]
    fn text_is_escaped_and_ordered() {
        const C: Description = Description::new("mytsdb_c_total", "Back\\slash and\nline \"quoted\".");
        const H: Description = Description::new("mytsdb_h_seconds", "H.").with_unit("seconds");
        let registry = Registry::new();
        registry.counter(&C, &[("b", "x\"\\\ny"), ("a", "ü")]).add(12);
        let h = registry.histogram(&H, &[0.5, 10.0], &[("k", "v")]);
        h.observe(0.25);
        h.observe(100.0);
        let mut out = String::new();
        write_text(&registry.gather(), &mut out);
        let want = "# HELP mytsdb_c_total Back\\\\slash and\\nline \"quoted\".\n\
            # TYPE mytsdb_c_total counter\n\
            mytsdb_c_total{a=\"ü\",b=\"x\\\"\\\\\\ny\"} 12\n\
            # HELP mytsdb_h_seconds H.\n\
            # TYPE mytsdb_h_seconds histogram\n\
            mytsdb_h_seconds_bucket{k=\"v\",le=\"0.5\"} 1\n\
            mytsdb_h_seconds_bucket{k=\"v\",le=\"10\"} 1\n\
            mytsdb_h_seconds_bucket{k=\"v\",le=\"+Inf\"} 2\n\
            mytsdb_h_seconds_sum{k=\"v\"} 100.25\n\
            mytsdb_h_seconds_count{k=\"v\"} 2\n";
        assert_eq!(out, want);
    }

    #[test]
    fn values_are_short_and_exact() {
        let text = |v| {
            let mut out = String::new();
            write_value(v, &mut out);
            out
        };
        assert_eq!(
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.5, 1e300, 1e-9, 123456789.0].map(text),
            ["NaN", "+Inf", "-Inf", "0", "-1.5", "1e300", "1e-9", "123456789"]
        );
    }
}
