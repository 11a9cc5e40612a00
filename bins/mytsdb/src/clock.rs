//! The machine's clock, for the engine.

use std::time::{SystemTime, UNIX_EPOCH};

/// Asks the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl mytsdb_engine::Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or_else(|before| -(before.duration().as_millis() as i64), |after| after.as_millis() as i64)
    }
}
