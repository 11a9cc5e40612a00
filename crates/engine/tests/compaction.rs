//! Compaction beside the rest of the engine: days of blocks become few, wherever it is killed, and readers notice nothing.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_blocks::{BlockWriterV1, ChunkRef};
use mytsdb_codec::{ChunkEncoding, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, CompactionDone, Engine, EngineError, EngineOptions, ManualClock, Selection};
use mytsdb_io::{Call, Disk, FaultDisk, SimDisk};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Two hours, shortened; so a day has 12,000.
const BLOCK_MS: i64 = 1_000;
const DAY_MS: i64 = 12 * BLOCK_MS;
const STEP_MS: i64 = 50;
const SERIES: usize = 5;

type Samples = BTreeMap<(String, i64), u64>;

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn options() -> EngineOptions {
    EngineOptions {
        block_ms: BLOCK_MS,
        flush_delay_ms: BLOCK_MS / 8,
        retention_ms: 15 * DAY_MS,
        ..EngineOptions::new("/data")
    }
}

fn open(disk: impl Disk + 'static, now_ms: i64) -> Engine {
    let clock = Arc::new(ManualClock::new(now_ms));
    let (engine, recovery) = Engine::open(Arc::new(disk), clock, options(), &Registry::new()).unwrap();
    assert!(recovery.quarantined.is_empty(), "{:?}", recovery.quarantined);
    engine
}

fn append(engine: &Engine, random: &mut Random, timestamp_ms: i64, model: &mut Samples) {
    let mut batch = Batch::default();
    let mut rows = Vec::new();
    for series in 0..SERIES {
        // Some come late, and some of those where a sample is already.
        let late_ms = if random.one_in(12) { random.below(3 * DAY_MS as u64) as i64 } else { 0 };
        let time = (timestamp_ms - late_ms).max(0) / STEP_MS * STEP_MS;
        let value = random.below(100) as f64;
        batch.push(engine.resolve(&labels(series)).unwrap(), time, value);
        rows.push(((labels(series).to_string(), time), value));
    }
    let outcome = engine.append(batch).unwrap();
    for (row, (key, value)) in rows.into_iter().enumerate() {
        if !outcome.refused.iter().any(|(refused, _)| *refused as usize == row) {
            model.entry(key).or_insert(value.to_bits());
        }
    }
}

/// Days of samples, flushed as they come of age.
fn fill(engine: &Engine, clock: &ManualClock, random: &mut Random, until_ms: i64) -> Samples {
    let mut model = Samples::new();
    for timestamp_ms in (0..until_ms).step_by(STEP_MS as usize) {
        clock.set(timestamp_ms);
        append(engine, random, timestamp_ms, &mut model);
        engine.maintain().unwrap();
    }
    model
}

fn filled(disk: &SimDisk, until_ms: i64) -> Samples {
    let clock = Arc::new(ManualClock::new(0));
    let (engine, _) = Engine::open(Arc::new(disk.clone()), clock.clone(), options(), &Registry::new()).unwrap();
    fill(&engine, &clock, &mut Random::new(seed(20_261_129)), until_ms)
}

fn read(found: &Selection<'_>) -> Samples {
    let mut all = Samples::new();
    for index in 0..found.len() {
        let mut columns = Columns::default();
        found.read(index, TimeRange::ALL, &mut columns).unwrap();
        let times = &columns.timestamps_ms;
        assert!(times.is_sorted_by(|a, b| a < b), "doubled or unsorted: {times:?}");
        let labels = found.labels(index).to_string();
        all.extend(times.iter().zip(&columns.values).map(|(&time, value)| ((labels.clone(), time), value.to_bits())));
    }
    all
}

fn read_all(engine: &Engine) -> Samples {
    read(&engine.select(TimeRange::ALL, &[]).unwrap())
}

fn compact(engine: &Engine) -> Result<Option<CompactionDone>, EngineError> {
    engine.compact(StopSign::NEVER, &mut |_| ())
}

fn compact_all(engine: &Engine) -> usize {
    let mut count = 0;
    while compact(engine).unwrap().is_some() {
        count += 1;
    }
    count
}

/// Tries until nothing is left to do; what failed on the way.
fn compact_through(engine: &Engine, model: &Samples) -> Vec<EngineError> {
    let mut failures = Vec::new();
    loop {
        match compact(engine) {
            Ok(None) => return failures,
            Ok(Some(_)) => {}
            Err(error) => failures.push(error),
        }
        assert!(read_all(engine) == *model, "{failures:?}");
        assert!(failures.len() < 10, "{failures:?}");
    }
}

fn block_count(disk: &SimDisk) -> usize {
    mytsdb_blocks::list_blocks(disk, Path::new("/data/blocks")).unwrap().len()
}

#[test]
fn days_become_single_blocks_and_every_answer_stays_while_readers_hold_the_old_ones() {
    let disk = SimDisk::new();
    let model = filled(&disk, 10 * DAY_MS);
    let engine = open(disk.clone(), 10 * DAY_MS);
    let before = block_count(&disk);
    assert!(before > 120, "{before} blocks");
    let held = engine.select(TimeRange::ALL, &[]).unwrap();
    let count = compact_all(&engine);
    assert!(count >= 10, "{count} merges");
    // Nine whole days, with late blocks on some of them, and what there is of the tenth.
    let after = block_count(&disk);
    assert!(after <= 30, "{after} of {before} blocks after {count} merges");
    assert_eq!(disk.list(Path::new("/data/blocks")).unwrap().len(), after, "and nothing else");
    assert!(read(&held) == model, "a reader from before");
    assert!(read_all(&engine) == model);
    drop(held);
    drop(engine);
    let engine = open(disk.clone(), 10 * DAY_MS);
    assert!(read_all(&engine) == model);
    assert_eq!(compact_all(&engine), 0, "it has settled");
}

#[test]
fn killed_at_any_call_to_the_disk_it_loses_and_doubles_nothing() {
    let disk = SimDisk::new();
    let model = filled(&disk, 3 * DAY_MS);
    let mut random = Random::new(seed(20_261_130));
    let (mut calls, mut completed, mut kept) = (0, 0, [0, 0]);
    loop {
        let image = disk.crash_losing_everything_unsynced();
        let engine = open(image.clone(), 3 * DAY_MS);
        image.stop_after(calls);
        let mut stopped = false;
        while !stopped {
            match compact(&engine) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => stopped = true,
            }
        }
        assert!(read_all(&engine) == model, "after {calls} calls, still running");
        drop(engine);
        for _ in 0..3 {
            // The recovery is killed as well.
            let image = image.crash(random.bits());
            image.stop_after(random.below(8));
            let clock = Arc::new(ManualClock::new(3 * DAY_MS));
            drop(Engine::open(Arc::new(image.clone()), clock, options(), &Registry::new()));
            let image = image.crash(random.bits());
            let engine = open(image.clone(), 3 * DAY_MS);
            assert!(read_all(&engine) == model, "after {calls} calls and a power cut");
            kept[usize::from(block_count(&image) < 10)] += 1;
            compact_all(&engine);
            assert!(read_all(&engine) == model, "after {calls} calls, a power cut, and more merges");
        }
        completed += u64::from(!stopped);
        if completed == 2 {
            break;
        }
        calls += 1;
    }
    println!("{calls} calls; images with many and with few blocks: {kept:?}");
    assert!(calls > 50 && kept[0] > 0 && kept[1] > 0, "{calls} {kept:?}");
}

#[test]
fn whatever_call_fails_answers_stay_and_the_next_try_succeeds() {
    let sim = SimDisk::new();
    let model = filled(&sim, 2 * DAY_MS);
    for call in Call::ALL {
        for n in 1.. {
            let image = sim.crash_losing_everything_unsynced();
            let disk = FaultDisk::new(image.clone());
            let engine = open(disk.clone(), 2 * DAY_MS);
            disk.fail_nth(call, disk.count(call) + n, 28);
            let failures = compact_through(&engine, &model);
            let fired = disk.fired() > 0;
            assert!(failures.len() <= usize::from(fired), "{call:?} {n}: {failures:?}");
            assert!(block_count(&image) < 20, "{call:?} {n}: {failures:?}");
            let left: Vec<_> = image.list(Path::new("/data/blocks")).unwrap();
            assert_eq!(left.len(), block_count(&image), "{call:?} {n}: {left:?}");
            drop(engine);
            assert!(read_all(&open(image, 2 * DAY_MS)) == model, "{call:?} {n}");
            if !fired {
                break;
            }
        }
    }
}

#[test]
fn a_damaged_block_is_left_alone_and_others_are_merged() {
    let disk = SimDisk::new();
    filled(&disk, 3 * DAY_MS);
    disk.corrupt(Path::new("/data/blocks/b-0000000000000001.blk"), 33, 1).unwrap();
    let engine = open(disk.clone(), 3 * DAY_MS);
    let before = block_count(&disk);
    let mut failures = Vec::new();
    loop {
        match compact(&engine) {
            Ok(None) => break,
            Ok(Some(_)) => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    assert!(failures.len() == 1 && failures[0].contains("chunk at byte 32 damaged"), "{failures:?}");
    assert!(block_count(&disk) < before / 2);
    assert!(disk.exists(Path::new("/data/blocks/b-0000000000000001.blk")).unwrap());
}

#[test]
fn a_full_disk_postpones_and_a_stop_sign_ends_a_merge() {
    let disk = SimDisk::new();
    let model = filled(&disk, 2 * DAY_MS);
    let engine = open(disk.clone(), 2 * DAY_MS);
    let before = disk.list(Path::new("/data/blocks")).unwrap();
    disk.set_capacity(512 << 20);
    assert_eq!(compact(&engine).unwrap(), None);
    disk.set_capacity(u64::MAX);
    let stopped = engine.compact(StopSign::new(&|| false), &mut |_| ());
    assert!(matches!(stopped, Err(EngineError::Canceled)), "{stopped:?}");
    assert_eq!(disk.list(Path::new("/data/blocks")).unwrap(), before);
    assert!(read_all(&engine) == model);
    let mut written = 0;
    let done = engine.compact(StopSign::NEVER, &mut |bytes| written += bytes).unwrap().unwrap();
    assert!(written > 0 && written < done.bytes_out, "chunks are paced, the index comes at once");
}

#[test]
fn blocks_of_version_1_are_written_anew_and_those_that_cross_days_are_divided() {
    let disk = SimDisk::new();
    let blocks = Path::new("/data/blocks");
    disk.create_dir_all(blocks).unwrap();
    let mut writer = BlockWriterV1::new(Arc::new(disk.clone()), blocks, 1).unwrap();
    let times: Vec<i64> = (0..100).map(|i| i * DAY_MS / 30).collect();
    let mut xor = XorAppender::new();
    for &time in &times {
        xor.push(time, time as f64).unwrap();
    }
    let range = TimeRange::new(times[0], times[99]);
    let chunk = ChunkRef { range, sample_count: 100, encoding: ChunkEncoding::Xor.number(), bytes: xor.bytes() };
    writer.add_series(&labels(1), [chunk]).unwrap();
    writer.finish().unwrap();
    let engine = open(disk.clone(), 4 * DAY_MS);
    let model = read_all(&engine);
    assert_eq!(model.len(), 100);
    assert_eq!(compact(&engine).unwrap().unwrap().blocks_out, 4);
    assert_eq!(compact_all(&engine), 0);
    assert!(read_all(&engine) == model);
    assert_eq!(block_count(&disk), 4);
}

#[test]
fn the_oldest_blocks_go_when_there_is_too_much() {
    let disk = SimDisk::new();
    filled(&disk, 3 * DAY_MS);
    let clock = Arc::new(ManualClock::new(3 * DAY_MS));
    let total: usize = disk
        .list(Path::new("/data/blocks"))
        .unwrap()
        .iter()
        .map(|name| disk.map(&Path::new("/data/blocks").join(name)).unwrap().len())
        .sum();
    let options = EngineOptions { retention_bytes: Some(total as u64 / 2), ..options() };
    let (engine, _) = Engine::open(Arc::new(disk.clone()), clock, options, &Registry::new()).unwrap();
    let before: Vec<i64> = read_all(&engine).keys().map(|(_, time)| *time).collect();
    let done = engine.maintain().unwrap();
    assert!(done.expired_blocks > 0);
    let after = read_all(&engine);
    assert!(!after.is_empty() && after.len() < before.len());
    let newest = before.iter().max().unwrap();
    assert!(after.keys().any(|(_, time)| time == newest), "the newest stay");
    assert_eq!(engine.maintain().unwrap().expired_blocks, 0, "it is enough");
}
