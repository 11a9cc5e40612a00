//! The server stores its own metrics into itself, from the first second on.

use crate::clock::SystemClock;
use crate::worker::{self, Shutdown};
use anyhow::Result;
use mytsdb_engine::{Batch, Clock, Engine, EngineError};
use mytsdb_model::{LABEL_NAME, Labels, LabelsBuilder};
use mytsdb_telemetry::{Family, Registry, process_families};
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Starts a thread that appends all metrics every `interval`.
pub(crate) fn start(
    engine: &Arc<Engine>,
    registry: &Registry,
    instance: String,
    interval: Duration,
    shutdown: &Arc<Shutdown>,
) -> Result<JoinHandle<()>> {
    let (engine, registry) = (engine.clone(), registry.clone());
    let mut known: HashMap<Key, Labels> = HashMap::new();
    worker::spawn("self-metrics", shutdown, Duration::ZERO, move |_| {
        if let Err(error) = store_once(&engine, &registry, &SystemClock, &instance, &mut known) {
            tracing::warn!("own metrics were not stored: {error}");
        }
        interval
    })
}

/// Family name, suffix and labels of a sample.
type Key = (String, &'static str, Labels);

fn store_once(
    engine: &Engine,
    registry: &Registry,
    clock: &dyn Clock,
    instance: &str,
    known: &mut HashMap<Key, Labels>,
) -> Result<(), EngineError> {
    let now_ms = clock.now_ms();
    let mut batch = Batch::default();
    let process = process_families();
    for family in registry.gather().iter().chain(&process) {
        for sample in &family.samples {
            let key = (family.name.clone(), sample.suffix, sample.labels.clone());
            let labels = known.entry(key).or_insert_with_key(|key| series_labels(family, key, instance));
            batch.push(engine.resolve(labels)?, now_ms, sample.value);
        }
    }
    engine.append(batch).map(drop)
}

fn series_labels(family: &Family, (_, suffix, labels): &Key, instance: &str) -> Labels {
    let mut builder = LabelsBuilder::from_labels(labels);
    builder.set("job", "mytsdb").set("instance", instance);
    builder.set(LABEL_NAME, &format!("{}{suffix}", family.name));
    builder.build()
}
