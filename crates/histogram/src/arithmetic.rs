//! Sums, differences and multiples of histograms.

use super::spans::{self, IndexedBuckets, Span, Sparse};
use super::{CounterResetHint, FloatHistogram, HistogramError, bucket_bound, custom, resolution};

/// What an operation on two histograms had to decide; PromQL turns these into annotations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// One operand said "reset", the other "not reset"; the result says "unknown".
    pub counter_reset_collision: bool,
    /// The custom bounds differed; the result has those that both had.
    pub custom_bounds: bool,
}

impl FloatHistogram {
    /// Adds `other` bucket by bucket.
    ///
    /// The result has the lower of the two resolutions, the wider of the zero buckets (widened further where its edge
    /// would cut a populated bucket), or the custom bounds that both have. The hint becomes gauge if either is, else
    /// unknown unless both agree. The bucket layout of the result is not compacted.
    ///
    /// # Errors
    /// [`HistogramError::IncompatibleSchemas`]; `self` is unchanged then.
    pub fn add(&mut self, other: &Self) -> Result<Reconciled, HistogramError> {
        self.combine(other, 1.0)
    }

    /// Subtracts `other`; all else as [`add`](Self::add). The caller sets the hint to gauge where the difference is one.
    ///
    /// # Errors
    /// [`HistogramError::IncompatibleSchemas`]; `self` is unchanged then.
    pub fn sub(&mut self, other: &Self) -> Result<Reconciled, HistogramError> {
        self.combine(other, -1.0)
    }

    /// Multiplies all counts and the sum. A negative factor makes a gauge.
    pub fn mul(&mut self, factor: f64) {
        self.map_counts(|count| count * factor);
        if factor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum. A negative divisor makes a gauge; division by zero leaves no buckets, as each
    /// would be infinite or NaN.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        self.map_counts(|count| count / divisor);
        if divisor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    fn map_counts(&mut self, apply: impl Fn(f64) -> f64) {
        for value in [&mut self.zero_count, &mut self.count, &mut self.sum]
            .into_iter()
            .chain(&mut self.positive_buckets)
            .chain(&mut self.negative_buckets)
        {
            *value = apply(*value);
        }
    }

    /// `a - b` is `a + -1.0 * b` to the last bit, so one path serves both.
    fn combine(&mut self, other: &Self, sign: f64) -> Result<Reconciled, HistogramError> {
        self.require_same_kind(other)?;
        let counter_reset_collision = self.combine_hints(other);
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        let custom_bounds = if self.uses_custom_buckets() {
            self.combine_custom(other, sign)
        } else {
            self.combine_exponential(other, sign);
            false
        };
        Ok(Reconciled { counter_reset_collision, custom_bounds })
    }

    fn combine_exponential(&mut self, other: &Self, sign: f64) {
        let zero_moved = self.zero_threshold != other.zero_threshold;
        self.zero_count += sign * self.reconcile_zero_buckets(other);
        self.reduce_to(self.schema.min(other.schema));
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let prepare = |side: IndexedBuckets<'_>| {
            // Observations that the wider zero bucket contains must not be counted again.
            let outside = side.filter(|&(index, _)| !zero_moved || bucket_bound(other.schema, index, &[]) > threshold);
            resolution::reduced(outside, other.schema, schema)
        };
        let as_is = !zero_moved && schema == other.schema;
        for (spans, buckets, their_spans, their_buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets, &other.positive_spans, &other.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets, &other.negative_spans, &other.negative_buckets),
        ] {
            if !(as_is && add_in_place(spans, buckets, their_spans, their_buckets, sign)) {
                merge(spans, buckets, &prepare(IndexedBuckets::new(their_spans, their_buckets)), sign);
            }
        }
    }

    fn combine_custom(&mut self, other: &Self, sign: f64) -> bool {
        if custom::same_bounds(&self.custom_values, &other.custom_values) {
            let (spans, buckets) = (&mut self.positive_spans, &mut self.positive_buckets);
            if !add_in_place(spans, buckets, &other.positive_spans, &other.positive_buckets, sign) {
                merge(spans, buckets, &other.positive().collect::<Sparse>(), sign);
            }
            return false;
        }
        let common = custom::common_bounds(&self.custom_values, &other.custom_values);
        let ours = custom::rolled_up(self.positive(), &self.custom_values, &common);
        let theirs = custom::rolled_up(other.positive(), &other.custom_values, &common);
        (self.positive_spans, self.positive_buckets) = spans::build(ours, 0);
        merge(&mut self.positive_spans, &mut self.positive_buckets, &theirs, sign);
        self.custom_values = common;
        true
    }

    pub(super) fn require_same_kind(&self, other: &Self) -> Result<(), HistogramError> {
        if self.uses_custom_buckets() == other.uses_custom_buckets() {
            Ok(())
        } else {
            Err(HistogramError::IncompatibleSchemas)
        }
    }

    /// Settles the hint of a result; true if the operands contradicted each other.
    pub(super) fn combine_hints(&mut self, other: &Self) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        let (ours, theirs) = (self.counter_reset_hint, other.counter_reset_hint);
        let (hint, collision) = match (ours, theirs) {
            _ if ours == theirs => (ours, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            _ => (Unknown, true),
        };
        self.counter_reset_hint = hint;
        collision
    }
}

/// The common case: both sides have the same layout. False, with nothing done, if they do not.
fn add_in_place(spans: &[Span], buckets: &mut [f64], their_spans: &[Span], their_buckets: &[f64], sign: f64) -> bool {
    let same = spans == their_spans && buckets.len() == their_buckets.len();
    if same {
        for (count, other) in buckets.iter_mut().zip(their_buckets) {
            *count += sign * other;
        }
    }
    same
}

fn merge(spans: &mut Vec<Span>, buckets: &mut Vec<f64>, theirs: &[(i64, f64)], sign: f64) {
    if theirs.is_empty() {
        return;
    }
    let merged: Sparse = spans::join(IndexedBuckets::new(spans, buckets), theirs.iter().copied())
        .map(|(index, a, b)| (index, a.unwrap_or(0.0) + sign * b.unwrap_or(0.0)))
        .collect();
    (*spans, *buckets) = spans::build(merged, 0);
}
