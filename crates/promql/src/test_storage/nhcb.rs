//! Classic histograms to native ones with custom buckets.

use super::TestStorage;
use crate::error::StorageError;
use crate::literal::parse_number;
use mytsdb_codec::{CUSTOM_SCHEMA, FloatHistogram, Span};
use mytsdb_model::{LABEL_NAME, Labels, LabelsBuilder};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The classic series of one histogram at one time.
#[derive(Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// Converts those of `series` that belong to classic histograms, and appends the results.
pub(super) fn convert(storage: &mut TestStorage, series: &[Labels]) -> Result<(), StorageError> {
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for labels in series {
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
        let Some(series) = storage.series.get(labels) else { continue };
        for (&time, &value) in series.columns.timestamps_ms.iter().zip(&series.columns.values) {
            let at = histogram.entry(time).or_default();
            match (kind, bound) {
                ("_bucket", Some(bound)) => at.buckets.push((bound, value)),
                ("_count", _) => at.count = Some(value),
                _ => at.sum = value,
            }
        }
    }
    for (labels, times) in found {
        for (time, classic) in times {
            let histogram = native(classic).map_err(|e| StorageError::new(format!("{labels} at {time} ms: {e}")))?;
            storage.append_histogram(&labels, time, &Arc::new(histogram), 0)?;
        }
    }
    Ok(())
}

fn native(mut classic: Classic) -> Result<FloatHistogram, &'static str> {
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
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
