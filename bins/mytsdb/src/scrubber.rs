//! The thread that reads all blocks now and then, at a bounded rate, to find damage before a query does.

use crate::compactor::Rate;
use crate::worker::{self, Shutdown};
use anyhow::Result;
use mytsdb_engine::{Engine, EngineError};
use mytsdb_stop::StopSign;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between the start of the server and the first scrub.
const FIRST: Duration = Duration::from_hours(1);

/// Between the end of one scrub and the next.
const INTERVAL: Duration = Duration::from_hours(24);

/// Starts the thread.
pub(crate) fn start(engine: &Arc<Engine>, bytes_per_second: u64, shutdown: &Arc<Shutdown>) -> Result<JoinHandle<()>> {
    let (engine, mut rate) = (engine.clone(), Rate::new(bytes_per_second));
    worker::spawn("scrubber", shutdown, FIRST, move |shutdown| {
        step(&engine, &mut rate, shutdown);
        INTERVAL
    })
}

fn step(engine: &Engine, rate: &mut Rate, shutdown: &Shutdown) {
    let go_on = || !shutdown.has_begun();
    let mut pace = |bytes| shutdown.wait(rate.after(bytes, Instant::now()));
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
