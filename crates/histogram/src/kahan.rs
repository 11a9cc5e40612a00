//! Sums of many histograms without the rounding errors piling up (Kahan's summation, as improved by Neumaier).

use super::spans::{self, IndexedBuckets, Span, Sparse};
use super::{FloatHistogram, HistogramError, Reconciled, bucket_bound, custom, resolution, zero_bucket};

impl FloatHistogram {
    /// A compensation of zeros for a sum that starts with `self`.
    #[must_use]
    pub fn new_compensation(&self) -> Self {
        Self {
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive_buckets: vec![0.0; self.positive_buckets.len()],
            negative_buckets: vec![0.0; self.negative_buckets.len()],
            ..self.clone()
        }
    }

    /// [`add`](Self::add), with what rounding loses collected in `compensation`.
    ///
    /// `compensation` starts as [`new_compensation`](Self::new_compensation) and always has the buckets of `self`;
    /// scale both alike. At the end `self.add(&compensation)` gives the sum.
    ///
    /// # Errors
    /// [`HistogramError::IncompatibleSchemas`] and [`HistogramError::CompensationMismatch`]; nothing is changed then.
    pub fn kahan_add(&mut self, other: &Self, compensation: &mut Self) -> Result<Reconciled, HistogramError> {
        self.require_same_kind(other)?;
        self.require_same_layout(compensation)?;
        let counter_reset_collision = self.combine_hints(other);
        compensation.counter_reset_hint = self.counter_reset_hint;
        kahan_step(other.count, &mut self.count, &mut compensation.count);
        kahan_step(other.sum, &mut self.sum, &mut compensation.sum);
        let custom_bounds = if self.uses_custom_buckets() {
            self.kahan_custom(other, compensation)
        } else {
            self.kahan_exponential(other, compensation);
            false
        };
        Ok(Reconciled { counter_reset_collision, custom_bounds })
    }

    fn kahan_exponential(&mut self, other: &Self, compensation: &mut Self) {
        let zero_moved = self.zero_threshold != other.zero_threshold;
        let threshold = if zero_moved {
            zero_bucket::common_threshold(&[&*self, &*compensation, other])
        } else {
            self.zero_threshold
        };
        if threshold > self.zero_threshold {
            self.kahan_widen(threshold, compensation);
        }
        kahan_step(other.zero_count_within(threshold), &mut self.zero_count, &mut compensation.zero_count);
        let schema = self.schema.min(other.schema);
        let from = self.schema;
        self.schema = schema;
        compensation.schema = schema;
        if !zero_moved && schema == from && schema == other.schema && add_in_place(self, other, compensation) {
            return;
        }
        for_each_side(self, other, compensation, |mut cells, theirs| {
            if schema < from {
                cells = cells.regrouped(|index| resolution::target_index(index, from, schema));
            }
            let outside =
                theirs.filter(|&(index, _)| !zero_moved || bucket_bound(other.schema, index, &[]) > threshold);
            cells.added(&resolution::reduced(outside, other.schema, schema))
        });
    }

    fn kahan_widen(&mut self, threshold: f64, compensation: &mut Self) {
        let inside = |side: IndexedBuckets<'_>| -> Vec<f64> {
            let inside = side.take_while(|&(index, _)| bucket_bound(self.schema, index, &[]) <= threshold);
            inside.map(|(_, count)| count).collect()
        };
        let (positive, negative) = (inside(self.positive()), inside(self.negative()));
        for &count in positive.iter().chain(&negative) {
            kahan_step(count, &mut self.zero_count, &mut compensation.zero_count);
        }
        compensation.zero_count = compensation.zero_count_within(threshold);
        self.zero_threshold = threshold;
        compensation.zero_threshold = threshold;
        self.drop_buckets_in_zero_bucket();
        compensation.drop_buckets_in_zero_bucket();
    }

    fn kahan_custom(&mut self, other: &Self, compensation: &mut Self) -> bool {
        if custom::same_bounds(&self.custom_values, &other.custom_values) {
            if !add_in_place(self, other, compensation) {
                for_each_side(self, other, compensation, |cells, theirs| cells.added(&theirs.collect::<Sparse>()));
            }
            return false;
        }
        let common = custom::common_bounds(&self.custom_values, &other.custom_values);
        let bounds = std::mem::replace(&mut self.custom_values, common.clone());
        for_each_side(self, other, compensation, |cells, theirs| {
            let rolled = cells.regrouped(|index| custom::target_index(index, &bounds, &common));
            rolled.added(&custom::rolled_up(theirs, &other.custom_values, &common))
        });
        compensation.custom_values = common;
        true
    }

    fn require_same_layout(&self, compensation: &Self) -> Result<(), HistogramError> {
        let same = self.schema == compensation.schema
            && self.zero_threshold.to_bits() == compensation.zero_threshold.to_bits()
            && self.positive_spans == compensation.positive_spans
            && self.negative_spans == compensation.negative_spans
            && self.positive_buckets.len() == compensation.positive_buckets.len()
            && self.negative_buckets.len() == compensation.negative_buckets.len()
            && custom::same_bounds(&self.custom_values, &compensation.custom_values);
        if same { Ok(()) } else { Err(HistogramError::CompensationMismatch) }
    }
}

/// One side of a sum: index, sum and compensation of each bucket, ascending.
struct Cells(Vec<(i64, f64, f64)>);

impl Cells {
    fn regrouped(self, target: impl Fn(i64) -> i64) -> Self {
        let mut groups: Vec<(i64, f64, f64)> = Vec::new();
        for (index, count, lost) in self.0 {
            let index = target(index);
            match groups.last_mut() {
                Some((last, sum, compensation)) if *last == index => {
                    kahan_step(count, sum, compensation);
                    *compensation += lost;
                }
                _ => groups.push((index, count, lost)),
            }
        }
        Self(groups)
    }

    fn added(self, theirs: &[(i64, f64)]) -> Self {
        let lost: Vec<f64> = self.0.iter().map(|cell| cell.2).collect();
        let mut lost = lost.into_iter();
        let ours = self.0.into_iter().map(|(index, count, _)| (index, count));
        let cells = spans::join(ours, theirs.iter().copied()).map(|(index, ours, theirs)| match (ours, theirs) {
            (None, theirs) => (index, theirs.unwrap_or(0.0), 0.0),
            (Some(mut sum), theirs) => {
                let mut compensation = lost.next().unwrap_or(0.0);
                if let Some(count) = theirs {
                    kahan_step(count, &mut sum, &mut compensation);
                }
                (index, sum, compensation)
            }
        });
        Self(cells.collect())
    }
}

/// The common case: equal layouts. False, with nothing done, if they are not.
fn add_in_place(sum: &mut FloatHistogram, other: &FloatHistogram, compensation: &mut FloatHistogram) -> bool {
    let same = sum.positive_spans == other.positive_spans
        && sum.negative_spans == other.negative_spans
        && sum.positive_buckets.len() == other.positive_buckets.len()
        && sum.negative_buckets.len() == other.negative_buckets.len();
    if same {
        add_side(&mut sum.positive_buckets, &other.positive_buckets, &mut compensation.positive_buckets);
        add_side(&mut sum.negative_buckets, &other.negative_buckets, &mut compensation.negative_buckets);
    }
    same
}

/// A loop of its own, without branches, so that the compiler can add several counts at once.
fn add_side(counts: &mut [f64], increments: &[f64], lost: &mut [f64]) {
    for ((count, lost), &increment) in counts.iter_mut().zip(lost).zip(increments) {
        kahan_step(increment, count, lost);
    }
}

/// Applies `step` to the positive and the negative buckets of the sum and its compensation.
fn for_each_side(
    sum: &mut FloatHistogram,
    other: &FloatHistogram,
    compensation: &mut FloatHistogram,
    step: impl Fn(Cells, IndexedBuckets<'_>) -> Cells,
) {
    let apply = |spans: &mut Vec<Span>, buckets: &mut Vec<f64>, lost: &mut Vec<f64>, theirs: IndexedBuckets<'_>| {
        let ours = IndexedBuckets::new(spans, buckets).zip(lost.iter());
        let cells = step(Cells(ours.map(|((index, count), &lost)| (index, count, lost)).collect()), theirs);
        *lost = spans::build(cells.0.iter().map(|cell| (cell.0, cell.2)), 0).1;
        (*spans, *buckets) = spans::build(cells.0.iter().map(|cell| (cell.0, cell.1)), 0);
    };
    apply(&mut sum.positive_spans, &mut sum.positive_buckets, &mut compensation.positive_buckets, other.positive());
    apply(&mut sum.negative_spans, &mut sum.negative_buckets, &mut compensation.negative_buckets, other.negative());
    compensation.positive_spans.clone_from(&sum.positive_spans);
    compensation.negative_spans.clone_from(&sum.negative_spans);
}

/// Adds `increment` to `sum` and what was rounded away to `compensation`, which is void once the sum is infinite.
#[inline]
fn kahan_step(increment: f64, sum: &mut f64, compensation: &mut f64) {
    let total = *sum + increment;
    let is_larger = sum.abs() >= increment.abs();
    let (large, small) = (if is_larger { *sum } else { increment }, if is_larger { increment } else { *sum });
    let rest = *compensation + ((large - total) + small);
    *compensation = if total.is_infinite() { 0.0 } else { rest };
    *sum = total;
}
