//! Buckets with their bounds, in either direction.

use super::spans::index_of;
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
        self.positive().map(|(index, count)| self.positive_at(index, count))
    }

    fn positive_at(&self, index: i64, count: f64) -> Bucket {
        let lower = bucket_bound(self.schema, index - 1, &self.custom_values);
        let upper = bucket_bound(self.schema, index, &self.custom_values);
        let lower_inclusive = self.schema == CUSTOM_SCHEMA && index == 0;
        Bucket { lower, upper, lower_inclusive, upper_inclusive: true, count, index: narrow(index) }
    }

    /// The negative buckets that spans describe, empty ones included, from zero outwards: descending by value.
    pub fn iter_negative(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.negative().map(|(index, count)| self.negative_at(index, count))
    }

    fn negative_at(&self, index: i64, count: f64) -> Bucket {
        let lower = -bucket_bound(self.schema, index, &self.custom_values);
        let upper = -bucket_bound(self.schema, index - 1, &self.custom_values);
        Bucket { lower, upper, lower_inclusive: true, upper_inclusive: false, count, index: narrow(index) }
    }

    /// All buckets ascending by value: negative ones, the zero bucket if its count is above zero, positive ones.
    ///
    /// Bounds that lie inside the zero bucket are moved to its edge, so that no value belongs to two buckets.
    /// `.rev()` gives the descending order.
    pub fn iter_all(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let edge = self.edge();
        let negative = self.iter_negative().rev().map(move |bucket| below(bucket, edge));
        let positive = self.iter_positive().map(move |bucket| above(bucket, edge));
        let zero = (self.zero_count > 0.0).then(|| self.zero_bucket());
        negative.chain(zero).chain(positive)
    }

    /// The positive bucket of that number as [`iter_all`](Self::iter_all) gives it. Cost: that of passing the spans before it.
    pub(super) fn positive_bucket(&self, number: usize) -> Option<Bucket> {
        let index = index_of(&self.positive_spans, number)?;
        Some(above(self.positive_at(index, *self.positive_buckets.get(number)?), self.edge()))
    }

    /// The same of a negative one, counted from zero outwards.
    pub(super) fn negative_bucket(&self, number: usize) -> Option<Bucket> {
        let index = index_of(&self.negative_spans, number)?;
        Some(below(self.negative_at(index, *self.negative_buckets.get(number)?), self.edge()))
    }

    /// Where the zero bucket ends, if there is one.
    fn edge(&self) -> f64 {
        if self.uses_custom_buckets() { f64::NEG_INFINITY } else { self.zero_threshold }
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

/// A negative bucket without what lies inside the zero bucket.
fn below(mut bucket: Bucket, edge: f64) -> Bucket {
    if bucket.upper > -edge {
        bucket.upper = -edge;
    }
    bucket
}

/// A positive bucket without what lies inside the zero bucket.
fn above(mut bucket: Bucket, edge: f64) -> Bucket {
    if bucket.lower < edge {
        bucket.lower = edge;
    }
    bucket
}

/// Indices outside of 32 bits come only from spans that validation refuses.
fn narrow(index: i64) -> i32 {
    index.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
