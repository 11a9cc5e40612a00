//! A limit of bytes a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lets bytes pass one after the other, at a rate.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    /// When what was let through before has passed.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// At least one byte a second.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(None) }
    }

    /// Waits until all bytes before these have passed.
    pub async fn take(&self, bytes: u64) {
        let start = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = free_at.map_or(now, |at| at.max(now));
            *free_at = Some(start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64));
            start
        };
        tokio::time::sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_pass_at_the_rate() {
        let (pace, begin) = (Pace::new(1_000), Instant::now());
        for _ in 0..5 {
            pace.take(500).await;
        }
        pace.take(0).await;
        assert_eq!(begin.elapsed().as_millis(), 2_500);
    }
}
