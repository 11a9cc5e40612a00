//! The thread that merges blocks, at a bounded rate of writing, and with a bounded share of a core while others need the processor.

use crate::worker::{self, Shutdown};
use anyhow::Result;
use mytsdb_engine::{Engine, EngineError};
use mytsdb_stop::StopSign;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks for blocks to merge.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the thread waits after a failure.
const INTERVAL_AFTER_FAILURE: Duration = Duration::from_mins(1);

/// How long a merge works before it looks whether it should rest.
const SLICE: Duration = Duration::from_millis(2);

/// Part of a core above which the other threads count as busy: 1 / 8.
const BUSY_PARTS: u32 = 8;

/// Rests of a merge beside busy threads in terms of its work: it has a third of a core.
const REST_TIMES: u32 = 2;

/// Starts the thread.
pub(crate) fn start(engine: &Arc<Engine>, bytes_per_second: u64, shutdown: &Arc<Shutdown>) -> Result<JoinHandle<()>> {
    let (engine, mut rate) = (engine.clone(), Rate::new(bytes_per_second));
    worker::spawn("compactor", shutdown, INTERVAL, move |shutdown| step(&engine, &mut rate, shutdown))
}

/// Merges blocks once, if there are any to merge.
fn step(engine: &Engine, rate: &mut Rate, shutdown: &Shutdown) -> Duration {
    let go_on = || !shutdown.has_begun();
    let mut rests = Rests::new(Clocks::now());
    let mut pace = |bytes| {
        let now = Instant::now();
        let rest = if rests.is_due(now) { rests.after(Clocks::now()) } else { Duration::ZERO };
        shutdown.wait(rate.after(bytes, now).max(rest));
    };
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

/// What has passed at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    at: Instant,
    /// What this thread, and all of the process, have used of the processor.
    own: Duration,
    all: Duration,
}

impl Clocks {
    fn now() -> Self {
        let used = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        Self { at: Instant::now(), own: used(ClockId::ThreadCPUTime), all: used(ClockId::ProcessCPUTime) }
    }
}

/// Keeps a thread from taking a whole core while other threads of the process, those of queries and of writes, are busy.
struct Rests {
    /// When the last slice ended, before the rest.
    before: Clocks,
}

impl Rests {
    fn new(now: Clocks) -> Self {
        Self { before: now }
    }

    /// Whether a slice is over.
    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.before.at) >= SLICE
    }

    /// How long to rest behind a slice: not at all if nobody else has done much since the one before.
    fn after(&mut self, now: Clocks) -> Duration {
        let before = std::mem::replace(&mut self.before, now);
        let own = now.own.saturating_sub(before.own);
        let others = now.all.saturating_sub(before.all).saturating_sub(own);
        let is_busy = others * BUSY_PARTS > now.at.saturating_duration_since(before.at);
        if is_busy { own * REST_TIMES } else { Duration::ZERO }
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
    fn a_merge_rests_beside_busy_threads_and_only_there() {
        let ms = Duration::from_millis;
        let mut now = Clocks { at: Instant::now(), own: ms(5), all: ms(100) };
        let mut rests = Rests::new(now);
        let mut pass = |wall: u64, own: u64, others: u64| {
            now = Clocks { at: now.at + ms(wall), own: now.own + ms(own), all: now.all + ms(own + others) };
            assert_eq!(rests.is_due(now.at), wall >= 2);
            rests.after(now)
        };
        assert_eq!(pass(2, 2, 0), Duration::ZERO, "it is alone");
        assert_eq!(pass(8, 8, 1), Duration::ZERO, "others do hardly anything");
        assert_eq!(pass(4, 2, 4), ms(4), "others use a core");
        assert_eq!(pass(6, 2, 8), ms(4), "the rest before is part of the time");
        assert_eq!(pass(6, 2, 0), Duration::ZERO, "they are done");
        assert_eq!(pass(1, 0, 1), Duration::ZERO, "it did nothing itself");
    }

    #[test]
    fn the_clocks_tell_what_is_used() {
        let before = Clocks::now();
        while Clocks::now().own <= before.own {}
        let now = Clocks::now();
        assert!(now.all > before.all && now.at > before.at);
    }

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
