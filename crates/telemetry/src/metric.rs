//! The handles: counter, gauge and histogram, each a cheap clone of shared atomics.
//!
//! Every access is Relaxed: a metric orders no other memory, and a reader only needs a value that was true at some time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds in seconds that suit requests and disk syncs: 100 us to 10 s.
pub const LATENCY_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A number that only grows. One atomic addition per bump.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// A counter that no registry knows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`; wraps at 2^64.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// A gauge that no registry knows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// Adds `delta`, which may be negative.
    #[inline]
    pub fn add(&self, delta: f64) {
        add_f64(&self.0, delta);
    }

    /// The value now.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// Counts of observations under fixed upper bounds. An observation is one search and two atomic operations.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: Box<[f64]>,
    /// Not cumulative; one more than `bounds`, the last for everything above (and NaN).
    counts: Box<[AtomicU64]>,
    sum_bits: AtomicU64,
}

impl Histogram {
    /// A histogram that no registry knows.
    ///
    /// # Panics
    /// If `bounds` is not strictly ascending and finite.
    pub fn new(bounds: &[f64]) -> Self {
        assert!(bounds.iter().all(|b| b.is_finite()), "bounds must be finite");
        assert!(bounds.windows(2).all(|w| w[0] < w[1]), "bounds must ascend");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds: bounds.into(), counts, sum_bits: AtomicU64::new(0) }))
    }

    /// Counts `value`.
    #[inline]
    pub fn observe(&self, value: f64) {
        let bucket = if value.is_nan() { self.0.bounds.len() } else { self.0.bounds.partition_point(|b| *b < value) };
        self.0.counts[bucket].fetch_add(1, Relaxed);
        add_f64(&self.0.sum_bits, value);
    }

    /// The upper bounds, `+Inf` left out.
    pub fn bounds(&self) -> &[f64] {
        &self.0.bounds
    }

    /// Cumulative counts per bound, then the count of all (`+Inf`).
    pub fn cumulative(&self) -> Vec<u64> {
        let mut sum = 0;
        self.0
            .counts
            .iter()
            .map(|c| {
                sum += c.load(Relaxed);
                sum
            })
            .collect()
    }

    /// The sum of all observed values.
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.0.sum_bits.load(Relaxed))
    }
}

fn add_f64(cell: &AtomicU64, delta: f64) {
    cell.fetch_update(Relaxed, Relaxed, |bits| Some((f64::from_bits(bits) + delta).to_bits()))
        .expect("the closure never refuses");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let h = Histogram::new(&[1.0, 2.0]);
        for v in [0.5, 1.0, 1.5, 2.0, 2.5, f64::NAN] {
            h.observe(v);
        }
        assert_eq!(h.cumulative(), [2, 4, 6]);
        assert!(h.sum().is_nan());
    }

    #[test]
    fn clones_share_one_value_across_threads() {
        let (counter, gauge) = (Counter::new(), Gauge::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (counter, gauge) = (counter.clone(), gauge.clone());
                scope.spawn(move || {
                    for _ in 0..1000 {
                        counter.inc();
                        gauge.add(0.5);
                    }
                });
            }
        });
        assert_eq!(counter.get(), 4000);
        assert_eq!(gauge.get(), 2000.0);
    }
}
