//! The thread that merges blocks, at a bounded rate of writing.

use crate::worker::{self, Shutdown};
use anyhow::Result;
use mytsdb_engine::{Engine, EngineError};
use mytsdb_stop::StopSign;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks for blocks to merge.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the thread waits after a failure.
const INTERVAL_AFTER_FAILURE: Duration = Duration::from_mins(1);

/// Starts the thread.
pub(crate) fn start(engine: &Arc<Engine>, bytes_per_second: u64, shutdown: &Arc<Shutdown>) -> Result<JoinHandle<()>> {
    let (engine, mut rate) = (engine.clone(), Rate::new(bytes_per_second));
    worker::spawn("compactor", shutdown, INTERVAL, move |shutdown| step(&engine, &mut rate, shutdown))
}

/// Merges blocks once, if there are any to merge.
fn step(engine: &Engine, rate: &mut Rate, shutdown: &Shutdown) -> Duration {
    let go_on = || !shutdown.has_begun();
    let mut pace = |bytes| shutdown.wait(rate.after(bytes, Instant::now()));
    match engine.compact(StopSign::new(&go_on), &mut pace) {
        Ok(None) | Err(EngineError::Canceled) => INTERVAL,
        Ok(Some(done)) => {
            tracing::info!(
                blocks = done.blocks_in,
                into = done.blocks_out,
                bytes = done.bytes_in,
                bytes_after = done.bytes_out,
                samples = done.samples,
                "merged blocks",
            );
            Duration::ZERO
        }
        Err(error) => {
            tracing::error!("blocks could not be merged: {error}");
            INTERVAL_AFTER_FAILURE
        }
    }
}

/// Spreads bytes over time.
pub(crate) struct Rate {
    bytes_per_second: u64,
    /// The time until which the bytes written so far use up the rate.
    free_at: Instant,
}

impl Rate {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, free_at: Instant::now() }
    }

    /// How long to wait after `bytes` more.
    pub(crate) fn after(&mut self, bytes: u64, now: Instant) -> Duration {
        let seconds = bytes as f64 / self.bytes_per_second as f64;
        // At most a day. With a rate of one byte a second, a large series would take longer.
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(seconds.min(86_400.0));
        self.free_at - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spread_and_pauses_are_not_made_up_for() {
        let now = Instant::now();
        let mut rate = Rate { bytes_per_second: 1_000, free_at: now };
        assert_eq!(rate.after(500, now), Duration::from_millis(500));
        assert_eq!(rate.after(500, now), Duration::from_secs(1));
        let later = now + Duration::from_secs(10);
        assert_eq!(rate.after(100, later), Duration::from_millis(100));
        assert_eq!(rate.after(0, later + Duration::from_secs(1)), Duration::ZERO);
    }
}
