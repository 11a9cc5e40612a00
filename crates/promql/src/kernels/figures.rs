//! Numbers that summarise one native histogram.

use super::cells::{Cells, EMPTY, HISTOGRAM};
use super::kahan::Kahan;
use mytsdb_histogram::FloatHistogram;

/// Replaces histograms by numbers and drops the floats.
pub(crate) fn summarise(cells: &mut Cells, f: fn(&FloatHistogram) -> f64) {
    for i in 0..cells.len() {
        match cells.histogram(i).map(|h| f(h)) {
            Some(value) => cells.set(i, value),
            None => cells.kinds[i] = EMPTY,
        }
    }
    cells.histograms.clear();
    debug_assert!(!cells.kinds.contains(&HISTOGRAM));
}

/// The estimated variance: every observation counts as the middle of its bucket.
pub(crate) fn variance(h: &FloatHistogram) -> f64 {
    let mean = h.sum / h.count;
    let mut sum = Kahan::default();
    for bucket in h.iter_all().filter(|b| b.count != 0.0) {
        let middle = if h.uses_custom_buckets() {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let geometric = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -geometric } else { geometric }
        };
        let delta = middle - mean;
        sum.add(bucket.count * delta * delta);
    }
    sum.total() / h.count
}
