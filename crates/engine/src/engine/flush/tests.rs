//! Flushes in parts: what others do between two of them, a disk that refuses, and a kill at any call to the disk.

use super::*;
use crate::{Batch, EngineOptions, ManualClock, Outcome};
use mytsdb_io::{Call, Disk, FaultDisk, SimDisk};
use mytsdb_model::{Labels, Matcher};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::collections::BTreeMap;
use std::path::Path;

/// In four parts of two.
const SERIES: usize = 8;
const BLOCK_MS: i64 = 1_000;
const CUT_MS: i64 = 2 * BLOCK_MS;
const STEP_MS: i64 = 50;
const NOW_MS: i64 = 100 * BLOCK_MS;

/// By series and time.
type Samples = BTreeMap<(usize, i64), u64>;

fn open(disk: Arc<dyn Disk>) -> Engine {
    open_at(NOW_MS, disk, EngineOptions::new("/data"))
}

fn open_at(now_ms: i64, disk: Arc<dyn Disk>, options: EngineOptions) -> Engine {
    let options = EngineOptions { block_ms: BLOCK_MS, flush_part_bytes: 1, ..options };
    let clock = Arc::new(ManualClock::new(now_ms));
    let (engine, recovery) = Engine::open(disk, clock, options, &Registry::new()).unwrap();
    assert_eq!((recovery.quarantined.len(), recovery.unknown_samples), (0, 0));
    engine
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn append(engine: &Engine, rows: impl IntoIterator<Item = (usize, i64, u64)>) -> Result<Outcome, EngineError> {
    let mut batch = Batch::default();
    for (series, time, value) in rows {
        batch.push(engine.resolve(&labels(series))?, time, value as f64);
    }
    engine.append(batch)
}

fn of_all(time: i64, value: u64) -> impl Iterator<Item = (usize, i64, u64)> {
    (0..SERIES).map(move |series| (series, time, value))
}

/// Appends what must be stored.
fn store(engine: &Engine, samples: &mut Samples, rows: impl IntoIterator<Item = (usize, i64, u64)>) {
    let rows: Vec<_> = rows.into_iter().collect();
    let outcome = append(engine, rows.iter().copied()).unwrap();
    assert_eq!(outcome.stored as usize, rows.len());
    samples.extend(rows.into_iter().map(|(series, time, value)| ((series, time), value)));
}

/// Samples before and behind the cut, some of them late; of all series the same, so that parts are equal.
fn fill(engine: &Engine) -> Samples {
    let mut samples = Samples::new();
    for time in (0..CUT_MS + BLOCK_MS).step_by(STEP_MS as usize) {
        store(engine, &mut samples, of_all(time, time as u64));
    }
    store(engine, &mut samples, of_all(STEP_MS / 2, 5));
    samples
}

fn read(engine: &Engine) -> Samples {
    let found = engine.select(TimeRange::ALL, &[Matcher::metric("m")]).unwrap();
    let (mut samples, mut count) = (Samples::new(), 0);
    for index in 0..found.len() {
        let series: usize = found.labels(index).get("series").unwrap().parse().unwrap();
        let mut columns = Columns::default();
        found.read(index, TimeRange::ALL, &mut columns).unwrap();
        count += columns.len();
        let own = columns.timestamps_ms.iter().zip(&columns.values);
        samples.extend(own.map(|(&time, &value)| ((series, time), value as u64)));
    }
    assert_eq!(samples.len(), count, "a sample twice");
    samples
}

fn block_count(disk: &SimDisk) -> usize {
    let names = disk.list(Path::new("/data/blocks")).unwrap();
    names.iter().filter(|name| mytsdb_blocks::parse_block_file_name(name).is_some()).count()
}

fn delete(engine: &Engine, range: TimeRange) -> Result<(), EngineError> {
    engine.delete_series(&[vec![Matcher::metric("m")]], range)
}

#[test]
fn between_two_parts_everything_is_answered_and_judged_and_memory_is_free() {
    let disk = SimDisk::new();
    let engine = open(Arc::new(disk.clone()));
    let mut samples = fill(&engine);
    let before = samples.keys().filter(|(_, time)| *time < CUT_MS).count() as u64;
    let (mut parts, mut bytes) = (0, engine.head_chunk_bytes());
    let (flushed, _) = engine
        .flush_in_parts(CUT_MS, || {
            parts += 1;
            assert_eq!(block_count(&disk), parts.min(4));
            assert_eq!(read(&engine), samples, "behind part {parts}");
            if parts == 5 {
                // In the middle of the checkpoint.
                return;
            }
            let left = engine.head_chunk_bytes();
            assert!(left < bytes, "part {parts} takes {bytes} bytes to {left}");
            let known = append(&engine, of_all(STEP_MS, STEP_MS as u64)).unwrap();
            assert_eq!((known.stored, known.duplicates), (0, SERIES as u32), "behind part {parts}");
            let other = append(&engine, of_all(STEP_MS, 1)).unwrap();
            assert_eq!((other.stored, other.refused.len()), (0, SERIES), "behind part {parts}");
            store(&engine, &mut samples, of_all(7 + parts as i64, 3));
            bytes = engine.head_chunk_bytes();
        })
        .unwrap();
    // The late samples of the first calls are flushed with their parts, if these come afterwards.
    assert_eq!((parts, flushed), (5, before + 2 * (3 + 2 + 1)));
    assert_eq!(read(&engine), samples);
    drop(engine);
    assert_eq!(read(&open(Arc::new(disk))), samples);
}

#[test]
fn after_a_start_nothing_is_flushed_that_needs_not_be() {
    let disk = SimDisk::new();
    let at = |now_ms, disk: &SimDisk| {
        open_at(now_ms, Arc::new(disk.clone()), EngineOptions { flush_delay_ms: 0, ..EngineOptions::new("/data") })
    };
    let engine = at(NOW_MS, &disk);
    let mut samples = Samples::new();
    store(&engine, &mut samples, of_all(NOW_MS, 1));
    for _ in 0..2 {
        assert_eq!(engine.maintain().unwrap(), Maintenance::default());
        assert_eq!(engine.metrics.flushes.get(), 0);
    }
    drop(engine);
    let engine = at(NOW_MS + BLOCK_MS, &disk);
    assert_eq!(
        (engine.maintain().unwrap(), engine.metrics.flushes.get()),
        (Maintenance::default(), 0),
        "of what the log had"
    );
    store(&engine, &mut samples, of_all(NOW_MS - 1, 2));
    assert_eq!(engine.maintain().unwrap().flushed_samples, SERIES as u64, "something old has come");
    assert_eq!(engine.metrics.flushes.get(), 1);
    store(&engine, &mut samples, of_all(NOW_MS + BLOCK_MS, 3));
    assert_eq!(engine.maintain().unwrap().flushed_samples, SERIES as u64);
    assert_eq!(read(&engine), samples);
}

#[test]
fn merges_leave_the_parts_of_a_flush_alone_until_it_is_done() {
    let disk = SimDisk::new();
    let engine = open(Arc::new(disk.clone()));
    let mut samples = Samples::new();
    store(&engine, &mut samples, of_all(20 * BLOCK_MS, 1));
    engine.flush_before(21 * BLOCK_MS).unwrap();
    store(&engine, &mut samples, of_all(0, 1));
    let merge = || engine.compact(StopSign::NEVER, &mut |_| ()).unwrap();
    while merge().is_some() {}
    let mut merged = Vec::new();
    let flush = engine.flush_in_parts(BLOCK_MS, || merged.push(merge().map(|done| (done.blocks_in, done.blocks_out))));
    flush.unwrap();
    assert_eq!(merged, [None, None, None, None, Some((4, 1))], "once no more of them are to come");
    assert_eq!(read(&engine), samples);
}

#[test]
fn fifteen_days_of_flushes_in_parts_and_late_samples_are_at_most_thirty_blocks() {
    const DAY_MS: i64 = 12 * BLOCK_MS;
    const RETENTION_MS: i64 = 15 * DAY_MS;
    let disk = SimDisk::new();
    let options = EngineOptions { retention_ms: RETENTION_MS, ..EngineOptions::new("/data") };
    let engine = open_at(RETENTION_MS, Arc::new(disk.clone()), options);
    let mut random = mytsdb_testkit::Random::new(3);
    let (mut samples, mut most) = (Samples::new(), 0);
    for from_ms in (0..RETENTION_MS).step_by(BLOCK_MS as usize) {
        store(&engine, &mut samples, of_all(from_ms, 1));
        if random.one_in(10) {
            // Late samples of any day, at times that no other has.
            let time = random.below(from_ms as u64 / 2 + 1) as i64 * 2 + 1;
            let late = of_all(time, 2).filter(|(series, time, _)| !samples.contains_key(&(*series, *time)));
            let late: Vec<_> = late.collect();
            store(&engine, &mut samples, late);
        }
        engine.flush_before(from_ms + BLOCK_MS).unwrap();
        while engine.compact(StopSign::NEVER, &mut |_| ()).unwrap().is_some() {}
        most = most.max(block_count(&disk));
    }
    assert!((16..=30).contains(&most), "{most} blocks");
    assert_eq!(read(&engine), samples);
    drop(engine);
    assert_eq!(read(&open(Arc::new(disk))), samples);
}

#[test]
fn a_deletion_between_two_parts_or_beside_the_checkpoint_is_whole_and_stays_so() {
    // The fifth time is in the middle of the checkpoint, which has what is deleted.
    for after in 1..=5 {
        let disk = SimDisk::new();
        let engine = open(Arc::new(disk.clone()));
        let mut samples = fill(&engine);
        let range = TimeRange::new(500, CUT_MS + 500);
        let mut parts = 0;
        let flush = engine.flush_in_parts(CUT_MS, || {
            parts += 1;
            if parts == after {
                // In the log behind the cut, but before the deletion.
                store(&engine, &mut samples, of_all(777, 1));
                delete(&engine, range).unwrap();
                samples.retain(|(_, time), _| !range.contains(*time));
                assert_eq!(read(&engine), samples, "at once");
                store(&engine, &mut samples, of_all(600, 2));
                assert_eq!(read(&engine), samples, "what comes later stays");
            }
        });
        flush.unwrap();
        assert_eq!(read(&engine), samples, "behind part {after}");
        engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
        drop(engine);
        let engine = open(Arc::new(disk.crash_losing_everything_unsynced()));
        assert_eq!(read(&engine), samples, "behind part {after}, after a restart");
        engine.flush_before(CUT_MS).unwrap();
        engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
        assert_eq!(read(&engine), samples, "behind part {after}, flushed again");
    }
}

#[test]
fn a_part_that_cannot_be_written_keeps_its_samples_and_those_before_it_are_handed_over() {
    for failing in 1..=4u64 {
        let disk = Arc::new(FaultDisk::new(SimDisk::new()));
        let engine = open(disk.clone());
        let samples = fill(&engine);
        // The flush begins with a segment of the log.
        disk.fail_nth(Call::Create, disk.count(Call::Create) + 1 + failing, 28);
        assert!(matches!(engine.flush_before(CUT_MS), Err(EngineError::Block(_))));
        assert_eq!(block_count(disk.inner()) as u64, failing - 1);
        assert_eq!(read(&engine), samples);
        let (flushed, _) = engine.flush_before(CUT_MS).unwrap();
        let left = samples.keys().filter(|(series, time)| *series as u64 / 2 + 1 >= failing && *time < CUT_MS).count();
        assert_eq!(flushed as usize, left);
        assert_eq!(read(&engine), samples);
        drop(engine);
        assert_eq!(read(&open(Arc::new(disk.inner().crash_losing_everything_unsynced()))), samples);
    }
}

#[test]
fn a_flush_that_is_killed_at_any_call_to_the_disk_loses_and_doubles_nothing() {
    let range = TimeRange::new(500, CUT_MS + 500);
    // The second call is between two parts, the fifth in the middle of the checkpoint.
    for deletion in [2, 5] {
        kill_at_each_call(deletion, range);
    }
}

fn kill_at_each_call(deletion: usize, range: TimeRange) {
    let mut images_with_parts = [0; 6];
    for calls in 0.. {
        let disk = SimDisk::new();
        let engine = open(Arc::new(disk.clone()));
        let mut possible = vec![fill(&engine)];
        disk.stop_after(calls);
        let (mut parts, mut deleted) = (0, None);
        let flush = engine.flush_in_parts(CUT_MS, || {
            parts += 1;
            if parts == deletion {
                deleted = Some(delete(&engine, range).is_ok());
            }
        });
        if let Some(is_certain) = deleted {
            let mut without = possible[0].clone();
            without.retain(|(_, time), _| !range.contains(*time));
            possible.push(without);
            possible.drain(..usize::from(is_certain));
        }
        drop(engine);
        images_with_parts[parts] += 1;
        let image = disk.crash(calls);
        let engine = open(Arc::new(image.clone()));
        let samples = read(&engine);
        assert!(possible.contains(&samples), "killed behind {calls} calls, {parts} parts");
        engine.flush_before(CUT_MS).unwrap();
        assert_eq!(read(&engine), samples, "killed behind {calls} calls, flushed again");
        while engine.compact(StopSign::NEVER, &mut |_| ()).unwrap().is_some() {}
        engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
        drop(engine);
        let engine = open(Arc::new(image.crash_losing_everything_unsynced()));
        assert_eq!(read(&engine), samples, "killed behind {calls} calls, merged and opened again");
        if flush.is_ok() {
            break;
        }
    }
    println!("images by parts that were handed over: {images_with_parts:?}");
    assert!(images_with_parts.iter().all(|images| *images > 0), "{images_with_parts:?}");
}
