//! Samples are judged once, before they are logged: what was refused, or was there already, does not come back.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod kinds;

use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock, Refusal};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_telemetry::Registry;
use std::sync::Arc;

const RETENTION_MS: i64 = 100_000;
const START_MS: i64 = 10_000_000;

struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        Self { disk: SimDisk::new(), clock: Arc::new(ManualClock::new(START_MS)) }
    }

    fn open(&self) -> (Engine, u64) {
        let options = EngineOptions {
            block_ms: 1_000,
            // Nothing is flushed on its own.
            flush_delay_ms: 2 * START_MS,
            retention_ms: RETENTION_MS,
            ..EngineOptions::new("/data")
        };
        let disk = Arc::new(self.disk.clone());
        let (engine, recovery) = Engine::open(disk, self.clock.clone(), options, &Registry::new()).unwrap();
        (engine, recovery.replayed_samples)
    }
}

fn labels(series: u64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn batch(engine: &Engine, rows: &[(u64, i64, f64)]) -> Batch {
    let mut batch = Batch::default();
    for &(series, timestamp_ms, value) in rows {
        kinds::push(&mut batch, engine.resolve(&labels(series)).unwrap(), series, timestamp_ms, value);
    }
    batch
}

fn all(engine: &Engine) -> Vec<(u64, i64, f64)> {
    let mut all = Vec::new();
    let found = engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).unwrap();
    for index in 0..found.len() {
        let series: u64 = found.labels(index).get("series").unwrap().parse().unwrap();
        all.extend(kinds::read(&found, index, series).into_iter().map(|(time, value)| (series, time, value)));
    }
    all
}

/// A block has one sample of each of three series; then other values of these times are refused, and the same are known.
fn with_refused_rows(world: &World) -> Engine {
    let (engine, _) = world.open();
    let histogram = kinds::HISTOGRAM + 1.0;
    let first = [(1, START_MS, 1.0), (2, START_MS, 1.0), (3, START_MS, histogram)];
    assert_eq!(engine.append(batch(&engine, &first)).unwrap().stored, 3);
    assert_eq!(engine.flush_before(START_MS + 1).unwrap().0, 3);
    let again = [(1, START_MS, 2.0), (2, START_MS, 1.0), (3, START_MS, 1.0), (1, START_MS + 5, 5.0)];
    let outcome = engine.append(batch(&engine, &again)).unwrap();
    assert_eq!(outcome.refused, [(0, Refusal::Conflict), (2, Refusal::Conflict)]);
    assert_eq!((outcome.stored, outcome.duplicates), (1, 1));
    engine
}

#[test]
fn a_refused_sample_does_not_come_back_when_the_block_that_it_lost_to_has_expired() {
    let world = World::new();
    drop(with_refused_rows(&world));
    let (engine, _) = world.open();
    let now_ms = START_MS + RETENTION_MS + 1;
    world.clock.set(now_ms);
    engine.append(batch(&engine, &[(1, now_ms, 9.0)])).unwrap();
    assert_eq!(engine.maintain().unwrap().expired_blocks, 1);
    assert_eq!(all(&engine), [(1, START_MS + 5, 5.0), (1, now_ms, 9.0)]);
}

#[test]
fn the_log_has_only_what_is_stored() {
    let world = World::new();
    drop(with_refused_rows(&world));
    let (engine, replayed) = world.open();
    assert_eq!(replayed, 1, "one row was stored after the flush");
    // In one group: the first of two values counts, whatever they stand beside.
    let later = START_MS + 10;
    let rows = [(1, later, 1.0), (1, later - 1, 3.0), (1, later, 2.0), (1, later, 1.0), (1, later - 1, 3.0)];
    let outcome = engine.append(batch(&engine, &rows)).unwrap();
    assert_eq!((outcome.stored, outcome.duplicates), (2, 2));
    assert_eq!(outcome.refused, [(2, Refusal::Conflict)]);
    let before = all(&engine);
    drop(engine);
    let (engine, replayed) = world.open();
    assert_eq!(replayed, 3);
    assert_eq!(all(&engine), before);
}

#[test]
fn a_point_that_is_known_in_part_is_stored_in_part_and_keeps_its_exemplars_and_companion() {
    let world = World::new();
    let engine = with_refused_rows(&world);
    let info = engine.resolve(&labels(9)).unwrap();
    let mut rows = batch(&engine, &[(2, START_MS, 1.0), (4, START_MS, 4.0), (5, START_MS, 5.0), (2, START_MS, 1.0)]);
    rows.points.push(0..3);
    rows.companions.push(mytsdb_engine::Companion { series: info, value: 1.0, step_ms: 1_000, rows: 0..4 });
    let exemplar = mytsdb_model::Exemplar { timestamp_ms: START_MS, value: 1.0, labels: Labels::default() };
    let reference = rows.refs[3];
    rows.push_exemplar_of_last(reference, exemplar);
    let outcome = engine.append(rows).unwrap();
    assert_eq!((outcome.stored, outcome.duplicates, outcome.exemplars), (3, 2, 1));
    assert!(outcome.refused.is_empty());
    let stored = all(&engine);
    assert!([(4, START_MS, 4.0), (5, START_MS, 5.0), (9, START_MS, 1.0)].iter().all(|row| stored.contains(row)));
    drop(engine);
    let (engine, replayed) = world.open();
    assert_eq!(replayed, 1 + 3);
    assert_eq!(all(&engine), stored);
}
