//! The report: one HTML file with everything in it.
#![expect(clippy::format_push_string, reason = "a page is written once; what reads best is cheapest")]

use serde_json::Value;

use super::page::versions;
use super::plot::{Axis, Line, bars, escape, lines};
use super::table::Table;
use super::tables;

const STYLE: &str = "body{font:14px sans-serif;margin:2em;max-width:1200px}table{border-collapse:collapse}\
    td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}\
    td.best{font-weight:bold}svg{border:1px solid #ddd;margin:4px}pre{overflow-x:auto}";

/// The report of what was found.
pub(super) fn page(found: &Value) -> String {
    let text = |name: &str| escape(found[name].as_str().unwrap_or_default());
    let mut out = format!("<!doctype html><meta charset='utf-8'><title>mytsdb bench</title><style>{STYLE}</style>");
    out += &format!("<h1>mytsdb bench</h1><p>{}<br>{}</p>", text("machine"), text("commit"));
    for part in ["ingest", "simulate", "query", "disk", "k8s", "core"] {
        if found[part].is_null() {
            continue;
        }
        out += &format!("<h2>{part}</h2>");
        for line in versions(&found[part]) {
            out += &format!("{}<br>", escape(&line));
        }
        out += &tables::of(part, &found[part]).iter().map(Table::html).collect::<String>();
        out += &match part {
            "ingest" => {
                let sizes = found[part]["sizes"].as_object().into_iter().flatten();
                sizes.filter_map(|(size, targets)| Some(plots(size, targets.as_object()?))).collect::<String>()
            }
            "disk" | "k8s" => found[part].as_object().map_or_else(String::new, |targets| plots(part, targets)),
            _ => String::new(),
        };
    }
    out
}

type Targets = serde_json::Map<String, Value>;

fn plots(of: &str, targets: &Targets) -> String {
    let each = |points: &dyn Fn(&Value) -> Vec<(f64, f64)>| -> Vec<Line> {
        targets.iter().map(|(name, report)| Line { name: name.clone(), points: points(report) }).collect()
    };
    let distribution = |key: &'static str| {
        move |report: &Value| -> Vec<(f64, f64)> {
            let points = report[key].as_array().into_iter().flatten();
            points.filter_map(|pair| Some((pair[1].as_f64()? / 1e3, pair[0].as_f64()?))).collect()
        }
    };
    let ticks = |report: &Value| -> Vec<Vec<Option<f64>>> {
        let ticks = report["ticks"].as_array().into_iter().flatten();
        ticks.map(|tick| (0..4).map(|column| tick[column].as_f64()).collect()).collect()
    };
    let throughput = |report: &Value| -> Vec<(f64, f64)> {
        let ticks = ticks(report);
        let between = ticks.windows(2).filter_map(|pair| {
            let (from_s, to_s) = (pair[0][0]?, pair[1][0]?);
            (to_s > from_s).then_some((to_s, (pair[1][1]? - pair[0][1]?) / (to_s - from_s)))
        });
        between.collect()
    };
    let memory = |report: &Value| -> Vec<(f64, f64)> {
        ticks(report).iter().filter_map(|tick| Some((tick[0]?, tick[3]? / 1e6))).collect()
    };
    let bar = |figure: &dyn Fn(&Value) -> Option<f64>| -> Vec<(String, f64)> {
        targets.iter().filter_map(|(name, report)| Some((name.clone(), figure(report)?))).collect()
    };
    let per_sample = |report: &Value| Some(report["disk_bytes"].as_f64()? / report["acknowledged_samples"].as_f64()?);
    let figure = |key: &'static str| move |report: &Value| report[key].as_f64();
    let title = |what: &str| format!("{of}: {what}");
    [
        lines(&title("share of acks / ms"), Axis::Logarithmic, &each(&distribution("ack_us"))),
        lines(&title("share of hot answers / ms"), Axis::Logarithmic, &each(&distribution("hot_us"))),
        lines(&title("share of cold answers / ms"), Axis::Logarithmic, &each(&distribution("cold_us"))),
        lines(&title("samples a second / s"), Axis::Linear, &each(&throughput)),
        lines(&title("memory in MB / s"), Axis::Linear, &each(&memory)),
        bars(&title("bytes a sample on disk, log and blocks"), &bar(&per_sample)),
        bars(&title("bytes a sample after compaction"), &bar(&figure("compacted_bytes_per_sample"))),
        bars(&title("CPU seconds a million samples"), &bar(&figure("cpu_seconds_per_million"))),
        bars(&title("memory at the end, bytes a series"), &bar(&figure("rss_bytes_per_series"))),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_has_a_table_and_plots_and_needs_nothing_else() {
        let report = json!({
            "version": "1 <beta>", "samples_per_second": 1000.0, "acknowledged_samples": 10, "disk_bytes": 20,
            "ack_us": [[0.0, 100], [0.5, 200], [1.0, 900]], "ticks": [[0.0, 0, 0.0, 1], [1.0, 10, 0.1, 2]],
        });
        let html = page(&json!({"machine": "m", "commit": "c", "k8s": {"mytsdb": report}}));
        assert!(html.contains("&lt;beta&gt;") && html.contains("polyline") && html.contains("1.00 k"), "{html}");
        assert!(!html.contains("<script") && !html.contains("src=") && !html.contains("href="));
    }
}
