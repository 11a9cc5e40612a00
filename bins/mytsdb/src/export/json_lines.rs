//! JSON lines: one object for each series; a long series is cut into several objects.

use super::{Series, Writer};
use mytsdb_columns::Columns;
use mytsdb_engine::Engine;
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_model::{Labels, is_stale_nan};
use serde_json::{Map, Value, json};

/// Samples in a line at most.
const LINE_SAMPLES: usize = 10_000;

/// `{"metric":{...},"timestamps":[ms],"values":[...]}`, with `starts` where they are known, `histograms` and `exemplars`.
/// Numbers that JSON does not have are texts: `"NaN"`, `"+Inf"`, `"-Inf"`, and `"stale"` for a staleness marker.
pub(super) struct JsonLines;

fn number(value: f64) -> Value {
    match value {
        v if is_stale_nan(v) => json!("stale"),
        v if v.is_nan() => json!("NaN"),
        f64::INFINITY => json!("+Inf"),
        f64::NEG_INFINITY => json!("-Inf"),
        v => json!(v),
    }
}

fn numbers(values: &[f64]) -> Value {
    values.iter().map(|value| number(*value)).collect()
}

fn object(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>().into()
}

fn histogram(timestamp_ms: i64, start_ms: i64, histogram: &FloatHistogram) -> Value {
    let spans = |spans: &[Span]| spans.iter().map(|span| json!([span.offset, span.length])).collect::<Value>();
    let mut out = json!({
        "timestamp": timestamp_ms,
        "schema": histogram.schema,
        "count": number(histogram.count),
        "sum": number(histogram.sum),
        "zero_threshold": number(histogram.zero_threshold),
        "zero_count": number(histogram.zero_count),
        "positive_spans": spans(&histogram.positive_spans),
        "positive_buckets": numbers(&histogram.positive_buckets),
        "negative_spans": spans(&histogram.negative_spans),
        "negative_buckets": numbers(&histogram.negative_buckets),
    });
    if histogram.uses_custom_buckets() {
        out["custom_values"] = numbers(&histogram.custom_values);
    }
    if start_ms != 0 {
        out["start"] = json!(start_ms);
    }
    out
}

fn push_line(out: &mut String, line: Map<String, Value>) {
    out.push_str(&Value::Object(line).to_string());
    out.push('\n');
}

impl Writer for JsonLines {
    fn family<'n>(&self, _: &Engine, name: &'n str) -> &'n str {
        name
    }

    fn begin(&mut self, _: &Engine, _: &str, _: &mut String) {}

    fn series(&mut self, series: Series<'_>, out: &mut String) {
        let Series { labels, columns, exemplars } = series;
        let Columns { timestamps_ms, values, start_timestamps_ms: starts, .. } = columns;
        let mut metric = Map::new();
        metric.insert("metric".into(), object(labels));
        for from in (0..timestamps_ms.len()).step_by(LINE_SAMPLES) {
            let rows = from..timestamps_ms.len().min(from + LINE_SAMPLES);
            let mut line = metric.clone();
            line.insert("timestamps".into(), json!(timestamps_ms[rows.clone()]));
            line.insert("values".into(), numbers(&values[rows.clone()]));
            if let Some(starts) = starts.get(rows).filter(|starts| starts.iter().any(|start| *start != 0)) {
                line.insert("starts".into(), json!(starts));
            }
            push_line(out, line);
        }
        let times = &columns.histogram_timestamps_ms;
        for from in (0..times.len()).step_by(LINE_SAMPLES) {
            let rows = from..times.len().min(from + LINE_SAMPLES);
            let start = |row: usize| columns.histogram_start_timestamps_ms.get(row).copied().unwrap_or(0);
            let mut line = metric.clone();
            let list = rows.map(|row| histogram(times[row], start(row), &columns.histograms[row])).collect();
            line.insert("histograms".into(), list);
            push_line(out, line);
        }
        if !exemplars.is_empty() {
            let shown = exemplars.iter().map(|exemplar| {
                json!({
                    "timestamp": exemplar.timestamp_ms,
                    "value": number(exemplar.value),
                    "labels": object(&exemplar.labels),
                })
            });
            metric.insert("exemplars".into(), shown.collect());
            push_line(out, metric);
        }
    }

    fn end(&mut self, _: &mut String) -> Option<String> {
        None
    }
}
