//! Classic histograms to native ones with custom buckets.

use crate::load::{LoadedSample, LoadedSeries};
use mytsdb_histogram::{CUSTOM_SCHEMA, FloatHistogram, Span};
use mytsdb_model::{LABEL_NAME, Labels, LabelsBuilder};
use mytsdb_promql::{SampleValue, StorageError};
use mytsdb_promql_syntax::parse_number;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The classic series of one histogram at one time.
#[derive(Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// What those of `series` that belong to classic histograms give as native ones.
pub(super) fn convert(series: &[LoadedSeries]) -> Result<Vec<LoadedSeries>, StorageError> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for LoadedSeries { labels, samples } in series {
        let name = labels.metric_name();
        let Some((base, kind)) = ["_bucket", "_count", "_sum"].iter().find_map(|s| Some((name.strip_suffix(s)?, *s)))
        else {
            continue;
        };
        let bound = labels.get("le").and_then(|le| parse_number(le).ok()).filter(|bound| !bound.is_nan());
        if kind == "_bucket" && bound.is_none() {
            continue;
        }
        let mut target = LabelsBuilder::from_labels(labels);
        target.set(LABEL_NAME, base).remove("le");
        let histogram = found.entry(target.build()).or_default();
        for sample in samples {
            let SampleValue::Float(value) = sample.value else { continue };
            let at = histogram.entry(sample.timestamp_ms).or_default();
            match (kind, bound) {
                ("_bucket", Some(bound)) => at.buckets.push((bound, value)),
                ("_count", _) => at.count = Some(value),
                _ => at.sum = value,
            }
        }
    }
    let mut converted = Vec::new();
    for (labels, times) in found {
        let mut samples = Vec::new();
        for (timestamp_ms, classic) in times {
            let histogram =
                native(classic).map_err(|e| StorageError::new(format!("{labels} at {timestamp_ms} ms: {e}")))?;
            let value = SampleValue::Histogram(Arc::new(histogram));
            samples.push(LoadedSample { timestamp_ms, value, start_ms: 0 });
        }
        converted.push(LoadedSeries { labels, samples });
    }
    Ok(converted)
}

fn native(mut classic: Classic) -> Result<FloatHistogram, &'static str> {
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // One bound may be written in several ways.
    classic.buckets.dedup_by(|later, first| later.0 == first.0);
    let highest = classic.buckets.last().map(|b| b.1);
    let count = classic.count.or(highest).unwrap_or(0.0);
    if classic.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
        classic.buckets.push((f64::INFINITY, count));
    }
    let mut buckets = Vec::with_capacity(classic.buckets.len());
    let mut before = 0.0;
    for &(_, cumulative) in &classic.buckets {
        if cumulative < before {
            return Err("bucket counts are not cumulative");
        }
        buckets.push(cumulative - before);
        before = cumulative;
    }
    if before != count {
        return Err("count differs from that of the last bucket");
    }
    let integral = count.fract() == 0.0 && buckets.iter().all(|b| b.fract() == 0.0);
    let mut histogram = FloatHistogram {
        schema: CUSTOM_SCHEMA,
        count,
        sum: classic.sum,
        positive_spans: vec![Span { offset: 0, length: buckets.len() as u32 }],
        positive_buckets: buckets,
        custom_values: classic.buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect(),
        ..FloatHistogram::default()
    };
    histogram.compact(if integral { 2 } else { 0 });
    Ok(histogram)
}
