//! When a result is the expected one.

use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_model::{Labels, is_stale_nan};
use mytsdb_promql::{SampleValue, Series, VectorSample};
use mytsdb_promql_testkit::{HistogramItem, SequenceItem};

const TOLERANCE: f64 = 1e-6;

/// Equality up to a relative difference.
pub fn almost(a: f64, b: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (difference, sum) = ((a - b).abs(), a.abs() + b.abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn merged(spans: &[Span]) -> Vec<(i32, u32)> {
    let mut out: Vec<(i32, u32)> = Vec::new();
    let mut skip = 0;
    for span in spans {
        if span.length == 0 {
            skip += span.offset;
            continue;
        }
        let offset = span.offset + skip;
        skip = 0;
        match out.last_mut() {
            Some(last) if offset == 0 => last.1 += span.length,
            _ => out.push((offset, span.length)),
        }
    }
    out
}

fn same_histogram(expected: &HistogramItem, actual: &FloatHistogram) -> bool {
    let (mut e, mut a) = (FloatHistogram::clone(&expected.histogram), actual.clone());
    e.compact(0);
    a.compact(0);
    let lists = |x: &[f64], y: &[f64]| x.len() == y.len() && x.iter().zip(y).all(|(&x, &y)| almost(x, y));
    e.schema == a.schema
        && almost(e.count, a.count)
        && almost(e.sum, a.sum)
        && almost(e.zero_count, a.zero_count)
        && e.zero_threshold == a.zero_threshold
        && e.custom_values == a.custom_values
        && merged(&e.positive_spans) == merged(&a.positive_spans)
        && merged(&e.negative_spans) == merged(&a.negative_spans)
        && lists(&e.positive_buckets, &a.positive_buckets)
        && lists(&e.negative_buckets, &a.negative_buckets)
        && (!expected.hint_written || expected.histogram.counter_reset_hint == actual.counter_reset_hint)
}

fn same_value(expected: &SequenceItem, actual: &SampleValue) -> bool {
    match (expected, actual) {
        (SequenceItem::Float(e), SampleValue::Float(a)) => almost(*e, *a),
        (SequenceItem::Histogram(e), SampleValue::Histogram(a)) => same_histogram(e, a),
        _ => false,
    }
}

type ExpectedSeries = [(Labels, Vec<SequenceItem>)];

/// Compares an instant vector.
pub fn vector(expected: &ExpectedSeries, ordered: bool, actual: &[VectorSample]) -> Result<(), String> {
    for (position, sample) in actual.iter().enumerate() {
        let Some(at) = expected.iter().position(|(labels, _)| *labels == sample.labels) else {
            return Err(format!("unexpected series {} {:?}", sample.labels, sample.value));
        };
        if ordered && at != position {
            return Err(format!("{} is number {position}, expected number {at}", sample.labels));
        }
        let Some(value) = expected[at].1.first() else { return Err("no expected value".into()) };
        if !same_value(value, &sample.value) {
            return Err(format!("{}: expected {value:?}, got {:?}", sample.labels, sample.value));
        }
    }
    let mut missing = expected.iter().filter(|(labels, _)| !actual.iter().any(|s| s.labels == *labels));
    match missing.next() {
        Some((labels, _)) => Err(format!("missing series {labels}")),
        None if actual.len() != expected.len() => Err("a series came twice".into()),
        None => Ok(()),
    }
}

/// Compares a matrix whose values are expected at `start_ms`, `start_ms + step_ms`, ….
pub fn matrix(expected: &ExpectedSeries, start_ms: i64, step_ms: i64, actual: &[Series]) -> Result<(), String> {
    if !actual.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("series are not sorted by labels".into());
    }
    let mut found = 0;
    for (labels, items) in expected {
        let mut floats: Vec<(i64, f64)> = Vec::new();
        let mut histograms: Vec<(i64, &HistogramItem)> = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let time = start_ms + step_ms * i as i64;
            match item {
                SequenceItem::Gap => {}
                SequenceItem::Float(value) => floats.push((time, *value)),
                SequenceItem::Histogram(item) => histograms.push((time, item)),
            }
        }
        let Some(series) = actual.iter().find(|s| s.labels == *labels) else {
            return Err(format!("missing series {labels}"));
        };
        found += 1;
        let same = series.timestamps_ms.len() == floats.len()
            && floats
                .iter()
                .zip(series.timestamps_ms.iter().zip(&series.values))
                .all(|(e, a)| e.0 == *a.0 && almost(e.1, *a.1));
        let same_histograms = series.histograms.len() == histograms.len()
            && histograms
                .iter()
                .zip(series.histogram_timestamps_ms.iter().zip(&series.histograms))
                .all(|(e, a)| e.0 == *a.0 && same_histogram(e.1, a.1));
        if !same || !same_histograms {
            return Err(format!("{labels}: expected {items:?}, got {series:?}"));
        }
    }
    if found != actual.len() {
        let extra = actual.iter().find(|s| !expected.iter().any(|(labels, _)| *labels == s.labels));
        return Err(format!("unexpected series {extra:?}"));
    }
    Ok(())
}
