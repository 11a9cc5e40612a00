//! The report: one HTML file with everything in it.
#![expect(clippy::format_push_string, reason = "a page is written once; what reads best is cheapest")]

use serde_json::Value;

use super::page::rows;
use super::plot::{Axis, Line, bars, escape, lines, short};

const STYLE: &str = "body{font:14px sans-serif;margin:2em;max-width:1200px}table{border-collapse:collapse}\
    td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}\
    svg{border:1px solid #ddd;margin:4px}pre{overflow-x:auto}";

/// The report of what was found.
pub(super) fn page(found: &Value) -> String {
    let text = |name: &str| escape(found[name].as_str().unwrap_or_default());
    let mut out = format!("<!doctype html><meta charset='utf-8'><title>mytsdb bench</title><style>{STYLE}</style>");
    out += &format!("<h1>mytsdb bench</h1><p>{}<br>{}</p>", text("machine"), text("commit"));
    for part in ["k8s", "disk"] {
        if let Some(targets) = found[part].as_object() {
            out += &format!("<h2>{part}</h2>{}{}", table(targets), plots(targets));
        }
    }
    for part in ["ingest", "query"] {
        if let Some(printed) = found[part]["text"].as_str() {
            out += &format!("<h2>{part}</h2><pre>{}</pre>", escape(printed));
        }
    }
    if let Some(suites) = found["core"].as_object() {
        out += "<h2>core</h2><table><tr><th>bench<th>median ns<th>low<th>high";
        for (name, figures) in suites {
            let number = |key: &str| figures[key].as_f64().map_or_else(String::new, short);
            out += &format!(
                "<tr><td>{}<td>{}<td>{}<td>{}",
                escape(name),
                number("median_ns"),
                number("low_ns"),
                number("high_ns")
            );
        }
        out += "</table>";
    }
    out
}

type Targets = serde_json::Map<String, Value>;

fn table(targets: &Targets) -> String {
    let mut out = "<table><tr><th>".to_owned();
    for (name, report) in targets {
        out += &format!("<th title='{}'>{}", escape(report["version"].as_str().unwrap_or_default()), escape(name));
    }
    for (name, cells) in rows(targets) {
        out += &format!("<tr><td>{}", escape(&name));
        for cell in cells {
            out += &format!("<td>{cell}");
        }
    }
    out + "</table>"
}

fn plots(targets: &Targets) -> String {
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
    [
        lines("share of acks / ms", Axis::Logarithmic, &each(&distribution("ack_us"))),
        lines("share of hot answers / ms", Axis::Logarithmic, &each(&distribution("hot_us"))),
        lines("share of cold answers / ms", Axis::Logarithmic, &each(&distribution("cold_us"))),
        lines("samples a second / s", Axis::Linear, &each(&throughput)),
        lines("memory in MB / s", Axis::Linear, &each(&memory)),
        bars("bytes a sample on disk, log and blocks", &bar(&per_sample)),
        bars("CPU seconds a million samples, queries included", &bar(&|r| r["cpu_seconds_per_million"].as_f64())),
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
