//! Counter resets, told from two consecutive histograms.

use super::spans::{self, Sparse};
use super::{CounterResetHint, FloatHistogram, bucket_bound, custom, resolution};

impl FloatHistogram {
    /// Whether the counter was reset between `previous` and `self`.
    ///
    /// The hint decides where it says reset or not. Otherwise: the count, the zero count or a bucket went down, a
    /// populated bucket disappeared, the resolution rose, the zero bucket shrank or cuts a bucket that `previous` had
    /// populated, or the kind of buckets changed. Custom buckets with other bounds are compared over the bounds that
    /// both have. Stale histograms are for the caller to tell.
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.counter_reset_hint {
            CounterResetHint::CounterReset => return true,
            CounterResetHint::NotCounterReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        self.went_down(previous)
    }

    /// Whether `previous`, the sample right before it, and this one are of one counter without a reset in between, or of one
    /// gauge: schema, zero threshold and bounds are the same, neither is stale, and nothing went down.
    ///
    /// A hint "not reset" is ignored, a hint "reset" is used. Cost: that of comparing all buckets.
    pub fn continues(&self, previous: &Self) -> bool {
        let gauge = |h: &Self| h.counter_reset_hint == CounterResetHint::Gauge;
        let is_alike = self.counter_reset_hint != CounterResetHint::CounterReset
            && gauge(self) == gauge(previous)
            && self.schema == previous.schema
            && self.zero_threshold == previous.zero_threshold
            && self.custom_values == previous.custom_values
            && !self.is_stale()
            && !previous.is_stale();
        is_alike && (gauge(self) || !self.went_down(previous))
    }

    /// As [`detect_reset`](Self::detect_reset), whatever the hint says.
    fn went_down(&self, previous: &Self) -> bool {
        if self.count < previous.count || self.uses_custom_buckets() != previous.uses_custom_buckets() {
            return true;
        }
        if self.uses_custom_buckets() { self.custom_reset(previous) } else { self.exponential_reset(previous) }
    }

    fn exponential_reset(&self, previous: &Self) -> bool {
        let threshold = self.zero_threshold;
        if self.schema > previous.schema
            || threshold < previous.zero_threshold
            || previous.settled_threshold(threshold) != threshold
            || self.zero_count < previous.zero_count_within(threshold)
        {
            return true;
        }
        let widened = threshold > previous.zero_threshold;
        if !widened && previous.schema == self.schema && self.has_spans_of(previous) {
            return self.any_bucket_decreased(previous);
        }
        let sides = [(self.positive(), previous.positive()), (self.negative(), previous.negative())];
        sides.into_iter().any(|(now, before)| {
            let before =
                before.skip_while(|&(index, _)| widened && bucket_bound(previous.schema, index, &[]) <= threshold);
            if previous.schema == self.schema {
                decreased(now, before)
            } else {
                decreased(now, resolution::reduced(before, previous.schema, self.schema).into_iter())
            }
        })
    }

    fn custom_reset(&self, previous: &Self) -> bool {
        if custom::same_bounds(&self.custom_values, &previous.custom_values) {
            if self.has_spans_of(previous) {
                return self.any_bucket_decreased(previous);
            }
            return decreased(self.positive(), previous.positive());
        }
        let common = custom::common_bounds(&self.custom_values, &previous.custom_values);
        let now: Sparse = custom::rolled_up(self.positive(), &self.custom_values, &common);
        let before: Sparse = custom::rolled_up(previous.positive(), &previous.custom_values, &common);
        decreased(now.into_iter(), before.into_iter())
    }
}

impl FloatHistogram {
    fn has_spans_of(&self, other: &Self) -> bool {
        let buckets = |h: &Self| (h.positive_buckets.len(), h.negative_buckets.len());
        buckets(self) == buckets(other)
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
    }

    /// What `decreased` tells of two histograms with the same spans. Most are, so it goes through the counts as they lie.
    fn any_bucket_decreased(&self, previous: &Self) -> bool {
        let sides = [
            (&self.positive_buckets, &previous.positive_buckets),
            (&self.negative_buckets, &previous.negative_buckets),
        ];
        // Without an early end, so that several are compared at once.
        sides.iter().any(|(now, before)| now.iter().zip(*before).filter(|(now, before)| now < before).count() > 0)
    }
}

fn decreased<'a>(now: impl Iterator<Item = (i64, f64)> + 'a, before: impl Iterator<Item = (i64, f64)> + 'a) -> bool {
    // A new bucket is no sign of a reset. A bucket that is gone is one, even if its count was below zero.
    spans::join(now, before).any(|(_, now, before)| match (now, before) {
        (Some(now), Some(before)) => now < before,
        (None, Some(before)) => before != 0.0,
        (_, None) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    #[test]
    fn same_spans_are_compared_as_any_others() {
        let values = [0.0, -0.0, 1.0, 2.0, f64::NAN, -1.0];
        for pick in 0..6usize.pow(4) {
            let at = |place: u32| values[pick / 6usize.pow(place) % 6];
            let histogram = |positive: f64, negative: f64| FloatHistogram {
                positive_spans: vec![Span { offset: 1, length: 1 }, Span { offset: 2, length: 1 }],
                positive_buckets: vec![1.0, positive],
                negative_spans: vec![Span { offset: 0, length: 1 }],
                negative_buckets: vec![negative],
                ..FloatHistogram::default()
            };
            let (before, now) = (histogram(at(0), at(1)), histogram(at(2), at(3)));
            assert!(now.has_spans_of(&before));
            let general = decreased(now.positive(), before.positive()) || decreased(now.negative(), before.negative());
            assert_eq!(now.any_bucket_decreased(&before), general, "{now} after {before}");
        }
    }
}
