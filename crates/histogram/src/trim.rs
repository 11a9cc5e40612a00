//! Histograms cut at a value: what PromQL's `</` and `>/` leave.

use super::quantile::Spread;
use super::{Bucket, FloatHistogram};

#[derive(Clone, Copy)]
enum Keep {
    Below,
    Above,
}

impl FloatHistogram {
    /// Keeps observations up to `cutoff` (PromQL `</`).
    ///
    /// A bucket that contains the cutoff is divided with the assumptions of [`quantile`](Self::quantile); one of
    /// infinite width is kept whole if it is the far end that is infinite, else dropped. Count and sum are computed anew
    /// from the buckets (the sum from their middles) unless nothing is cut. NaN cuts everything off but a
    /// populated zero bucket, of which it makes NaN.
    pub fn trim_upper(&mut self, cutoff: f64) {
        self.trim(cutoff, Keep::Below);
    }

    /// Keeps observations from `cutoff` on (PromQL `>/`); else as [`trim_upper`](Self::trim_upper).
    pub fn trim_lower(&mut self, cutoff: f64) {
        self.trim(cutoff, Keep::Above);
    }

    fn trim(&mut self, cutoff: f64, keep: Keep) {
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let mut cut = |bucket: Bucket| {
            let whole = self.spread(bucket);
            if cutoff.is_nan() && whole.linear && bucket.count > 0.0 && !self.uses_custom_buckets() {
                // No comparison stops the interpolation in the zero bucket.
                (count, sum, changed) = (f64::NAN, f64::NAN, true);
                return f64::NAN;
            }
            let (mut kept, spread) = split(whole, bucket.count, cutoff, keep);
            if matches!(keep, Keep::Above) && cutoff < 0.0 && cutoff > bucket.lower && bucket.lower.is_infinite() {
                // Where in a bucket without lower bound a negative cutoff lies is not known.
                kept = 0.0;
            }
            changed |= kept != bucket.count;
            if kept != 0.0 {
                count += kept;
                sum += kept * spread.middle();
            }
            kept
        };
        let negative: Vec<f64> = self.iter_negative().map(&mut cut).collect();
        // Negative counts, which subtractions can leave, stay as they are and are not computed anew.
        let zero_count = if self.zero_count > 0.0 { cut(self.zero_bucket()) } else { self.zero_count };
        let positive: Vec<f64> = self.iter_positive().map(&mut cut).collect();
        if changed {
            (self.count, self.sum, self.zero_count) = (count, sum, zero_count);
            self.negative_buckets = negative;
            self.positive_buckets = positive;
            self.compact(0);
        }
    }
}

/// How many of `count` observations are kept, and the interval they lie in.
fn split(spread: Spread, count: f64, cutoff: f64, keep: Keep) -> (f64, Spread) {
    let Spread { lower, upper, .. } = spread;
    // A zero bucket without width is above a cutoff of zero.
    let (inner, outer) = match keep {
        Keep::Below => (upper <= cutoff && lower < cutoff, lower < cutoff),
        Keep::Above => (lower >= cutoff, upper > cutoff),
    };
    if inner || !outer {
        return (if inner { count } else { 0.0 }, spread);
    }
    let rest = match keep {
        Keep::Below => Spread { upper: cutoff, ..spread },
        Keep::Above => Spread { lower: cutoff, ..spread },
    };
    let below = spread.share_below(cutoff);
    let share = match keep {
        _ if lower.is_infinite() && upper.is_infinite() => 0.0,
        Keep::Below => below,
        Keep::Above => 1.0 - below,
    };
    (count * share, rest)
}

#[cfg(test)]
mod tests {
    use super::super::tests::exponential;
    use super::*;

    fn sample() -> FloatHistogram {
        FloatHistogram {
            count: 34.0,
            sum: 123.75,
            zero_count: 1.0,
            zero_threshold: 0.001,
            negative_spans: vec![super::super::Span { offset: 0, length: 2 }],
            negative_buckets: vec![1.0, 2.0],
            ..exponential(0, 0, &[2.0, 4.0, 8.0, 16.0])
        }
    }

    #[test]
    fn a_cutoff_outside_of_all_buckets_changes_nothing() {
        let mut h = sample();
        h.trim_upper(8.0);
        h.trim_lower(-2.0);
        assert_eq!(h, sample());
    }

    #[test]
    fn a_cut_bucket_is_divided_over_the_logarithm() {
        let (mut low, mut high) = (sample(), sample());
        low.trim_upper(std::f64::consts::SQRT_2);
        high.trim_lower(std::f64::consts::SQRT_2);
        assert!((low.count - 8.0).abs() < 1e-12 && (high.count - 26.0).abs() < 1e-12, "{low} {high}");
        assert!((low.sum - 0.2570938865989847).abs() < 1e-9, "{low}");
        assert!((high.sum - 116.50067065070982).abs() < 1e-9, "{high}");
    }

    #[test]
    fn a_negative_cutoff_drops_what_has_no_lower_bound() {
        let h = FloatHistogram {
            custom_values: vec![10.0],
            count: 7.0,
            sum: 60.0,
            ..exponential(super::super::CUSTOM_SCHEMA, 0, &[4.0, 3.0])
        };
        for (cutoff, count) in [(-1.0, 3.0), (f64::NEG_INFINITY, 7.0), (0.0, 7.0), (5.0, 5.0)] {
            let mut cut = h.clone();
            cut.trim_lower(cutoff);
            assert_eq!(cut.count, count, "{cutoff}");
        }
    }

    #[test]
    fn everything_is_cut_off_at_the_infinities_and_nan() {
        let mut h = sample();
        h.trim_upper(f64::NEG_INFINITY);
        assert_eq!(h, FloatHistogram { zero_threshold: 0.001, ..FloatHistogram::default() });
        let mut h = FloatHistogram { zero_count: 0.0, ..sample() };
        h.trim_upper(f64::NAN);
        assert_eq!(h, FloatHistogram { zero_threshold: 0.001, ..FloatHistogram::default() });
        let mut h = sample();
        h.trim_lower(f64::NAN);
        assert!(h.count.is_nan() && h.sum.is_nan() && h.positive_buckets.is_empty(), "{h}");
    }
}
