//! Buckets of one series, as columns.

use crate::Resolution;
use mytsdb_columns::Columns;
use mytsdb_model::{TimeRange, is_stale_nan, stale_nan};

/// One bucket: what is left of the samples of a stretch of time.
///
/// A bucket without samples, of count 0, stands for a staleness marker that came last in its stretch of time; a single sample is a bucket
/// of width 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Time of the first sample, in ms.
    pub first_ms: i64,
    /// Time of the last sample, in ms.
    pub last_ms: i64,
    /// The width of the stretch of time that it is all of, in ms; 0 for a single sample, which is exact.
    pub width_ms: i64,
    /// The number of samples, staleness markers left out.
    pub count: u32,
    /// Their sum, compensated for rounding.
    pub sum: f64,
    /// The least value; NaN only if there is nothing else.
    pub min: f64,
    /// The greatest value; NaN only if there is nothing else.
    pub max: f64,
    /// The first value.
    pub first: f64,
    /// The last value, or the staleness marker.
    pub last: f64,
    /// The sum of all values that the next one was below: what a counter lost by resets. Its increase is `last - first + resets`.
    pub resets: f64,
}

impl Bucket {
    /// A single sample as a bucket.
    pub fn sample(time_ms: i64, value: f64) -> Self {
        if is_stale_nan(value) {
            return Self::stale(time_ms, 0);
        }
        Self {
            first_ms: time_ms,
            last_ms: time_ms,
            width_ms: 0,
            count: 1,
            sum: value,
            min: value,
            max: value,
            first: value,
            last: value,
            resets: 0.0,
        }
    }

    /// A staleness marker as a bucket.
    pub fn stale(time_ms: i64, width_ms: i64) -> Self {
        let stale = stale_nan();
        Self {
            first_ms: time_ms,
            last_ms: time_ms,
            width_ms,
            count: 0,
            sum: 0.0,
            min: stale,
            max: stale,
            first: stale,
            last: stale,
            resets: 0.0,
        }
    }

    /// Whether it stands for a staleness marker.
    pub fn is_stale(&self) -> bool {
        self.count == 0
    }
}

/// Buckets of one series, column by column. All columns have the same length; finished ones ascend by the time of the last sample.
#[derive(Debug, Clone, Default)]
pub struct Buckets {
    /// Times of the first samples, in ms.
    pub firsts_ms: Vec<i64>,
    /// Times of the last samples, in ms.
    pub lasts_ms: Vec<i64>,
    /// Widths, in ms; 0 for a single sample.
    pub widths_ms: Vec<i64>,
    /// Numbers of samples; 0 for a staleness marker.
    pub counts: Vec<u32>,
    /// Sums.
    pub sums: Vec<f64>,
    /// Least values.
    pub minima: Vec<f64>,
    /// Greatest values.
    pub maxima: Vec<f64>,
    /// First values.
    pub firsts: Vec<f64>,
    /// Last values.
    pub lasts: Vec<f64>,
    /// What counters lost by resets.
    pub resets: Vec<f64>,
}

impl Buckets {
    /// The number of buckets.
    pub fn len(&self) -> usize {
        self.lasts_ms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lasts_ms.is_empty()
    }

    /// Empties every column and keeps its memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Removes all buckets behind the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.firsts_ms.truncate(len);
        self.lasts_ms.truncate(len);
        self.widths_ms.truncate(len);
        self.counts.truncate(len);
        for column in self.numbers_mut() {
            column.truncate(len);
        }
    }

    fn numbers_mut(&mut self) -> [&mut Vec<f64>; 6] {
        let Self { sums, minima, maxima, firsts, lasts, resets, .. } = self;
        [sums, minima, maxima, firsts, lasts, resets]
    }

    /// Appends a bucket.
    pub fn push(&mut self, bucket: &Bucket) {
        self.firsts_ms.push(bucket.first_ms);
        self.lasts_ms.push(bucket.last_ms);
        self.widths_ms.push(bucket.width_ms);
        self.counts.push(bucket.count);
        self.sums.push(bucket.sum);
        self.minima.push(bucket.min);
        self.maxima.push(bucket.max);
        self.firsts.push(bucket.first);
        self.lasts.push(bucket.last);
        self.resets.push(bucket.resets);
    }

    /// The bucket at a place.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn get(&self, at: usize) -> Bucket {
        Bucket {
            first_ms: self.firsts_ms[at],
            last_ms: self.lasts_ms[at],
            width_ms: self.widths_ms[at],
            count: self.counts[at],
            sum: self.sums[at],
            min: self.minima[at],
            max: self.maxima[at],
            first: self.firsts[at],
            last: self.lasts[at],
            resets: self.resets[at],
        }
    }

    /// All buckets, in order.
    pub fn iter(&self) -> impl Iterator<Item = Bucket> + '_ {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Appends buckets of others, those at some places.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn extend_from(&mut self, other: &Self, places: std::ops::Range<usize>) {
        self.firsts_ms.extend_from_slice(&other.firsts_ms[places.clone()]);
        self.lasts_ms.extend_from_slice(&other.lasts_ms[places.clone()]);
        self.widths_ms.extend_from_slice(&other.widths_ms[places.clone()]);
        self.counts.extend_from_slice(&other.counts[places.clone()]);
        self.sums.extend_from_slice(&other.sums[places.clone()]);
        self.minima.extend_from_slice(&other.minima[places.clone()]);
        self.maxima.extend_from_slice(&other.maxima[places.clone()]);
        self.firsts.extend_from_slice(&other.firsts[places.clone()]);
        self.lasts.extend_from_slice(&other.lasts[places.clone()]);
        self.resets.extend_from_slice(&other.resets[places]);
    }

    /// The places of buckets whose last sample is in a range; buckets are in order.
    pub fn places_in(&self, range: TimeRange) -> std::ops::Range<usize> {
        let end = self.lasts_ms.partition_point(|&time| time <= range.maxt);
        self.lasts_ms[..end].partition_point(|&time| time < range.mint)..end
    }

    /// Appends float samples as they are.
    pub fn append_exact(&mut self, columns: &Columns) {
        for (&time, &value) in columns.timestamps_ms.iter().zip(&columns.values) {
            self.push(&Bucket::sample(time, value));
        }
    }

    /// Removes every bucket that may have a sample in one of the ranges: a part of a bucket cannot be taken out.
    pub fn hide(&mut self, hidden: &[TimeRange]) {
        let is_hidden =
            |first_ms: i64, last_ms: i64| hidden.iter().any(|range| range.overlaps(TimeRange::new(first_ms, last_ms)));
        if self.firsts_ms.iter().zip(&self.lasts_ms).any(|(first_ms, last_ms)| is_hidden(*first_ms, *last_ms)) {
            let all = std::mem::take(self);
            all.iter().filter(|bucket| !is_hidden(bucket.first_ms, bucket.last_ms)).for_each(|b| self.push(&b));
        }
    }

    /// Puts buckets into the order of their last samples; of equal ones the one that was appended first stays first.
    pub fn sort(&mut self) {
        if self.lasts_ms.is_sorted() {
            return;
        }
        let all = std::mem::take(self);
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|at| all.lasts_ms[*at]);
        for at in order {
            self.push(&all.get(at));
        }
    }

    /// The coarsest width among them, if any is more than a sample.
    pub fn resolution(&self) -> Option<Resolution> {
        Resolution::of_ms(self.widths_ms.iter().copied().max()?)
    }

    /// Appends the last sample of each bucket, staleness markers too, to columns of floats. Of several with one time the first counts.
    pub fn append_lasts(&self, columns: &mut Columns) {
        for (&time, &value) in self.lasts_ms.iter().zip(&self.lasts) {
            if columns.timestamps_ms.last() != Some(&time) {
                columns.push_float(time, value);
            }
        }
    }

    /// Bytes of the columns.
    pub fn heap_bytes(&self) -> usize {
        self.lasts_ms.capacity() * (9 * size_of::<u64>() + size_of::<u32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(times: &[(i64, i64)]) -> Buckets {
        let mut buckets = Buckets::default();
        for &(first_ms, last_ms) in times {
            buckets.push(&Bucket { first_ms, width_ms: 300_000, ..Bucket::sample(last_ms, last_ms as f64) });
        }
        buckets
    }

    #[test]
    fn what_may_have_a_deleted_sample_is_removed_whole() {
        let mut some = buckets(&[(1, 5), (10, 20), (30, 30)]);
        some.hide(&[TimeRange::new(6, 9)]);
        assert_eq!(some.len(), 3);
        some.hide(&[TimeRange::new(20, 25), TimeRange::new(31, 40)]);
        assert_eq!(some.lasts_ms, [5, 30]);
    }

    #[test]
    fn buckets_are_put_into_order_and_found_by_their_last_sample() {
        let mut some = buckets(&[(10, 20), (1, 5), (30, 30)]);
        some.sort();
        assert_eq!((&some.lasts_ms[..], &some.firsts_ms[..]), (&[5, 20, 30][..], &[1, 10, 30][..]));
        assert_eq!(some.places_in(TimeRange::new(5, 29)), 0..2);
        assert_eq!(some.places_in(TimeRange::new(6, 19)), 1..1);
        let mut part = Buckets::default();
        part.extend_from(&some, 1..3);
        assert_eq!(part.iter().map(|bucket| bucket.last).collect::<Vec<_>>(), [20.0, 30.0]);
    }

    #[test]
    fn single_samples_are_exact_and_markers_have_no_count() {
        let mut columns = Columns::default();
        columns.push_float(7, 2.0);
        columns.push_float(8, stale_nan());
        let mut some = Buckets::default();
        some.append_exact(&columns);
        assert_eq!((&some.counts[..], some.resolution()), (&[1, 0][..], None));
        let mut lasts = Columns::default();
        some.append_lasts(&mut lasts);
        some.append_lasts(&mut lasts);
        assert_eq!(lasts.timestamps_ms[..2], [7, 8]);
        assert!(is_stale_nan(lasts.values[1]));
    }
}
