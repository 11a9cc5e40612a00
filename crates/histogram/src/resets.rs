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
            return decreased(self.positive(), previous.positive());
        }
        let common = custom::common_bounds(&self.custom_values, &previous.custom_values);
        let now: Sparse = custom::rolled_up(self.positive(), &self.custom_values, &common);
        let before: Sparse = custom::rolled_up(previous.positive(), &previous.custom_values, &common);
        decreased(now.into_iter(), before.into_iter())
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
