//! The engine behind the API's endpoints that delete samples.

use crate::compactor::Rate;
use crate::worker::Shutdown;
use mytsdb_cold::Cold;
use mytsdb_engine::{Engine, EngineError};
use mytsdb_http_api::Admin;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Something that is there once the data folder is open.
pub(crate) type Later<T> = Arc<OnceLock<Arc<T>>>;

/// Deletes from an engine, once there is one.
pub(crate) struct EngineAdmin {
    engine: Later<Engine>,
    /// The cold tier, if there is one.
    cold: Later<Cold>,
    /// Bytes a second at which blocks are rewritten; 0 for no limit.
    bytes_per_second: u64,
    shutdown: Arc<Shutdown>,
}

impl EngineAdmin {
    pub(crate) fn new(
        (engine, cold): (Later<Engine>, Later<Cold>),
        bytes_per_second: u64,
        shutdown: Arc<Shutdown>,
    ) -> Self {
        Self { engine, cold, bytes_per_second, shutdown }
    }

    fn engine(&self) -> Result<&Engine, String> {
        self.engine.get().map(|engine| &**engine).ok_or_else(|| "the storage is being opened".to_owned())
    }
}

impl Admin for EngineAdmin {
    fn delete_series(&self, selectors: Vec<Vec<Matcher>>, range: TimeRange) -> Result<(), String> {
        let texts: Vec<String> = selectors.iter().flatten().map(Matcher::to_string).collect();
        self.engine()?.delete_series(&selectors, range).map_err(|error| error.to_string())?;
        tracing::info!(matchers = texts.join(","), %range, "deleted samples");
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        let go_on = || !self.shutdown.has_begun();
        let mut rate = Rate::new(self.bytes_per_second.max(1));
        let mut pace = |bytes| {
            if self.bytes_per_second > 0 {
                self.shutdown.wait(rate.after(bytes, Instant::now()));
            }
        };
        let blocks = match self.engine()?.clean_tombstones(StopSign::new(&go_on), &mut pace) {
            Ok(blocks) => blocks,
            Err(EngineError::Canceled) => {
                return Err("the server is shutting down; what is left is cleaned later".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        tracing::info!(blocks, "blocks were written anew without what is deleted");
        if let Some(cold) = self.cold.get() {
            match cold.clean_tombstones(StopSign::new(&go_on)) {
                Ok(files) => tracing::info!(files, "days of the cold tier were written anew without what is deleted"),
                Err(error) if error.is_canceled() => {
                    return Err("the server is shutting down; what is left is cleaned later".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_engine::{Batch, EngineOptions, ManualClock};
    use mytsdb_model::Labels;

    /// An administrator of an engine with a block of which half is deleted.
    fn fixture(bytes_per_second: u64) -> (EngineAdmin, Arc<Engine>, Arc<Shutdown>) {
        let (disk, clock) = (Arc::new(mytsdb_io::SimDisk::new()), Arc::new(ManualClock::new(10_000)));
        let registry = mytsdb_telemetry::Registry::new();
        let (engine, _) = Engine::open(disk, clock, EngineOptions::new("/data"), &registry).unwrap();
        let series = engine.resolve(&Labels::from_pairs([("__name__", "m")])).unwrap();
        let mut batch = Batch::default();
        (0..1_000).for_each(|at| batch.push(series, at, at as f64));
        engine.append(batch).unwrap();
        engine.flush_before(5_000).unwrap();
        engine.delete_series(&[vec![Matcher::equal("__name__", "m")]], TimeRange::new(0, 499)).unwrap();
        let (engine, shutdown) = (Arc::new(engine), Arc::new(Shutdown::default()));
        let cell = Arc::new(OnceLock::from(engine.clone()));
        (EngineAdmin::new((cell, Arc::default()), bytes_per_second, shutdown.clone()), engine, shutdown)
    }

    fn is_hidden(engine: &Engine) -> bool {
        // Without hidden samples in a block there is nothing to clean.
        engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap() > 0
    }

    #[test]
    fn cleaning_writes_blocks_anew_as_fast_as_it_may() {
        for bytes_per_second in [0, 1 << 40] {
            let (admin, engine, _) = fixture(bytes_per_second);
            admin.clean_tombstones().unwrap();
            assert!(!is_hidden(&engine));
        }
    }

    #[test]
    fn a_shutdown_ends_cleaning_that_waits_for_its_rate() {
        // At one byte a second the cleaning would take hours.
        let (admin, engine, shutdown) = fixture(1);
        let error = std::thread::scope(|scope| {
            let cleaning = scope.spawn(|| admin.clean_tombstones());
            shutdown.begin();
            cleaning.join().unwrap().unwrap_err()
        });
        assert!(error.contains("shutting down"), "{error}");
        assert!(is_hidden(&engine));
    }
}
