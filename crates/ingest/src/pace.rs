//! How fast series may begin: a bucket that fills up at a steady rate, and is emptied by each new one.

use crate::Refusal;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Bounds the series that begin. A new series costs memory for hours, whoever sends it once.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Series a second; 0 for no limit.
    rate: u64,
    burst: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    series: f64,
    filled: Instant,
}

impl Pace {
    pub(crate) fn new(rate: u64, burst: u64) -> Self {
        let burst = burst.max(1) as f64;
        Self { rate, burst, bucket: Mutex::new(Bucket { series: burst, filled: Instant::now() }) }
    }

    /// Takes one series out.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] if there is none: later there is.
    pub(crate) fn begin_series(&self) -> Result<(), Refusal> {
        if self.rate == 0 || self.take(Instant::now()) {
            return Ok(());
        }
        Err(Refusal::overloaded(
            format!("more than {} new series a second, the limit (--max-new-series-per-second)", self.rate),
            "--max-new-series-per-second",
        ))
    }

    fn take(&self, now: Instant) -> bool {
        // After a panic elsewhere the two numbers are still valid.
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.series = (bucket.series + passed * self.rate as f64).min(self.burst);
        bucket.filled = bucket.filled.max(now);
        let there = bucket.series >= 1.0;
        if there {
            bucket.series -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let pace = Pace::new(10, 3);
        let start = Instant::now();
        let taken = |at_ms: u64| (0..100).filter(|_| pace.take(start + Duration::from_millis(at_ms))).count();
        assert_eq!(taken(0), 3);
        assert_eq!(taken(0), 0);
        assert_eq!(taken(100), 1);
        assert_eq!(taken(350), 2);
        assert_eq!(taken(60_000), 3, "no more than a burst is saved up");
        assert_eq!(taken(50_000), 0, "a clock that another thread read earlier gives nothing back");
    }

    #[test]
    fn no_limit_is_none() {
        let pace = Pace::new(0, 0);
        assert!((0..1000).all(|_| pace.begin_series().is_ok()));
    }
}
