//! Histogram points as native histograms: exponential buckets as they are, explicit bounds as custom buckets.
//!
//! Source: the OpenTelemetry metrics data model, "Prometheus compatibility", and Prometheus' native histogram
//! specification.

use crate::wire::{ExponentialBuckets, ExponentialPoint, HistogramPoint, NO_RECORDED_VALUE};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_model::stale_nan;

/// The zero threshold of a point that names none.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Empty buckets that are written out rather than skipped by a new span, which takes as much room.
const FILLED_GAP_MAX: i64 = 2;

/// Lays out buckets, ascending by index and without gaps, as spans. Runs of more than two empty buckets are skipped, shorter
/// ones written out; of empty ones at the end up to three are written, as Prometheus has it.
///
/// Linear in the buckets. Indices that leave 32 bits are cut off at the bound.
fn layout(buckets: impl IntoIterator<Item = (i64, u64)>) -> (Vec<Span>, Vec<f64>) {
    let (mut spans, mut counts) = (Vec::<Span>::new(), Vec::new());
    // The index behind the last bucket that was written, or the first index of all.
    let mut end = None;
    let mut last = 0;
    for (index, count) in buckets {
        last = index;
        let from = *end.get_or_insert(index);
        if count == 0 {
            continue;
        }
        let gap = index - from;
        let bound = |offset: i64| offset.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        match spans.last_mut() {
            Some(span) if gap <= FILLED_GAP_MAX => span.length += gap as u32 + 1,
            Some(_) => spans.push(Span { offset: bound(gap), length: 1 }),
            None if gap <= FILLED_GAP_MAX => spans.push(Span { offset: bound(from), length: gap as u32 + 1 }),
            None => spans.push(Span { offset: bound(index), length: 1 }),
        }
        if gap <= FILLED_GAP_MAX {
            counts.extend(std::iter::repeat_n(0.0, gap as usize));
        }
        counts.push(count as f64);
        end = Some(index + 1);
    }
    if let (Some(end), Some(span)) = (end, spans.last_mut()) {
        let rest = last + 1 - end;
        if rest <= FILLED_GAP_MAX + 1 {
            span.length += rest as u32;
            counts.extend(std::iter::repeat_n(0.0, rest as usize));
        }
    }
    (spans, counts)
}

/// The buckets of one side as native ones: bucket `offset + i` lies at `((offset + i) >> scale_down) + 1`, and what falls
/// together is added up. Linear in the counts.
pub fn exponential_layout(
    offset: i32,
    counts: impl IntoIterator<Item = u64>,
    scale_down: u32,
) -> (Vec<Span>, Vec<f64>) {
    let indexed = (i64::from(offset)..).map(|index| (index >> scale_down.min(63)) + 1).zip(counts);
    let mut indexed = indexed.peekable();
    layout(std::iter::from_fn(move || {
        let (index, mut count) = indexed.next()?;
        while let Some((_, more)) = indexed.next_if(|next| next.0 == index) {
            count = count.saturating_add(more);
        }
        Some((index, count))
    }))
}

/// The buckets between explicit bounds as custom ones: bucket `i` ends at bound `i`. Leading empty ones are skipped. Linear
/// in the counts.
pub fn custom_layout(counts: impl IntoIterator<Item = u64>) -> (Vec<Span>, Vec<f64>) {
    layout((0..).zip(counts).skip_while(|bucket| bucket.1 == 0))
}

/// A point with exponential buckets as a native histogram. Scales above 8 are merged down to 8.
///
/// # Errors
/// A sentence for the sender: the scale is below -4, the zero threshold is no threshold, or an index leaves 32 bits.
pub fn exponential_histogram(point: &ExponentialPoint<'_>) -> Result<FloatHistogram, String> {
    let scale = point.scale;
    if scale < EXPONENTIAL_SCHEMA_MIN {
        return Err(format!(
            "cannot convert exponential to native histogram. Scale must be >= {EXPONENTIAL_SCHEMA_MIN}, was {scale}"
        ));
    }
    let schema = scale.min(EXPONENTIAL_SCHEMA_MAX);
    let scale_down = scale.abs_diff(schema);
    let mut histogram = FloatHistogram {
        schema,
        zero_threshold: point.zero_threshold.filter(|threshold| *threshold != 0.0).unwrap_or(ZERO_THRESHOLD),
        ..FloatHistogram::default()
    };
    if point.flags & NO_RECORDED_VALUE != 0 {
        return Ok(stale(histogram));
    }
    let side = |buckets: &ExponentialBuckets<'_>| exponential_layout(buckets.offset, buckets.counts(), scale_down);
    (histogram.positive_spans, histogram.positive_buckets) = side(&point.positive);
    (histogram.negative_spans, histogram.negative_buckets) = side(&point.negative);
    histogram.zero_count = point.zero_count as f64;
    histogram.count = point.count as f64;
    histogram.sum = point.sum.unwrap_or(0.0);
    histogram.validate().map_err(|error| error.to_string())?;
    Ok(histogram)
}

/// A point with explicit bounds as a native histogram with custom buckets. A last bound of `+Inf` is the bucket behind all
/// bounds.
///
/// # Errors
/// A sentence for the sender: bounds that are not finite and ascending, or more counts than the bounds have buckets.
pub fn custom_histogram(point: &HistogramPoint<'_>) -> Result<FloatHistogram, String> {
    let mut bounds: Vec<f64> = point.explicit_bounds.doubles().collect();
    let mut counts: Vec<u64> = point.bucket_counts.iter().collect();
    if bounds.last() == Some(&f64::INFINITY) {
        bounds.pop();
        // No value lies above infinity. Such counts are still added to the last bucket, so that the total is kept.
        if counts.len() == bounds.len() + 2 {
            let above = counts.pop().unwrap_or(0);
            if let Some(last) = counts.last_mut() {
                *last = last.saturating_add(above);
            }
        }
    }
    let mut histogram = FloatHistogram { schema: CUSTOM_SCHEMA, custom_values: bounds, ..FloatHistogram::default() };
    if point.flags & NO_RECORDED_VALUE != 0 {
        return Ok(stale(histogram));
    }
    if counts.is_empty() {
        // A point without buckets has one that holds everything.
        counts = vec![0; histogram.custom_values.len()];
        counts.push(point.count);
    }
    // Buckets that are left out at the end are empty.
    if counts.len() > histogram.custom_values.len() + 1 {
        let (counts, bounds) = (counts.len(), histogram.custom_values.len());
        return Err(format!("{counts} bucket counts do not fit {bounds} explicit bounds"));
    }
    (histogram.positive_spans, histogram.positive_buckets) = custom_layout(counts);
    histogram.count = point.count as f64;
    histogram.sum = point.sum.unwrap_or(0.0);
    histogram.validate().map_err(|error| error.to_string())?;
    Ok(histogram)
}

/// The marker that ends a series, with the layout of what it ends but no buckets.
fn stale(histogram: FloatHistogram) -> FloatHistogram {
    FloatHistogram { sum: stale_nan(), count: stale_nan(), ..histogram }
}

/// Marks a histogram that is no counter, such as one of deltas.
pub(crate) fn as_gauge(mut histogram: FloatHistogram) -> FloatHistogram {
    histogram.counter_reset_hint = CounterResetHint::Gauge;
    histogram
}
