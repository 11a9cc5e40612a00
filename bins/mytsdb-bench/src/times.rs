//! Distributions of times.

use hdrhistogram::Histogram;

/// A histogram of microseconds, of three digits.
pub(crate) fn microseconds() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are allowed"));
    histogram.auto(true);
    histogram
}

/// Milliseconds of microseconds.
pub(crate) fn millis(us: u64) -> f64 {
    us as f64 / 1e3
}

/// A distribution in words.
pub(crate) fn quantiles(us: &Histogram<u64>) -> String {
    let at = |q: f64| millis(us.value_at_quantile(q));
    format!(
        "{:>9.2} ms p50, {:.2} p90, {:.2} p99, {:.2} p99.9, {:.2} at most ({} times)",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        millis(us.max()),
        us.len()
    )
}

/// Points of a distribution: quantile and microseconds.
pub(crate) fn curve(us: &Histogram<u64>) -> Vec<(f64, u64)> {
    if us.is_empty() {
        return Vec::new();
    }
    let points = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1.0];
    points.map(|q| (q, us.value_at_quantile(q))).into()
}

/// A value at a quantile of a list, which is sorted by it: the highest one if there are too few to tell.
pub(crate) fn at_quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let place = (quantile * values.len() as f64).ceil() as usize;
    values.get(place.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values = vec![5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(at_quantile(&mut values, 0.5), 3.0);
        assert_eq!(at_quantile(&mut values, 0.99), 5.0);
        assert_eq!(at_quantile(&mut values, 0.0), 1.0);
        assert!(at_quantile(&mut [], 0.5).is_nan());
        assert_eq!(at_quantile(&mut [7.0], 0.99), 7.0);
    }
}
