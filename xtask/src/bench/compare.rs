//! Compares the figures of this run with those of an earlier run.

use std::collections::BTreeMap;

use serde_json::Value;

use super::plot::short;

/// Endings of the names of figures that are compared. Other figures, such as load times, are not.
const COMPARED: [&str; 8] = [
    "samples_per_second",
    "cpu_seconds_per_million",
    "rss_bytes",
    "peak_rss_bytes",
    "disk_bytes",
    "restart_seconds",
    "median_ns",
    "median_ms",
];

/// A line for each figure that both have: old, new, and the ratio.
pub(super) fn table(old: &Value, new: &Value) -> String {
    let (old, new) = (figures(old), figures(new));
    let lines = new.iter().filter_map(|(name, now)| {
        let before = old.get(name)?;
        Some(format!("{name:<90} {:>10} {:>10} {:>6.2}x\n", short(*before), short(*now), now / before))
    });
    format!("{:<90} {:>10} {:>10} {:>7}\n{}", "figure", "before", "now", "ratio", lines.collect::<String>())
}

fn figures(found: &Value) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    collect(found, "", &mut figures);
    figures
}

fn collect(value: &Value, path: &str, out: &mut BTreeMap<String, f64>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_f64() {
                    Some(number) if COMPARED.contains(&name.as_str()) => {
                        out.insert(format!("{path}{name}"), number);
                    }
                    _ => collect(value, &format!("{path}{name} "), out),
                }
            }
        }
        Value::Array(items) => {
            // List items that have a query are identified by it.
            for item in items {
                if let Some(query) = item["query"].as_str() {
                    collect(item, &format!("{path}{query} "), out);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_both_have_is_compared() {
        let found = |rate: f64, ms: f64| json!({"k8s": {"mytsdb": {"samples_per_second": rate, "series": 5, "queries": [{"query": "up", "median_ms": ms}]}}});
        let table = table(&found(1000.0, 4.0), &found(1500.0, 2.0));
        let lines: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["k8s", "mytsdb", "queries", "up", "median_ms", "4.00", "2.00", "0.50x"]);
        assert_eq!(lines[1], ["k8s", "mytsdb", "samples_per_second", "1.00", "k", "1.50", "k", "1.50x"]);
        assert_eq!(lines.len(), 2);
    }
}
