//! The engine behind the API's endpoints that delete samples.

use mytsdb_engine::Engine;
use mytsdb_http_api::Admin;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::sync::{Arc, OnceLock};

/// Deletes from an engine, once there is one.
pub(crate) struct EngineAdmin {
    engine: Arc<OnceLock<Arc<Engine>>>,
}

impl EngineAdmin {
    pub(crate) fn new(engine: Arc<OnceLock<Arc<Engine>>>) -> Self {
        Self { engine }
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
        let cleaned = self.engine()?.clean_tombstones(StopSign::NEVER, &mut |_| ());
        let blocks = cleaned.map_err(|error| error.to_string())?;
        tracing::info!(blocks, "blocks were written anew without what is deleted");
        Ok(())
    }
}
