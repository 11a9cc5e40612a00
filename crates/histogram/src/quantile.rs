//! Quantiles and fractions, with values assumed to be spread inside buckets.

use super::logarithm::{exp2, log2};
use super::{Bucket, FloatHistogram};

impl FloatHistogram {
    /// The value below which the share `q` of the observations lies.
    ///
    /// Inside an exponential bucket values are taken as spread evenly over the logarithm, inside the zero bucket and
    /// custom buckets evenly. The zero bucket reaches only to 0 on a side without buckets. Custom: the first bucket
    /// starts at 0 if its bound is positive, else its bound is the answer, as is the last bound for the bucket up to
    /// +Inf. `-Inf` for `q < 0`, `+Inf` for `q > 1`; NaN for a NaN `q`, without observations, and if the rank falls on
    /// observations of NaN (possible only if the sum is NaN).
    pub fn quantile(&self, q: f64) -> f64 {
        if q < 0.0 {
            return f64::NEG_INFINITY;
        }
        if q > 1.0 {
            return f64::INFINITY;
        }
        if q.is_nan() || self.count == 0.0 {
            return f64::NAN;
        }
        // Walking from the nearer end keeps rounding errors small. NaN observations are above all buckets, but in none.
        let ascending = self.sum.is_nan() || q < 0.5;
        let rank = if ascending { q * self.count } else { (1.0 - q) * self.count };
        let found = self.reach(rank, ascending);
        let count = found.as_ref().map_or(0.0, |(_, count)| *count).min(self.count);
        if count < rank && self.sum.is_nan() {
            return f64::NAN;
        }
        let Some((bucket, _)) = found else {
            // Without any bucket all observations are taken to be zero.
            return if count < rank { 0.0 } else { f64::NAN };
        };
        let share = if ascending { rank - (count - bucket.count) } else { count - rank } / bucket.count;
        // With negative counts no value fits; the result is then the upper bound.
        let share = if count < rank || (bucket.count < 0.0 && share < 0.0) { 1.0 } else { share.clamp(0.0, 1.0) };
        let spread = self.spread(bucket);
        if spread.lower.is_infinite() {
            // There is a single bucket of infinite width.
            return if spread.upper.is_infinite() { f64::INFINITY * share } else { spread.upper };
        }
        if spread.upper.is_infinite() {
            return spread.lower;
        }
        spread.value_at(share)
    }

    /// The share of the observations between `lower` and `upper`, with the assumptions of
    /// [`quantile`](Self::quantile).
    ///
    /// 0 unless `lower < upper`; NaN if either is or without observations. Observations of NaN are in no interval.
    pub fn fraction(&self, lower: f64, upper: f64) -> f64 {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        let (mut below_lower, mut below_upper) = (0.0, 0.0);
        let (mut inside_lower, mut inside_upper) = (false, false);
        for bucket in self.iter_all() {
            let mut spread = self.spread(bucket);
            if self.uses_custom_buckets() && spread.lower == f64::NEG_INFINITY && spread.upper > 0.0 {
                spread.lower = 0.0;
            }
            below_lower += bucket.count * spread.share_below(lower);
            below_upper += bucket.count * spread.share_below(upper);
            inside_lower |= spread.lower >= lower || spread.upper > lower;
            inside_upper |= spread.lower >= upper || spread.upper > upper;
        }
        // Without NaN observations all buckets together only miss the count by rounding.
        let rank = |inside: bool, below: f64| match (self.sum.is_nan(), inside) {
            (true, _) => below,
            (false, true) => below.min(self.count),
            (false, false) => self.count,
        };
        (rank(inside_upper, below_upper) - rank(inside_lower, below_lower)) / self.count
    }

    /// The first populated bucket at which the counts, from the lowest bucket on or from the highest, reach `rank`, else the last, and the
    /// count including it. Only counts are looked at until it is found.
    pub(super) fn reach(&self, rank: f64, ascending: bool) -> Option<(Bucket, f64)> {
        let negative = &self.negative_buckets[..self.negative().len()];
        let positive = &self.positive_buckets[..self.positive().len()];
        let zero = if self.zero_count > 0.0 { &[self.zero_count][..] } else { &[] };
        let mut walk = Walk { rank, count: 0.0, seen: 0 };
        let is_reached = if ascending {
            walk.reaches(negative.iter().rev()) || walk.reaches(zero.iter()) || walk.reaches(positive.iter())
        } else {
            walk.reaches(positive.iter().rev()) || walk.reaches(zero.iter()) || walk.reaches(negative.iter())
        };
        debug_assert!(is_reached || walk.seen == negative.len() + zero.len() + positive.len());
        let passed = walk.seen.checked_sub(1)?;
        // From the lowest one on.
        let place = if ascending { passed } else { negative.len() + zero.len() + positive.len() - walk.seen };
        let bucket = match place.checked_sub(negative.len()) {
            None => self.negative_bucket(negative.len() - 1 - place)?,
            Some(0) if !zero.is_empty() => self.zero_bucket(),
            Some(place) => self.positive_bucket(place - zero.len())?,
        };
        Some((bucket, walk.count))
    }

    /// How the values of a bucket are assumed to be spread.
    pub(super) fn spread(&self, bucket: Bucket) -> Spread {
        let Bucket { mut lower, mut upper, .. } = bucket;
        if self.uses_custom_buckets() {
            if lower == f64::NEG_INFINITY && upper > 0.0 && upper.is_finite() {
                lower = 0.0;
            }
            return Spread { lower, upper, linear: true };
        }
        let zero_bucket = lower <= 0.0 && upper >= 0.0;
        if zero_bucket {
            match (self.negative_buckets.is_empty(), self.positive_buckets.is_empty()) {
                (true, false) => lower = 0.0,
                (false, true) => upper = 0.0,
                _ => {}
            }
        }
        Spread { lower, upper, linear: zero_bucket }
    }
}

/// Counts that are added up, bucket by bucket, until they reach a rank.
struct Walk {
    rank: f64,
    count: f64,
    seen: usize,
}

impl Walk {
    /// Whether the rank is reached, in a bucket that is not empty.
    fn reaches<'c>(&mut self, counts: impl Iterator<Item = &'c f64>) -> bool {
        for &count in counts {
            self.count += count;
            self.seen += 1;
            if self.count >= self.rank && count != 0.0 {
                return true;
            }
        }
        false
    }
}

/// An interval and the way values are assumed to lie in it: evenly, or evenly over the logarithm of the magnitude.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) linear: bool,
}

impl Spread {
    /// The value with the share `share` (0 to 1) of the interval below it. Both bounds must be finite.
    fn value_at(self, share: f64) -> f64 {
        if self.linear {
            return self.lower + (self.upper - self.lower) * share;
        }
        let (lower, upper) = (log2(self.lower.abs()), log2(self.upper.abs()));
        if self.lower > 0.0 {
            exp2(lower + (upper - lower) * share)
        } else {
            -exp2(upper + (lower - upper) * (1.0 - share))
        }
    }

    /// The share of the interval below `value`, 0 to 1.
    ///
    /// Nothing is interpolated over an infinite width: all is then taken to be on the infinite side of `value`.
    pub(super) fn share_below(self, value: f64) -> f64 {
        if self.lower >= value {
            0.0
        } else if self.upper <= value || self.lower.is_infinite() {
            1.0
        } else if self.upper.is_infinite() {
            0.0
        } else if self.linear {
            (value - self.lower) / (self.upper - self.lower)
        } else {
            let (lower, upper, value) = (log2(self.lower.abs()), log2(self.upper.abs()), log2(value.abs()));
            (value - lower) / (upper - lower)
        }
    }

    /// Where the mean of values so spread is taken to be: the middle, on the scale of the spread.
    pub(super) fn middle(self) -> f64 {
        match (self.lower.is_infinite(), self.upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) => self.upper,
            (false, true) => self.lower,
            (false, false) if self.linear => f64::midpoint(self.lower, self.upper),
            (false, false) => (self.lower * self.upper).sqrt().copysign(self.lower),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::exponential;
    use super::*;

    #[track_caller]
    fn check(got: f64, expected: f64) {
        let close =
            got == expected || (got.is_nan() && expected.is_nan()) || ((got - expected) / expected).abs() < 1e-9;
        assert!(close, "{got}, expected {expected}");
    }

    #[test]
    fn quantiles_interpolate_over_the_logarithm() {
        let h = FloatHistogram {
            count: 12.0,
            zero_count: 2.0,
            zero_threshold: 0.001,
            sum: 100.0,
            ..exponential(0, 0, &[2.0, 3.0, 0.0, 1.0, 4.0])
        };
        for (q, expected) in [
            (1.001, f64::INFINITY),
            (1.0, 16.0),
            (0.99, 15.67072476139083),
            (0.6, 4.594793419988138),
            (0.5, 1.5874010519681994),
            (0.1, 0.0006),
            (0.0, 0.0),
            (-1.0, f64::NEG_INFINITY),
            (f64::NAN, f64::NAN),
        ] {
            check(h.quantile(q), expected);
        }
        check(FloatHistogram::default().quantile(0.5), f64::NAN);
        check(FloatHistogram::default().quantile(-1.0), f64::NEG_INFINITY);
    }

    #[test]
    fn quantiles_of_negative_buckets_mirror_those_of_positive_ones() {
        let positive = exponential(0, 0, &[2.0, 3.0, 0.0, 1.0, 4.0]);
        let negative = FloatHistogram {
            count: 12.0,
            zero_count: 2.0,
            zero_threshold: 0.001,
            negative_spans: positive.positive_spans,
            negative_buckets: positive.positive_buckets,
            ..FloatHistogram::default()
        };
        for (q, expected) in [(1.0, 0.0), (0.99, -0.00006), (0.5, -1.5874010519681996), (0.1, -12.996038341699768)] {
            check(negative.quantile(q), expected);
        }
        check(negative.fraction(-2.0, -1.5), 0.10375937481971091);
        check(negative.fraction(f64::NEG_INFINITY, -6.0), 0.36791979160657035);
        check(negative.fraction(f64::NEG_INFINITY, f64::INFINITY), 1.0);
        check(negative.fraction(-0.0005, 0.0), 0.08333333333333333);
        check(negative.fraction(0.0, 0.001), 0.0);
    }

    #[test]
    fn nothing_is_interpolated_in_buckets_of_infinite_width() {
        let h = |bounds: &[f64], buckets: &[f64]| FloatHistogram {
            custom_values: bounds.to_vec(),
            count: 100.0,
            ..exponential(super::super::CUSTOM_SCHEMA, 0, buckets)
        };
        let positive = h(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 94.0]);
        check(positive.fraction(2.0, 5.0), 0.03);
        check(positive.fraction(4.0, 5.0), 0.0);
        check(positive.fraction(0.0, 0.5), 0.005);
        check(positive.quantile(0.5), 3.0);
        let around_zero = h(&[-5.0, 0.0, 5.0], &[10.0, 20.0, 50.0, 20.0]);
        check(around_zero.fraction(-1.0, 0.0), 0.04);
        check(around_zero.fraction(0.0, 1.0), 0.1);
        let negative = h(&[-3.0, -2.0, -1.0], &[10.0, 2.0, 3.0, 85.0]);
        check(negative.fraction(-4.0, -2.0), 0.02);
        check(negative.fraction(f64::NEG_INFINITY, f64::INFINITY), 1.0);
        check(negative.quantile(0.05), -3.0);
        check(h(&[], &[100.0]).quantile(0.0), f64::NAN);
        check(h(&[], &[100.0]).quantile(0.5), f64::INFINITY);
    }

    #[test]
    fn observations_of_nan_are_above_every_bucket() {
        let h = FloatHistogram { count: 8.0, sum: f64::NAN, ..exponential(0, 1, &[4.0]) };
        check(h.quantile(0.25), std::f64::consts::SQRT_2);
        check(h.quantile(0.9), f64::NAN);
        check(h.fraction(f64::NEG_INFINITY, f64::INFINITY), 0.5);
    }
}
