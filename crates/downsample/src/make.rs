//! Buckets out of samples.

use crate::{Bucket, Buckets, Resolution};
use mytsdb_model::is_stale_nan;

/// A bucket that is being filled.
struct Open {
    bucket: Bucket,
    /// What rounding took from its sum.
    compensation: f64,
}

impl Open {
    fn new(time_ms: i64, value: f64, resolution: Resolution) -> Self {
        let bucket = Bucket { width_ms: resolution.ms(), ..Bucket::sample(time_ms, value) };
        Self { bucket, compensation: 0.0 }
    }

    fn add(&mut self, time_ms: i64, value: f64) {
        let Self { bucket, compensation } = self;
        // Neumaier's sum, as PromQL adds.
        let sum = bucket.sum + value;
        *compensation = if sum.is_infinite() {
            0.0
        } else if bucket.sum.abs() >= value.abs() {
            *compensation + ((bucket.sum - sum) + value)
        } else {
            *compensation + ((value - sum) + bucket.sum)
        };
        bucket.sum = sum;
        if value < bucket.last {
            bucket.resets += bucket.last;
        }
        if value < bucket.min || bucket.min.is_nan() {
            bucket.min = value;
        }
        if value > bucket.max || bucket.max.is_nan() {
            bucket.max = value;
        }
        (bucket.last_ms, bucket.last) = (time_ms, value);
        bucket.count = bucket.count.saturating_add(1);
    }

    fn finish(self) -> Bucket {
        let Self { mut bucket, compensation } = self;
        if !bucket.sum.is_infinite() {
            bucket.sum += compensation;
        }
        bucket
    }
}

impl Buckets {
    /// Appends the buckets of float samples, whose times ascend. A staleness marker ends its bucket if no sample follows in it; one that is
    /// followed is dropped.
    ///
    /// # Panics
    /// If there are not as many values as times.
    pub fn append_floats(&mut self, times_ms: &[i64], values: &[f64], resolution: Resolution) {
        assert_eq!(times_ms.len(), values.len(), "a time for each value");
        let mut open: Option<Open> = None;
        let mut stale_ms = None;
        let mut end_ms = i64::MIN;
        for (&time_ms, &value) in times_ms.iter().zip(values) {
            let end = resolution.end_of(time_ms);
            if end != end_ms {
                self.close(open.take(), stale_ms.take(), resolution);
                end_ms = end;
            }
            if is_stale_nan(value) {
                stale_ms = Some(time_ms);
                continue;
            }
            stale_ms = None;
            match &mut open {
                Some(open) => open.add(time_ms, value),
                None => open = Some(Open::new(time_ms, value, resolution)),
            }
        }
        self.close(open, stale_ms, resolution);
    }

    fn close(&mut self, open: Option<Open>, stale_ms: Option<i64>, resolution: Resolution) {
        if let Some(open) = open {
            self.push(&open.finish());
        }
        if let Some(time_ms) = stale_ms {
            self.push(&Bucket::stale(time_ms, resolution.ms()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::stale_nan;

    fn of(samples: &[(i64, f64)]) -> Vec<Bucket> {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let mut buckets = Buckets::default();
        buckets.append_floats(&times, &values, Resolution::FiveMinutes);
        buckets.iter().collect()
    }

    #[test]
    fn resets_within_a_bucket_are_not_lost() {
        // 3 + 7 (from 0) + 1 - all of it: 5 to 8, then 7 from 0, then 1 from 0.
        let found = of(&[(1, 5.0), (2, 8.0), (3, 7.0), (4, 1.0)]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].resets, 15.0);
        assert_eq!(found[0].last - found[0].first + found[0].resets, 3.0 + 7.0 + 1.0);
    }

    #[test]
    fn a_marker_stays_if_nothing_follows_it_in_its_bucket() {
        let found = of(&[(1, 5.0), (2, stale_nan()), (3, 6.0), (4, stale_nan()), (300_001, 7.0)]);
        let shape: Vec<(i64, u32)> = found.iter().map(|bucket| (bucket.last_ms, bucket.count)).collect();
        assert_eq!(shape, [(3, 2), (4, 0), (300_001, 1)]);
        assert!(is_stale_nan(found[1].last) && found[1].width_ms == 300_000);
        let alone = of(&[(9, stale_nan())])[0];
        assert_eq!((alone.first_ms, alone.last_ms, alone.count, alone.sum), (9, 9, 0, 0.0));
        assert!(alone.is_stale() && is_stale_nan(alone.first));
    }

    #[test]
    fn not_a_number_counts_and_is_extreme_only_alone() {
        let found = of(&[(1, f64::NAN), (2, 3.0), (3, f64::NAN)]);
        assert_eq!((found[0].count, found[0].min, found[0].max), (3, 3.0, 3.0));
        assert!(found[0].sum.is_nan() && found[0].first.is_nan() && found[0].last.is_nan());
        assert!(of(&[(1, f64::NAN)])[0].min.is_nan());
    }

    #[test]
    fn sums_are_compensated_and_may_be_infinite() {
        assert_eq!(of(&[(1, 1e100), (2, 1.0), (3, -1e100)])[0].sum, 1.0);
        assert_eq!(of(&[(1, f64::MAX), (2, f64::MAX)])[0].sum, f64::INFINITY);
    }
}
