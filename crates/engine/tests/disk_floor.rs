//! A disk that fills up: writes are refused before it is full, queries go on, and writes too once there is room.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineError, EngineOptions, ManualClock};
use mytsdb_io::{Call, Disk, FaultDisk, SimDisk};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_telemetry::Registry;
use std::path::Path;
use std::sync::Arc;

const FLOOR_BYTES: u64 = 100_000;
const CAPACITY_BYTES: u64 = 400_000;

fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { disk_floor_bytes: Some(FLOOR_BYTES), ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(1_000_000));
    Engine::open(Arc::new(disk.clone()), clock, options, &Registry::new()).unwrap().0
}

fn labels(series: i64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn append(engine: &Engine, timestamp_ms: i64) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    for series in 0..100 {
        batch.push(engine.resolve(&labels(series))?, timestamp_ms, 1.5);
    }
    engine.append(batch).map(|outcome| assert!(outcome.refused.is_empty()))
}

fn count(engine: &Engine) -> usize {
    let found = engine.select(TimeRange::ALL, &[]).unwrap();
    let mut columns = Columns::default();
    (0..found.len())
        .map(|index| {
            columns.clear();
            found.read(index, TimeRange::ALL, &mut columns).unwrap();
            columns.len()
        })
        .sum()
}

#[test]
fn writes_stop_at_the_floor_and_resume_by_themselves_and_nothing_acknowledged_is_lost() {
    let disk = SimDisk::new();
    disk.set_capacity(CAPACITY_BYTES);
    let engine = open(&disk);
    let mut stored = 0;
    let refused = loop {
        match append(&engine, stored) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    let free = disk.free_bytes(Path::new("/data")).unwrap();
    assert!((FLOOR_BYTES / 2..FLOOR_BYTES).contains(&free), "{free}");
    let text = refused.to_string();
    assert!(matches!(refused, EngineError::DiskLow { .. }), "{text}");
    for part in ["--disk-floor-bytes", "100000", &free.to_string()] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(engine.writes_refused(), Some(text));
    assert!(engine.poisoned().is_none());
    // No series is defined meanwhile, and what is there is read.
    assert!(matches!(engine.resolve(&labels(1_000)), Err(EngineError::DiskLow { .. })));
    assert_eq!(count(&engine), stored as usize * 100);
    // The room below the floor is for the flush, which frees the log.
    engine.flush_before(stored).unwrap();
    assert_eq!(count(&engine), stored as usize * 100);
    // A little more than the floor is not enough, somewhat more is.
    let used = CAPACITY_BYTES - disk.free_bytes(Path::new("/data")).unwrap();
    disk.set_capacity(used + FLOOR_BYTES / 2);
    assert!(append(&engine, stored).is_err());
    disk.set_capacity(used + FLOOR_BYTES + 10);
    assert!(append(&engine, stored).is_err());
    disk.set_capacity(used + FLOOR_BYTES * 2);
    engine.maintain().unwrap();
    assert_eq!(engine.writes_refused(), None);
    append(&engine, stored).unwrap();
    engine.resolve(&labels(1_000)).unwrap();
    drop(engine);
    let engine = open(&disk.crash_losing_everything_unsynced());
    assert_eq!(count(&engine), (stored as usize + 1) * 100);
}

#[test]
fn a_server_starts_on_a_full_disk_and_answers() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    append(&engine, 1).unwrap();
    drop(engine);
    // Nothing at all is free, but for what opening the log needs.
    let used = u64::MAX - disk.free_bytes(Path::new("/data")).unwrap();
    disk.set_capacity(used + 4_096);
    let engine = open(&disk);
    assert_eq!(count(&engine), 100);
    assert!(matches!(append(&engine, 2), Err(EngineError::DiskLow { .. })));
}

#[test]
fn without_a_setting_the_floor_is_a_part_of_a_small_disk() {
    let disk = SimDisk::new();
    disk.set_capacity(2_000_000);
    let clock = Arc::new(ManualClock::new(1_000_000));
    let open = |options| Engine::open(Arc::new(disk.clone()), clock.clone(), options, &Registry::new()).unwrap().0;
    let engine = open(EngineOptions::new("/data"));
    append(&engine, 1).unwrap();
    let used = 2_000_000 - disk.free_bytes(Path::new("/data")).unwrap();
    disk.set_capacity(used + 99_000);
    let refused = append(&engine, 2).unwrap_err().to_string();
    assert!(refused.contains("100000"), "{refused}");
    drop(engine);
    let engine = open(EngineOptions { disk_floor_bytes: Some(0), ..EngineOptions::new("/data") });
    append(&engine, 2).unwrap();
}

#[test]
fn the_ballast_gives_room_to_a_flush_on_a_disk_that_others_have_filled_and_is_laid_down_again() {
    const BALLAST_BYTES: u64 = 50_000;
    let disk = SimDisk::new();
    disk.set_capacity(CAPACITY_BYTES);
    let open = |disk: &SimDisk, ballast_bytes| {
        let options = EngineOptions {
            disk_floor_bytes: Some(FLOOR_BYTES),
            disk_ballast_bytes: ballast_bytes,
            ..EngineOptions::new("/data")
        };
        let clock = Arc::new(ManualClock::new(1_000_000));
        Engine::open(Arc::new(disk.clone()), clock, options, &Registry::new()).unwrap().0
    };
    let has_ballast = || disk.exists(Path::new("/data/ballast")).unwrap();
    let free = || disk.free_bytes(Path::new("/data")).unwrap();
    let engine = open(&disk, BALLAST_BYTES);
    let before = free();
    engine.maintain().unwrap();
    assert!(has_ballast() && free() == before - BALLAST_BYTES);
    for at in 0..20 {
        append(&engine, at).unwrap();
    }
    // Others take all that is free but less than a block needs.
    let used = |left: u64| CAPACITY_BYTES - free() + left;
    disk.set_capacity(used(100));
    assert!(matches!(append(&engine, 20), Err(EngineError::DiskLow { .. })));
    assert!(!has_ballast());
    engine.flush_before(20).unwrap();
    assert_eq!(count(&engine), 2_000);
    engine.maintain().unwrap();
    assert!(!has_ballast(), "it comes back only with room for it above the floor");
    disk.set_capacity(CAPACITY_BYTES * 2);
    engine.maintain().unwrap();
    assert!(has_ballast());
    append(&engine, 20).unwrap();
    drop(engine);
    // What a crash has left of it is not taken for all of it.
    disk.open(Path::new("/data/ballast")).unwrap().truncate(10).unwrap();
    let engine = open(&disk, BALLAST_BYTES);
    assert!(!has_ballast());
    engine.maintain().unwrap();
    assert!(has_ballast());
    drop(engine);
    // Without the setting the room is given back at the next start.
    drop(open(&disk, 0));
    assert!(!has_ballast());
    assert_eq!(count(&open(&disk, BALLAST_BYTES)), 2_100);
}

#[test]
fn a_disk_that_sets_no_room_aside_keeps_nobody_from_working() {
    let disk = SimDisk::new();
    disk.set_capacity(CAPACITY_BYTES);
    let faulty = FaultDisk::new(disk.clone());
    faulty.fail_nth(Call::Truncate, 1, 95);
    let options = EngineOptions {
        disk_floor_bytes: Some(FLOOR_BYTES),
        disk_ballast_bytes: 50_000,
        ..EngineOptions::new("/data")
    };
    let clock = Arc::new(ManualClock::new(1_000_000));
    let engine = Engine::open(Arc::new(faulty), clock, options, &Registry::new()).unwrap().0;
    engine.maintain().unwrap();
    assert!(!disk.exists(Path::new("/data/ballast")).unwrap());
    append(&engine, 1).unwrap();
    engine.maintain().unwrap();
    assert!(disk.exists(Path::new("/data/ballast")).unwrap());
}
