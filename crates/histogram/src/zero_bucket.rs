//! Zero buckets of different width: the narrower one takes in regular buckets until both are equal.

use super::spans::{self, IndexedBuckets, Span};
use super::{FloatHistogram, bucket_bound};

impl FloatHistogram {
    /// Widens the zero bucket of `self`, if need be, to a width that both histograms can have, and returns the zero
    /// count of `other` at that width (`other` itself is not touched). Only for exponential buckets.
    pub(super) fn reconcile_zero_buckets(&mut self, other: &Self) -> f64 {
        let threshold = common_threshold(&[&*self, other]);
        if threshold > self.zero_threshold {
            self.zero_count = self.zero_count_within(threshold);
            self.zero_threshold = threshold;
            self.drop_buckets_in_zero_bucket();
        }
        other.zero_count_within(threshold)
    }

    /// The zero count if the zero bucket were widened to `threshold`, which must not cut a populated bucket.
    pub(super) fn zero_count_within(&self, threshold: f64) -> f64 {
        let mut count = self.zero_count;
        // Not `<=`: a NaN width cannot be widened either.
        if threshold > self.zero_threshold {
            for side in [self.positive(), self.negative()] {
                let inside = side.take_while(|&(index, _)| bucket_bound(self.schema, index, &[]) <= threshold);
                inside.for_each(|(_, bucket)| count += bucket);
            }
        }
        count
    }

    /// `threshold`, or the outer bound of the populated bucket it would cut. Unchanged if not wider than the zero
    /// bucket is now.
    pub(super) fn settled_threshold(&self, threshold: f64) -> f64 {
        let mut settled = threshold;
        if threshold > self.zero_threshold {
            for side in [self.positive(), self.negative()] {
                for (index, count) in side {
                    if bucket_bound(self.schema, index - 1, &[]) >= settled {
                        break;
                    }
                    let upper = bucket_bound(self.schema, index, &[]);
                    if count != 0.0 && upper > settled {
                        settled = upper;
                    }
                }
            }
        }
        settled
    }

    /// Cuts off the buckets that the zero bucket covers by now.
    pub(super) fn drop_buckets_in_zero_bucket(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        drop_inner(&mut self.positive_spans, &mut self.positive_buckets, schema, threshold);
        drop_inner(&mut self.negative_spans, &mut self.negative_buckets, schema, threshold);
    }
}

/// The narrowest width, not below any of the given ones, at which no histogram has a populated bucket cut.
///
/// Ends because the width only grows, from bucket bound to bucket bound.
pub(super) fn common_threshold(histograms: &[&FloatHistogram]) -> f64 {
    let mut threshold = histograms.iter().fold(f64::NEG_INFINITY, |widest, h| widest.max(h.zero_threshold));
    loop {
        let settled = histograms.iter().fold(threshold, |width, h| h.settled_threshold(width));
        if settled > threshold {
            threshold = settled;
        } else {
            return threshold;
        }
    }
}

fn drop_inner(spans: &mut Vec<Span>, buckets: &mut Vec<f64>, schema: i32, threshold: f64) {
    let outside =
        IndexedBuckets::new(spans, buckets).skip_while(|&(index, _)| bucket_bound(schema, index, &[]) <= threshold);
    let rest = spans::build(outside, 0);
    (*spans, *buckets) = rest;
}
