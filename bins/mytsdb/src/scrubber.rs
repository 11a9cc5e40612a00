//! The thread that reads all blocks now and then, at a bounded rate, to find damage before a query does.

use crate::compactor::Rate;
use mytsdb_engine::{Engine, EngineError};
use mytsdb_stop::StopSign;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Between the start of the server and the first scrub.
const FIRST: Duration = Duration::from_hours(1);

/// Between the end of one scrub and the next.
const INTERVAL: Duration = Duration::from_hours(24);

/// Scrubs until the other end of `stopping` is dropped.
pub(crate) fn run(engine: &Engine, bytes_per_second: u64, stopping: &mpsc::Receiver<()>) {
    let stop = AtomicBool::new(false);
    let mut rate = Rate::new(bytes_per_second);
    let mut pause = FIRST;
    while let Err(mpsc::RecvTimeoutError::Timeout) = stopping.recv_timeout(pause) {
        pause = INTERVAL;
        // Relaxed, here and below: one thread sets and reads it.
        let go_on = || !stop.load(Ordering::Relaxed);
        let mut pace = |bytes| {
            let wait = rate.after(bytes, Instant::now());
            if stopping.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Disconnected) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        match engine.scrub(StopSign::new(&go_on), &mut pace) {
            Err(EngineError::Canceled) => {}
            Ok(done) if done.damaged_chunks > 0 || done.set_aside > 0 => tracing::error!(
                blocks = done.blocks,
                damaged_chunks = done.damaged_chunks,
                set_aside = done.set_aside,
                "blocks are damaged; answers over their time carry warnings",
            ),
            Ok(done) => tracing::debug!(blocks = done.blocks, bytes = done.bytes, "all blocks are sound"),
            Err(error) => tracing::error!("blocks could not be read through: {error}"),
        }
    }
}
