//! JSON lines: what is written is read again, and what VictoriaMetrics writes too.

use mytsdb_columns::Columns;
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{Exemplar, Labels, is_stale_nan, stale_nan};
use mytsdb_testkit::{Random, seed};
use mytsdb_text_format::JsonLine;
use std::sync::Arc;

fn written(line: &JsonLine) -> String {
    let mut out = String::new();
    line.write(&mut out);
    out
}

/// Bits of every kind of float: NaN has none to compare by.
fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| if value.is_nan() && !is_stale_nan(*value) { 1 } else { value.to_bits() }).collect()
}

#[test]
fn what_is_written_is_read_again_to_the_bit() {
    let mut random = Random::new(seed(20_261_129));
    let special = [0.0, -0.0, f64::NAN, stale_nan(), f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, 0.1];
    for _ in 0..500 {
        let mut columns = Columns::default();
        for i in 0..random.below(20) as i64 {
            let any = f64::from_bits(random.bits());
            let value = if random.below(3) == 0 { special[random.index(9)] } else { any };
            columns.push_float_since(i * 1000 - 5, if i % 2 == 0 { 0 } else { i }, value);
        }
        let histogram = FloatHistogram {
            counter_reset_hint: CounterResetHint::Gauge,
            schema: 3,
            count: 6.5,
            sum: -0.1,
            zero_threshold: 1e-128,
            zero_count: 0.5,
            positive_spans: vec![Span { offset: -3, length: 1 }, Span { offset: 2, length: 1 }],
            positive_buckets: vec![1.0, 2.0],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            negative_buckets: vec![3.0],
            ..FloatHistogram::default()
        };
        let custom = FloatHistogram {
            schema: CUSTOM_SCHEMA,
            count: 2.0,
            sum: f64::NAN,
            positive_spans: vec![Span { offset: 0, length: 2 }],
            positive_buckets: vec![1.0, 1.0],
            custom_values: vec![0.1],
            ..FloatHistogram::default()
        };
        columns.push_histogram_since(7, 3, Arc::new(histogram.clone()));
        columns.push_histogram_since(9, 0, Arc::new(custom));
        let labels = Labels::from_pairs([("__name__", "m\u{e9}"), ("quote\"", "back\\slash\nline")]);
        let exemplar = Exemplar { timestamp_ms: -1, value: 0.25, labels: Labels::from_pairs([("trace_id", "ab")]) };
        let line = JsonLine { labels, columns, exemplars: vec![exemplar] };
        let text = written(&line);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let again = JsonLine::parse(text.trim_end().as_bytes()).unwrap();
        assert_eq!(again.labels, line.labels);
        assert_eq!(again.columns.timestamps_ms, line.columns.timestamps_ms);
        assert_eq!(bits(&again.columns.values), bits(&line.columns.values));
        assert_eq!(*again.columns.histograms[0], histogram);
        assert_eq!(again.columns.histogram_timestamps_ms, [7, 9]);
        assert_eq!(again.exemplars, line.exemplars);
        assert_eq!(written(&again), text);
    }
}

#[test]
fn lines_of_victoria_metrics_are_read() {
    let line = br#"{"metric":{"__name__":"up","job":"a"},"values":[1,null,"Infinity",-0.5],"timestamps":[1549891472010,1549891487724,1549891503438,1549891503439]}"#;
    let read = JsonLine::parse(line).unwrap();
    assert_eq!(read.labels, Labels::from_pairs([("__name__", "up"), ("job", "a")]));
    assert_eq!(read.columns.timestamps_ms.len(), 4);
    assert_eq!((read.columns.values[0], read.columns.values[2]), (1.0, f64::INFINITY));
    assert!(read.columns.values[1].is_nan());
}

#[test]
fn what_is_no_line_is_said() {
    for (line, part) in [
        ("", "EOF"),
        ("[]", "expected"),
        ("{\"metric\":{\"a\":1}}", "string"),
        ("{\"metric\":{\"a\":\"1\",\"a\":\"2\"}}", "there already"),
        ("{\"metric\":{\"\":\"1\"}}", "without a name"),
        ("{\"metric\":{},\"timestamps\":[1],\"values\":[]}", "1 timestamps and 0 values"),
        ("{\"metric\":{},\"timestamps\":[1],\"values\":[1],\"starts\":[1,2]}", "2 starts"),
        ("{\"metric\":{},\"timestamps\":[1.5],\"values\":[1]}", "i64"),
        ("{\"metric\":{},\"timestamps\":[1],\"values\":[\"one\"]}", "\"+Inf\""),
        ("{\"metric\":{},\"timestamps\":[1],\"values\":[1e999]}", "number out of range"),
        ("{\"metrics\":{}}", "unknown field"),
        ("{\"metric\":{}} x", "trailing"),
        ("{\"metric\":{},\"histograms\":[{\"timestamp\":1,\"schema\":99,\"count\":1,\"sum\":1}]}", "histogram 0: "),
    ] {
        let error = JsonLine::parse(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{line}: {error}");
    }
}
