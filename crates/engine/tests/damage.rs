//! Flipped bits in blocks: no answer is wrong, what is missing is told, and the scrub finds it first.
//!
//! `MYTSDB_SEED` sets the seed, `MYTSDB_FLIPS` how many bits are flipped, one at a time.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_blocks::Block;
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineError, EngineOptions, Lookup, ManualClock, Scrubbed};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_testkit::{Random, seed, setting};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const BLOCK_MS: i64 = 1_000;
const DAY_MS: i64 = 12 * BLOCK_MS;
const SERIES: usize = 12;

/// Times by series; the value of a sample follows from both.
type Answer = BTreeMap<String, Vec<(i64, u64)>>;

fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { block_ms: BLOCK_MS, retention_ms: 100 * DAY_MS, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(3 * DAY_MS));
    Engine::open(Arc::new(disk.clone()), clock, options, &mytsdb_telemetry::Registry::new()).unwrap().0
}

/// A disk with a block for each of two days, and nothing in the head.
fn disk_with_blocks() -> (SimDisk, Answer, [PathBuf; 2]) {
    let disk = SimDisk::new();
    let engine = open(&disk);
    for day in 0..2 {
        let mut batch = Batch::default();
        for series in 0..SERIES {
            let labels = Labels::from_pairs([("__name__", "m"), ("series", &series.to_string()), ("job", "j")]);
            let reference = engine.resolve(&labels).unwrap();
            for at in 0..200 {
                let time = day * DAY_MS + at * 7 + series as i64 / 4;
                if series % 4 == 3 {
                    let histogram = FloatHistogram {
                        count: at as f64 + 2.0,
                        positive_spans: vec![Span { offset: 0, length: 2 }],
                        positive_buckets: vec![1.0, at as f64 + 1.0],
                        ..FloatHistogram::default()
                    };
                    batch.push_histogram(reference, time, 0, &histogram).unwrap();
                } else {
                    batch.push(reference, time, (at * at % 97) as f64 + series as f64 / 16.0);
                }
            }
        }
        engine.append(batch).unwrap();
    }
    engine.flush_before(2 * DAY_MS).unwrap();
    let whole = ask(&engine, TimeRange::ALL);
    assert_eq!(whole.values().map(Vec::len).sum::<usize>(), 2 * 200 * SERIES);
    drop(engine);
    let names = disk.list(Path::new("/data/blocks")).unwrap();
    let paths: Vec<PathBuf> = names.into_iter().map(|name| Path::new("/data/blocks").join(name)).collect();
    (disk, whole, paths.try_into().unwrap())
}

/// All samples in a range, with what stands for their values.
fn ask(engine: &Engine, range: TimeRange) -> Answer {
    let found = engine.select(range, &[]).unwrap();
    let mut answer = Answer::new();
    for row in 0..found.len() {
        let mut columns = Columns::default();
        found.read(row, range, &mut columns).unwrap();
        let floats = columns.timestamps_ms.iter().zip(&columns.values).map(|(time, value)| (*time, value.to_bits()));
        let histograms = columns.histogram_timestamps_ms.iter().zip(&columns.histograms);
        let mut samples: Vec<_> = floats.chain(histograms.map(|(time, h)| (*time, h.count.to_bits()))).collect();
        samples.sort_unstable();
        assert!(answer.insert(found.labels(row).to_string(), samples).is_none());
    }
    answer
}

fn flip(disk: &SimDisk, path: &Path, bit: usize) {
    let byte = disk.map(path).unwrap()[bit / 8] ^ (1 << (bit % 8));
    disk.open(path).unwrap().write_at(bit as u64 / 8, &[byte]).unwrap();
}

fn copy_of(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    for dir in ["/data", "/data/blocks", "/data/wal", "/data/tombstones"] {
        copy.create_dir_all(Path::new(dir)).unwrap();
    }
    for dir in ["/data/blocks", "/data/wal"] {
        for name in disk.list(Path::new(dir)).unwrap() {
            let path = Path::new(dir).join(name);
            copy.create(&path).unwrap().append(&disk.map(&path).unwrap()).unwrap();
        }
    }
    copy
}

fn samples_of(answer: &Answer) -> Vec<(&str, i64, u64)> {
    answer.iter().flat_map(|(labels, own)| own.iter().map(|(time, value)| (&**labels, *time, *value))).collect()
}

#[test]
fn no_flipped_bit_makes_an_answer_wrong_or_incomplete_without_a_word() {
    let (seed, flips) = (seed(1), setting("MYTSDB_FLIPS", 400));
    let mut random = Random::new(seed);
    let (disk, whole, [first, _]) = disk_with_blocks();
    let bits = disk.map(&first).unwrap().len() * 8;
    let known: HashSet<_> = samples_of(&whole).into_iter().collect();
    let (mut in_chunks, mut blocks_gone, mut harmless) = (0, 0, 0);
    for case in 0..flips {
        let disk = copy_of(&disk);
        let bit = random.index(bits);
        flip(&disk, &first, bit);
        let engine = open(&disk);
        let what = format!("MYTSDB_SEED={seed}, case {case}, bit {bit}");
        let names = engine.label_values("series", &Lookup::new(TimeRange::ALL, &[])).unwrap();
        assert!(names.len() == SERIES, "{what}: the other block has all");
        let answer = ask(&engine, TimeRange::ALL);
        let found = samples_of(&answer);
        assert!(found.iter().all(|sample| known.contains(sample)), "{what}: a wrong sample");
        let warnings = engine.warnings(TimeRange::ALL);
        assert_eq!(found.len() < known.len(), !warnings.is_empty(), "{what}: {warnings:?}");
        // The other day is whole.
        let day = TimeRange::new(DAY_MS, 2 * DAY_MS - 1);
        assert_eq!(samples_of(&ask(&engine, day)).len(), 200 * SERIES, "{what}");
        match known.len() - found.len() {
            0 => harmless += 1,
            missing if missing == 200 * SERIES => blocks_gone += 1,
            missing => {
                assert!(missing <= 200 * SERIES, "{what}");
                assert_eq!(engine.warnings(day), [""; 0], "{what}: {warnings:?}");
                in_chunks += 1;
            }
        }
    }
    println!("{in_chunks} in chunks, {blocks_gone} blocks set aside, {harmless} without effect");
    assert!(in_chunks > flips / 20 && blocks_gone > flips / 20 && harmless == 0);
}

/// The offset of a byte of the chunks, and of one of the index, of a block.
fn places(disk: &SimDisk, path: &Path) -> (usize, usize) {
    let block = Block::open(disk, path).unwrap();
    let chunk = block.chunks(0, TimeRange::ALL).unwrap()[0];
    (chunk.offset as usize + 5, disk.map(path).unwrap().len() - 184 - 9)
}

#[test]
fn the_scrub_finds_a_damaged_chunk_before_a_query_does() {
    let (disk, _, [first, second]) = disk_with_blocks();
    let engine = open(&disk);
    let scrub = || engine.scrub(StopSign::NEVER, &mut |_| ()).unwrap();
    let sound = scrub();
    assert_eq!((sound.blocks, sound.damaged_chunks, sound.set_aside), (2, 0, 0));
    assert_eq!(engine.warnings(TimeRange::ALL), [""; 0]);
    flip(&disk, &first, places(&disk, &first).0 * 8);
    assert!(scrub().damaged_chunks > 0);
    let warnings = engine.warnings(TimeRange::new(0, DAY_MS - 1));
    assert!(!warnings.is_empty() && warnings[0].contains("samples may be missing"), "{warnings:?}");
    assert_eq!(engine.warnings(TimeRange::new(DAY_MS, 2 * DAY_MS)), [""; 0]);
    scrub();
    assert_eq!(engine.warnings(TimeRange::ALL), warnings, "told once");
    assert!(disk.exists(&first).unwrap() && disk.exists(&second).unwrap());
}

#[test]
fn a_block_whose_index_is_damaged_is_set_aside_and_missed_until_it_is_taken_away() {
    let (disk, whole, [first, _]) = disk_with_blocks();
    let engine = open(&disk);
    flip(&disk, &first, places(&disk, &first).1 * 8 + 3);
    let done = engine.scrub(StopSign::NEVER, &mut |_| ()).unwrap();
    assert_eq!((done.blocks, done.set_aside), (2, 1));
    let aside = Path::new("/data/quarantine").join(first.file_name().unwrap());
    assert!(disk.exists(&aside).unwrap() && !disk.exists(&first).unwrap());
    let check = |engine: &Engine| {
        assert_eq!(samples_of(&ask(engine, TimeRange::ALL)).len(), samples_of(&whole).len() / 2);
        let warnings = engine.warnings(TimeRange::new(0, 10));
        assert!(warnings.len() == 1 && warnings[0].contains(aside.to_str().unwrap()), "{warnings:?}");
        assert_eq!(engine.warnings(TimeRange::new(DAY_MS, 2 * DAY_MS)), [""; 0], "its footer tells its times");
    };
    check(&engine);
    drop(engine);
    let engine = open(&disk);
    check(&engine);
    drop(engine);
    disk.remove(&aside).unwrap();
    assert_eq!(open(&disk).warnings(TimeRange::ALL), [""; 0]);
}

#[test]
fn a_scrub_tells_what_it_reads_and_ends_when_it_is_told_to() {
    let (disk, ..) = disk_with_blocks();
    let engine = open(&disk);
    let mut told = 0;
    let Scrubbed { bytes, .. } = engine.scrub(StopSign::NEVER, &mut |bytes| told += bytes).unwrap();
    assert!(told > bytes / 2 && told <= bytes, "{told} of {bytes}");
    let calls = AtomicUsize::new(0);
    let go_on = || calls.load(Ordering::SeqCst) < 3;
    let count = &mut |_| {
        calls.fetch_add(1, Ordering::SeqCst);
    };
    assert!(matches!(engine.scrub(StopSign::new(&go_on), count), Err(EngineError::Canceled)));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}
