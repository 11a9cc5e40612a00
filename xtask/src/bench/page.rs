//! The page of `docs/perf` that is written from what was found.
#![expect(clippy::format_push_string, reason = "a page is written once; what reads best is cheapest")]

use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Map, Value};

use super::plot::short;
use crate::workspace::root;

/// Relative to the root.
const PAGE: &str = "docs/perf/k8s.md";

/// Figures of a report: what they are called, and where they are.
const FIGURES: [(&str, &str); 7] = [
    ("samples acknowledged a second", "samples_per_second"),
    ("server CPU seconds a million samples, queries included", "cpu_seconds_per_million"),
    ("memory at the end, bytes", "rss_bytes"),
    ("memory at its peak, bytes", "peak_rss_bytes"),
    ("bytes on disk, log and blocks", "disk_bytes"),
    ("samples acknowledged in all", "acknowledged_samples"),
    ("ready again after a kill -9, s", "restart_seconds"),
];

/// Quantiles of distributions.
const TIMES: [(&str, &str); 3] =
    [("acknowledged after, ms", "ack_us"), ("hot answers after, ms", "hot_us"), ("cold answers after, ms", "cold_us")];

/// Rows of the table: a name, and a cell for each target.
pub(super) fn rows(targets: &Map<String, Value>) -> Vec<(String, Vec<String>)> {
    let cells = |of: &dyn Fn(&Value) -> Option<f64>| -> Vec<String> {
        targets.values().map(|report| of(report).map_or_else(|| "-".to_owned(), short)).collect()
    };
    let mut rows: Vec<(String, Vec<String>)> =
        FIGURES.iter().map(|(name, key)| ((*name).to_owned(), cells(&|report| report[*key].as_f64()))).collect();
    for (name, key) in TIMES {
        for (quantile, shown) in [(0.5, "median"), (0.99, "99 %")] {
            let at = |report: &Value| {
                let pair = report[key].as_array()?.iter().find(|pair| pair[0].as_f64() == Some(quantile))?;
                Some(pair[1].as_f64()? / 1e3)
            };
            rows.push((format!("{name}, {shown}"), cells(&at)));
        }
    }
    let agree = |report: &Value| {
        let queries = report["queries"].as_array()?;
        (!queries.is_empty()).then(|| queries.iter().filter(|query| query["agrees"] == true).count() as f64)
    };
    rows.push(("answers that are the model's, of 49".to_owned(), cells(&agree)));
    rows
}

/// Writes the page, if the workload was run.
pub(super) fn write(found: &Value) -> anyhow::Result<Option<PathBuf>> {
    let Some(targets) = found["k8s"].as_object() else { return Ok(None) };
    let path = root().join(PAGE);
    std::fs::write(&path, page(found, targets)).with_context(|| path.display().to_string())?;
    Ok(Some(path))
}

fn page(found: &Value, targets: &Map<String, Value>) -> String {
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    let mut out = format!(
        "# A Kubernetes cluster, written and asked at once\n\n`cargo xtask bench k8s` writes this page. The same OTLP/HTTP requests went to each; \
         each wrote with its own durability, which for mytsdb is a sync before the ack and for the others none. Where mytsdb is not the\n\
         first, the table says so. A peer's answers differ from the model's where it means something else by a function.\n\n\
         Machine: {}. Commit: {}.\n\n",
        text("machine"),
        text("commit")
    );
    for (name, report) in targets {
        let field = |key: &str| report[key].as_str().unwrap_or_default();
        out += &format!("- {name}: {}; {}\n", field("version"), field("setting"));
    }
    out += &format!("\n| figure | {} |\n|---|{}\n", names(targets), "--:|".repeat(targets.len()));
    for (name, cells) in rows(targets) {
        out += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    out += &format!("\n| query, median ms under load | {} |\n|---|{}\n", names(targets), "--:|".repeat(targets.len()));
    let first = targets.values().next().and_then(|report| report["queries"].as_array());
    for (number, query) in first.into_iter().flatten().enumerate() {
        let cell =
            |report: &Value| report["queries"][number]["median_ms"].as_f64().map_or_else(|| "-".to_owned(), short);
        let cells: Vec<String> = targets.values().map(cell).collect();
        out += &format!("| `{}` | {} |\n", query["query"].as_str().unwrap_or_default(), cells.join(" | "));
    }
    out
}

fn names(targets: &Map<String, Value>) -> String {
    targets.keys().cloned().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_target_has_a_cell_in_every_row() {
        let report = json!({
            "samples_per_second": 5.0, "ack_us": [[0.5, 1500]], "queries": [{"query": "a | b", "median_ms": 2.5, "agrees": true}],
        });
        let found = json!({"machine": "m", "commit": "c", "k8s": {"a": report, "b": {}}});
        let page = page(&found, found["k8s"].as_object().unwrap());
        assert!(page.contains("| samples acknowledged a second | 5.00 | - |"), "{page}");
        assert!(page.contains("| acknowledged after, ms, median | 1.50 | - |"), "{page}");
        assert!(page.contains("| answers that are the model's, of 49 | 1.00 | - |"), "{page}");
        assert!(page.contains("| `a | b` | 2.50 | - |"), "{page}");
    }
}
