//! A week of samples on a clock of our own: memory and log stay bounded, and everything in the retention is answered.

use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_io::{Call, FaultDisk, SimDisk};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_telemetry::Registry;
use std::sync::Arc;

const SERIES: usize = 1_000;
const STEP_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
const RETENTION_MS: i64 = 5 * DAY_MS;

fn value(series: usize, timestamp_ms: i64) -> f64 {
    ((timestamp_ms / STEP_MS) * (series as i64 % 7) + series as i64) as f64
}

#[test]
fn a_week_needs_the_memory_of_hours_and_answers_every_sample_of_the_retention() {
    let start_ms = 1_700_000_000_000 / (2 * HOUR_MS) * (2 * HOUR_MS);
    let disk = SimDisk::new();
    let clock = Arc::new(ManualClock::new(start_ms));
    let options = EngineOptions { retention_ms: RETENTION_MS, ..EngineOptions::new("/data") };
    let (engine, _) = Engine::open(Arc::new(disk.clone()), clock.clone(), options.clone(), &Registry::new()).unwrap();
    let labels: Vec<Labels> =
        (0..SERIES).map(|i| Labels::from_pairs([("__name__", "m"), ("i", &format!("{i:04}"))])).collect();
    let refs: Vec<_> = labels.iter().map(|l| engine.resolve(l).unwrap()).collect();

    let (mut head_bytes_max, mut wal_bytes_max) = ([0u64; 8], [0u64; 8]);
    let mut timestamp_ms = start_ms;
    while timestamp_ms < start_ms + WEEK_MS {
        clock.set(timestamp_ms);
        let mut batch = Batch::with_capacity(SERIES);
        for (series, &reference) in refs.iter().enumerate() {
            batch.push(reference, timestamp_ms, value(series, timestamp_ms));
        }
        let outcome = engine.append(batch).unwrap();
        assert_eq!((outcome.stored, outcome.refused.len()), (SERIES as u32, 0));
        engine.maintain().unwrap();
        if timestamp_ms % (10 * 60_000) == 0 {
            let day = ((timestamp_ms - start_ms) / DAY_MS) as usize;
            head_bytes_max[day] = head_bytes_max[day].max(engine.head_chunk_bytes());
            wal_bytes_max[day] = wal_bytes_max[day].max(engine.wal_bytes());
        }
        timestamp_ms += STEP_MS;
    }
    let end_ms = timestamp_ms - STEP_MS;
    println!("head chunk bytes, most per day: {head_bytes_max:?}");
    println!("log bytes, most per day: {wal_bytes_max:?}");
    for day in 1..7 {
        assert!(head_bytes_max[day] <= head_bytes_max[0] * 11 / 10, "the head grows: {head_bytes_max:?}");
        assert!(wal_bytes_max[day] <= wal_bytes_max[0] * 11 / 10, "the log grows: {wal_bytes_max:?}");
    }

    let check = |engine: &Engine| {
        let range = TimeRange::new(end_ms - RETENTION_MS, end_ms);
        let found = engine.select(range, &[Matcher::equal("__name__", "m")]).unwrap();
        assert_eq!(found.len(), SERIES);
        let mut columns = Columns::default();
        for (index, labels) in labels.iter().enumerate() {
            assert_eq!(found.labels(index), labels);
            columns.clear();
            found.read(index, range, &mut columns).unwrap();
            assert_eq!(columns.len() as i64, RETENTION_MS / STEP_MS + 1);
            for (at, (&t, &v)) in columns.timestamps_ms.iter().zip(&columns.values).enumerate() {
                assert_eq!(t, end_ms - RETENTION_MS + at as i64 * STEP_MS);
                assert_eq!(v, value(index, t));
            }
        }
    };
    check(&engine);
    assert!(
        engine.select(TimeRange::new(start_ms, start_ms + DAY_MS), &[]).unwrap().is_empty(),
        "what the retention has passed is gone"
    );
    engine.stop().unwrap();
    drop(engine);
    let (engine, recovery) = Engine::open(Arc::new(disk), clock, options, &Registry::new()).unwrap();
    assert!(recovery.replayed_samples <= (3 * HOUR_MS / STEP_MS) as u64 * SERIES as u64, "{recovery:?}");
    check(&engine);
}

#[test]
fn an_expired_block_that_cannot_be_removed_stays_served_until_it_can() {
    let start_ms = 1_700_000_000_000 / (2 * HOUR_MS) * (2 * HOUR_MS);
    let disk = Arc::new(FaultDisk::new(SimDisk::new()));
    let clock = Arc::new(ManualClock::new(start_ms));
    let options = EngineOptions { retention_ms: DAY_MS, ..EngineOptions::new("/data") };
    let (engine, _) = Engine::open(disk.clone(), clock.clone(), options, &Registry::new()).unwrap();
    let series = engine.resolve(&Labels::from_pairs([("__name__", "m")])).unwrap();
    let store = |timestamp_ms: i64| {
        clock.set(timestamp_ms);
        let mut batch = Batch::default();
        batch.push(series, timestamp_ms, 1.0);
        engine.append(batch).unwrap();
    };
    store(start_ms);
    engine.flush_before(start_ms + 1).unwrap();
    store(start_ms + 2 * DAY_MS);
    let old = TimeRange::new(start_ms, start_ms);
    // The flush that is due removes parts of the log; after it, the next file to go is the block.
    engine.flush_before(start_ms + 2 * DAY_MS - 2 * HOUR_MS).unwrap();
    disk.fail_nth(Call::Remove, disk.count(Call::Remove) + 1, 5);
    assert!(engine.maintain().is_err());
    assert_eq!(engine.select(old, &[]).unwrap().len(), 1, "still served");
    assert_eq!(engine.maintain().unwrap().expired_blocks, 1);
    assert!(engine.select(old, &[]).unwrap().is_empty());
}
