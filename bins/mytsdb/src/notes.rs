//! The engine behind the API's endpoints for metadata and exemplars.

use mytsdb_engine::Engine;
use mytsdb_http_api::{ExemplarSource, FamilyMeta, MetadataSource, SeriesExemplars};
use mytsdb_model::{FamilyMetadata, Matcher, TimeRange};
use mytsdb_promql::Cancel;
use mytsdb_stop::StopSign;
use std::sync::{Arc, OnceLock};

/// Asks an engine, once there is one.
#[derive(Clone)]
pub(crate) struct EngineNotes {
    engine: Arc<OnceLock<Arc<Engine>>>,
}

impl EngineNotes {
    pub(crate) fn new(engine: Arc<OnceLock<Arc<Engine>>>) -> Self {
        Self { engine }
    }
}

fn shown(metadata: FamilyMetadata) -> FamilyMeta {
    FamilyMeta { kind: metadata.kind.as_str(), help: metadata.help, unit: metadata.unit }
}

impl MetadataSource for EngineNotes {
    fn get(&self, family: &str) -> Option<FamilyMeta> {
        self.engine.get()?.metadata(family).map(shown)
    }

    fn all(&self) -> Vec<(String, FamilyMeta)> {
        let all = self.engine.get().map(|engine| engine.all_metadata()).unwrap_or_default();
        all.into_iter().map(|(name, metadata)| (name.to_string(), shown(metadata))).collect()
    }

    fn remark(&self) -> Option<String> {
        self.engine.get()?.metadata_full()
    }
}

impl ExemplarSource for EngineNotes {
    fn exemplars(
        &self,
        range: TimeRange,
        selectors: &[Vec<Matcher>],
        cancel: &Cancel,
    ) -> Result<Vec<SeriesExemplars>, String> {
        let keep_going = || cancel.check().is_ok();
        let engine = self.engine.get().ok_or("the storage is being opened")?;
        engine.exemplars(range, selectors, StopSign::new(&keep_going)).map_err(|error| error.to_string())
    }
}
