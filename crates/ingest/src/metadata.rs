//! What translations learn of metrics, kept by the engine.

use mytsdb_engine::Engine;
use mytsdb_model::{FamilyKind, FamilyMetadata};
use mytsdb_otlp::MetadataKeeper;
use std::sync::Arc;

/// An engine as the keeper of metadata: what is recorded is durable with the batch that is submitted next.
#[derive(Debug)]
pub struct EngineMetadata(Arc<Engine>);

impl EngineMetadata {
    /// Metadata that `engine` keeps.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }
}

impl MetadataKeeper for EngineMetadata {
    fn record(&self, family: &str, kind: FamilyKind, help: &str, unit: &str) {
        // What there is no room for is counted by the engine.
        self.0.describe(family, kind, help, unit);
    }

    fn get(&self, family: &str) -> Option<FamilyMetadata> {
        self.0.metadata(family)
    }

    fn all(&self) -> Vec<(String, FamilyMetadata)> {
        self.0.all_metadata().into_iter().map(|(name, metadata)| (name.to_string(), metadata)).collect()
    }
}
