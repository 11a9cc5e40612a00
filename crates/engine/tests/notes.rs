//! Exemplars and metadata: they outlive flushes, the log that they came by, restarts and their series' place in the head.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_engine::{Batch, Described, Engine, EngineOptions, ManualClock};
use mytsdb_io::{Call, Disk, FaultDisk, SimDisk};
use mytsdb_model::{Exemplar, FamilyKind, Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::path::Path;
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;

struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    registry: Registry,
    options: EngineOptions,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(100 * HOUR_MS));
        Self { disk: SimDisk::new(), clock, registry: Registry::new(), options: EngineOptions::new("/data") }
    }

    fn open(&self) -> Engine {
        let disk = Arc::new(self.disk.clone());
        Engine::open(disk, self.clock.clone(), self.options.clone(), &self.registry).unwrap().0
    }

    fn counted(&self, line: &str) -> bool {
        {
            let mut text = String::new();
            mytsdb_telemetry::write_text(&self.registry.gather(), &mut text);
            text.lines().any(|found| found == line)
        }
    }
}

fn labels(le: &str) -> Labels {
    Labels::from_pairs([("__name__", "took_bucket"), ("le", le)])
}

fn exemplar(timestamp_ms: i64, trace: &str) -> Exemplar {
    Exemplar { timestamp_ms, value: 0.25, labels: Labels::from_pairs([("trace_id", trace)]) }
}

/// The traces of what is there, series by series.
fn traces(engine: &Engine, range: TimeRange) -> Vec<String> {
    let all = [vec![Matcher::equal("__name__", "took_bucket")]];
    let found = engine.exemplars(range, &all, StopSign::NEVER).unwrap();
    let shown = |(labels, exemplars): &(Labels, Vec<Exemplar>)| {
        let traces: Vec<_> = exemplars.iter().filter_map(|e| e.labels.get("trace_id")).collect();
        format!("{} {}", labels.get("le").unwrap(), traces.join(" "))
    };
    found.iter().map(shown).collect()
}

/// A batch that has nothing but what was said of metrics.
fn description() -> Batch {
    let mut batch = Batch::default();
    batch.describes = true;
    batch
}

#[test]
fn they_outlive_the_log_and_their_series() {
    let world = World::new();
    let engine = world.open();
    let time = 100 * HOUR_MS;
    assert_eq!(engine.describe("took", FamilyKind::Histogram, "How long.", "seconds"), Described::Noted);
    let (half, one) = (engine.resolve(&labels("0.5")).unwrap(), engine.resolve(&labels("1")).unwrap());
    let mut batch = Batch::default();
    batch.push(half, time, 1.0);
    batch.push(one, time, 2.0);
    batch.push_exemplar_of_last(half, exemplar(time, "a"));
    batch.push_exemplar_of_last(one, exemplar(time - 1, "b"));
    assert_eq!(engine.append(batch.clone()).unwrap().exemplars, 2);
    assert_eq!(engine.append(batch).unwrap().exemplars, 2, "sent again they are written and not there twice");
    // Flushes: the samples are in a block, the series leave the head, the log begins anew.
    for _ in 0..4 {
        engine.flush_before(i64::MAX).unwrap();
    }
    assert_eq!(engine.head_series_count(), 0);
    engine.stop().unwrap();
    drop(engine);
    let wal = Path::new("/data/wal");
    assert!(!world.disk.list(wal).unwrap().contains(&"00000001.wal".to_owned()), "the log that they came by is gone");
    for _ in 0..2 {
        let engine = world.open();
        assert_eq!(traces(&engine, TimeRange::ALL), ["0.5 a", "1 b"]);
        assert_eq!(traces(&engine, TimeRange::new(time, time)), ["0.5 a"]);
        let known = engine.metadata("took").unwrap();
        assert_eq!((known.kind, &*known.help, &*known.unit), (FamilyKind::Histogram, "How long.", "seconds"));
        assert_eq!(engine.describe("took", FamilyKind::Histogram, "How long.", "seconds"), Described::Known);
        assert!(world.counted("mytsdb_engine_exemplars 2") && world.counted("mytsdb_engine_metadata_metrics 1"));
    }
}

#[test]
fn metadata_alone_is_durable_when_its_batch_is_done() {
    let world = World::new();
    let engine = world.open();
    engine.describe("m", FamilyKind::Gauge, "Alone.", "");
    engine.append(description()).unwrap();
    drop(engine);
    let image = World { disk: world.disk.crash_losing_everything_unsynced(), ..World::new() };
    assert_eq!(image.open().metadata("m").unwrap().help, "Alone.");
}

#[test]
fn metadata_that_a_failed_group_had_is_in_the_next() {
    let disk = Arc::new(FaultDisk::new(SimDisk::new()));
    let clock = Arc::new(ManualClock::new(0));
    let options = EngineOptions::new("/data");
    let open = || Engine::open(disk.clone(), clock.clone(), options.clone(), &Registry::new()).unwrap().0;
    let engine = open();
    engine.describe("m", FamilyKind::Gauge, "Kept.", "");
    disk.fail_nth(Call::Write, disk.count(Call::Write) + 1, 28);
    assert!(engine.append(description()).is_err());
    engine.append(description()).unwrap();
    drop(engine);
    assert_eq!(open().metadata("m").unwrap().help, "Kept.");
}

#[test]
fn a_refused_point_leaves_no_exemplar() {
    let world = World::new();
    let engine = world.open();
    let (series, time) = (engine.resolve(&labels("1")).unwrap(), 100 * HOUR_MS);
    let append = |timestamp_ms: i64, value: f64, exemplar: Exemplar| {
        let mut batch = Batch::default();
        batch.push(series, timestamp_ms, value);
        batch.push_exemplar_of_last(series, exemplar);
        let outcome = engine.append(batch).unwrap();
        (outcome.refused.len(), outcome.exemplars)
    };
    assert_eq!(append(time, 1.0, exemplar(time, "first")), (0, 1));
    assert_eq!(append(time, 2.0, exemplar(time, "conflict")), (1, 0), "a point of one row");
    assert_eq!(append(time - 1_000 * HOUR_MS, 1.0, exemplar(time, "old")), (1, 0));
    assert_eq!(append(time + 1, 1.0, exemplar(time - 1_000 * HOUR_MS, "old")), (0, 0), "its own time is too old");
    assert_eq!(append(time + 2, 1.0, exemplar(time, &"x".repeat(121))), (0, 0), "129 characters");
    assert_eq!(append(time + 3, 1.0, exemplar(time, &"é".repeat(120))), (0, 1), "128 characters");
    let last = format!("1 first {}", "é".repeat(120));
    assert_eq!(traces(&engine, TimeRange::ALL), [&*last]);
    for line in [
        "mytsdb_engine_exemplars_refused_total{reason=\"point_refused\"} 2",
        "mytsdb_engine_exemplars_refused_total{reason=\"time\"} 1",
        "mytsdb_engine_exemplars_refused_total{reason=\"labels_too_long\"} 1",
        "mytsdb_engine_exemplars_stored_total 2",
    ] {
        assert!(world.counted(line), "{line}");
    }
    drop(engine);
    assert_eq!(traces(&world.open(), TimeRange::ALL), [&*last], "the log has no more");
}

#[test]
fn deleted_and_expired_exemplars_are_gone_for_good() {
    let mut world = World::new();
    world.options.retention_ms = 10 * HOUR_MS;
    let engine = world.open();
    let time = 100 * HOUR_MS;
    let mut batch = Batch::default();
    for (le, trace, age) in [("1", "a", 0), ("1", "b", HOUR_MS), ("2", "c", 0)] {
        let series = engine.resolve(&labels(le)).unwrap();
        batch.push_exemplar(series, exemplar(time - age, trace));
    }
    assert_eq!(engine.append(batch).unwrap().exemplars, 3, "exemplars come without samples too");
    let one = [vec![Matcher::equal("le", "1")]];
    engine.delete_series(&one, TimeRange::new(time, time)).unwrap();
    assert_eq!(traces(&engine, TimeRange::ALL), ["1 b", "2 c"]);
    drop(engine);
    let engine = world.open();
    assert_eq!(traces(&engine, TimeRange::ALL), ["1 b", "2 c"]);
    world.clock.set(time + 10 * HOUR_MS);
    assert_eq!(traces(&engine, TimeRange::ALL), ["2 c"], "past the retention");
    let series = engine.resolve(&labels("3")).unwrap();
    let mut batch = Batch::default();
    batch.push(series, time + 10 * HOUR_MS, 1.0);
    engine.append(batch).unwrap();
    engine.flush_before(i64::MAX).unwrap();
    assert!(world.counted("mytsdb_engine_exemplars 1"));
}
