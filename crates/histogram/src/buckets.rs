//! Buckets with their bounds, in either direction.

use super::{CUSTOM_SCHEMA, FloatHistogram, bucket_bound};

/// One bucket: its count and the interval of values it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Lower bound; may be `-Inf`.
    pub lower: f64,
    /// Upper bound; may be `+Inf`.
    pub upper: f64,
    /// Whether `lower` itself belongs to the bucket.
    pub lower_inclusive: bool,
    /// Whether `upper` itself belongs to the bucket.
    pub upper_inclusive: bool,
    /// Observations; not cumulative.
    pub count: f64,
    /// Index on its side; 0 for the zero bucket.
    pub index: i32,
}

impl FloatHistogram {
    /// The positive (or custom) buckets that spans describe, empty ones included, ascending by value.
    pub fn iter_positive(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.positive().map(|(index, count)| {
            let lower = bucket_bound(self.schema, index - 1, &self.custom_values);
            let upper = bucket_bound(self.schema, index, &self.custom_values);
            let lower_inclusive = self.schema == CUSTOM_SCHEMA && index == 0;
            Bucket { lower, upper, lower_inclusive, upper_inclusive: true, count, index: narrow(index) }
        })
    }

    /// The negative buckets that spans describe, empty ones included, from zero outwards: descending by value.
    pub fn iter_negative(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.negative().map(|(index, count)| {
            let lower = -bucket_bound(self.schema, index, &self.custom_values);
            let upper = -bucket_bound(self.schema, index - 1, &self.custom_values);
            Bucket { lower, upper, lower_inclusive: true, upper_inclusive: false, count, index: narrow(index) }
        })
    }

    /// All buckets ascending by value: negative ones, the zero bucket if its count is above zero, positive ones.
    ///
    /// Bounds that lie inside the zero bucket are moved to its edge, so that no value belongs to two buckets.
    /// `.rev()` gives the descending order.
    pub fn iter_all(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let edge = if self.uses_custom_buckets() { f64::NEG_INFINITY } else { self.zero_threshold };
        let negative = self.iter_negative().rev().map(move |mut bucket| {
            if bucket.upper > -edge {
                bucket.upper = -edge;
            }
            bucket
        });
        let positive = self.iter_positive().map(move |mut bucket| {
            if bucket.lower < edge {
                bucket.lower = edge;
            }
            bucket
        });
        let zero = (self.zero_count > 0.0).then(|| self.zero_bucket());
        negative.chain(zero).chain(positive)
    }

    /// The zero bucket, whatever its count.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }
}

/// Indices outside of 32 bits come only from spans that validation refuses.
fn narrow(index: i64) -> i32 {
    index.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
