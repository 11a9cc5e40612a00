//! The files of L2 as others see them: their bytes, what a restart and a crash leave, damage, deletion, and the room they take.
//!
//! `MYTSDB_SEED` sets the seed of what a power cut leaves.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_cache::{CacheOptions, Caches, ChunkKey, Origin};
use mytsdb_columns::Columns;
use mytsdb_histogram::FloatHistogram;
use mytsdb_io::{Disk, SimDisk};
use mytsdb_telemetry::{FamilySample, Registry};
use mytsdb_testkit::{Random, seed};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/data/cache";

fn open(disk: &SimDisk, l1_bytes: usize, l2_bytes: u64) -> (Caches, Registry) {
    let mut options = CacheOptions::new(DIR);
    (options.l1_bytes, options.l2_bytes) = (l1_bytes, l2_bytes);
    let registry = Registry::new();
    (Caches::open(Arc::new(disk.clone()), &options, &registry).unwrap(), registry)
}

/// A metric, of a level if it has levels.
fn metric(registry: &Registry, name: &str, level: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name == name).unwrap();
    let is_asked = |sample: &&FamilySample| sample.labels.get("level").unwrap_or_default() == level;
    family.samples.iter().find(is_asked).unwrap().value
}

fn key(file: u128, row: u64) -> ChunkKey {
    ChunkKey { file, checksum: 5, row }
}

/// Samples that say which key they are of.
fn columns(key: &ChunkKey) -> Columns {
    let mut columns = Columns::default();
    let mut random = Random::of_case(key.row, key.file as u64);
    for at in 0..20 + (key.row as i64 % 50) {
        columns.push_float(at * 15_000, random.unit() + key.row as f64);
    }
    columns
}

fn put(caches: &Caches, key: &ChunkKey) {
    caches.put(key, &Arc::new(columns(key)), Origin::Asked);
}

/// Whether the samples of a key are there; if so they are what they were.
#[track_caller]
fn has(caches: &Caches, key: &ChunkKey) -> bool {
    let expected = columns(key);
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let same = caches.read(key, expected.len() as u64, |found| {
        found.timestamps_ms == expected.timestamps_ms && bits(&found.values) == bits(&expected.values)
    });
    assert_ne!(same, Some(false), "other samples than were put: {key:?}");
    same.is_some()
}

fn files(disk: &SimDisk) -> Vec<PathBuf> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|name| Path::new(DIR).join(name)).collect()
}

#[test]
fn a_segment_has_the_bytes_of_its_format() {
    let golden = include_bytes!("golden/segment-v1.seg");
    let disk = SimDisk::new();
    let (caches, _) = open(&disk, 0, 1 << 20);
    let mut floats = Columns::default();
    for at in 0..10 {
        floats.push_float(1_700_000_000_000 + at * 15_000, at as f64 / 4.0);
    }
    let mut both = Columns::default();
    both.push_float_since(1_000, 500, 1.0);
    both.push_histogram(
        2_000,
        Arc::new(FloatHistogram { count: 1.0, sum: 2.5, zero_count: 1.0, ..Default::default() }),
    );
    let file = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;
    caches.put(&ChunkKey { file, checksum: 0xaabb_ccdd, row: 0 }, &Arc::new(floats), Origin::Asked);
    caches.put(&ChunkKey { file, checksum: 0xaabb_ccdd, row: 10 }, &Arc::new(both), Origin::Asked);
    caches.persist();
    let path = Path::new(DIR).join("0000000000000001.seg");
    assert_eq!(files(&disk), std::slice::from_ref(&path));
    assert_eq!(*disk.map(&path).unwrap(), golden[..]);
    let (again, _) = open(&disk, 0, 1 << 20);
    let values = again.read(&ChunkKey { file, checksum: 0xaabb_ccdd, row: 0 }, 10, |columns| columns.values.clone());
    assert_eq!(values.unwrap().len(), 10);
}

#[test]
fn what_was_written_is_there_after_a_restart_and_in_bounds() {
    let disk = SimDisk::new();
    let l2_bytes = 256 << 10;
    let (caches, registry) = open(&disk, 0, l2_bytes);
    for row in 0..2_000 {
        put(&caches, &key(1, row));
        assert!(caches.has(&key(1, row)), "row {row} at once");
        assert!(has(&caches, &key(1, 0)), "what is read all the time goes, at row {row}");
    }
    assert!(!has(&caches, &key(1, 1)), "more than there is room for");
    let bytes = |disk: &SimDisk| files(disk).iter().map(|path| disk.map(path).unwrap().len() as u64).sum::<u64>();
    assert!(bytes(&disk) <= l2_bytes && bytes(&disk) > l2_bytes / 2, "{}", bytes(&disk));
    assert_eq!(metric(&registry, "mytsdb_cache_bytes", "l2"), bytes(&disk) as f64);
    assert!(metric(&registry, "mytsdb_cache_evictions_total", "l2") > 100.0);
    caches.persist();
    drop(caches);
    let (caches, registry) = open(&disk, 0, l2_bytes);
    assert!(has(&caches, &key(1, 1_999)) && has(&caches, &key(1, 0)));
    assert!(metric(&registry, "mytsdb_cache_entries", "l2") > 100.0);
    drop(caches);
    let (smaller, _) = open(&disk, 0, l2_bytes / 4);
    assert!(bytes(&disk) <= l2_bytes / 4);
    assert!(has(&smaller, &key(1, 1_999)));
    drop(smaller);
    let (off, _) = open(&disk, 0, 0);
    assert!(!has(&off, &key(1, 1_999)));
    assert!(files(&disk).is_empty());
}

#[test]
fn what_is_forgotten_is_gone_from_the_disk_and_the_rest_that_was_read_stays() {
    let disk = SimDisk::new();
    let (caches, _) = open(&disk, 0, 1 << 20);
    for row in 0..100 {
        put(&caches, &key(1, row));
        put(&caches, &key(2, row));
    }
    caches.persist();
    put(&caches, &key(1, 200));
    put(&caches, &key(2, 200));
    assert!((0..10).all(|row| has(&caches, &key(2, row))));
    caches.keep_only([2].into());
    put(&caches, &key(1, 201));
    assert!((0..100).chain([200, 201]).all(|row| !has(&caches, &key(1, row))));
    assert!((0..10).chain([200]).all(|row| has(&caches, &key(2, row))));
    caches.persist();
    drop(caches);
    let is_left = |path: &PathBuf| disk.map(path).unwrap().windows(16).any(|bytes| bytes == 1u128.to_le_bytes());
    assert!(!files(&disk).iter().any(is_left), "samples of a file that was forgotten are on the disk");
    let (caches, _) = open(&disk, 0, 1 << 20);
    assert!((0..10).chain([200]).all(|row| has(&caches, &key(2, row))));
}

#[test]
fn a_flipped_bit_is_a_miss_and_the_entry_is_dropped() {
    let disk = SimDisk::new();
    let (caches, _) = open(&disk, 0, 1 << 20);
    (0..20).for_each(|row| put(&caches, &key(1, row)));
    caches.persist();
    drop(caches);
    let path = files(&disk).pop().unwrap();
    let sound = disk.map(&path).unwrap().to_vec();
    let mut dropped = 0;
    for at in (0..sound.len()).step_by(29) {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.create(&path).unwrap().append(&bytes).unwrap();
        let (caches, registry) = open(&disk, 0, 1 << 20);
        let found = (0..20).filter(|row| has(&caches, &key(1, *row))).count();
        assert_eq!(metric(&registry, "mytsdb_cache_damaged_total", ""), 1.0, "byte {at}");
        if found == 0 {
            assert!(files(&disk).is_empty(), "byte {at}: a file that does not verify stays");
            continue;
        }
        assert_eq!(found, 19, "byte {at}");
        (0..20).for_each(|row| put(&caches, &key(1, row)));
        assert!((0..20).all(|row| has(&caches, &key(1, row))), "byte {at}: it is not put there again");
        dropped += 1;
    }
    assert!(dropped > 10, "{dropped} single entries were dropped");
}

#[test]
fn whatever_a_power_cut_leaves_nothing_wrong_is_read() {
    let seed = seed(1);
    let mut random = Random::new(seed);
    let mut kept = 0;
    let fill = |disk: &SimDisk| {
        let (caches, _) = open(disk, 0, 64 << 10);
        for row in 0..300 {
            put(&caches, &key(u128::from(row / 100), row));
            if row == 250 {
                caches.keep_only([1, 2].into());
            }
        }
        caches.persist();
    };
    let whole = SimDisk::new();
    fill(&whole);
    let calls = whole.op_count();
    assert!(calls > 20, "{calls}");
    for cut in 0..calls {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.stop_after(cut);
        if cut > 0 {
            fill(&disk);
        }
        let after = disk.crash(random.bits());
        let (caches, _) = open(&after, 0, 64 << 10);
        kept += (0..300).filter(|row| has(&caches, &key(u128::from(row / 100), *row))).count();
        for row in 300..310 {
            // A start knows of no files yet.
            put(&caches, &key(9, row));
            assert!(has(&caches, &key(9, row)), "seed {seed} cut {cut}");
        }
        assert!(!files(&after).iter().any(|path| path.extension().is_some_and(|end| end == "tmp")));
    }
    assert!(kept > 0, "no cut left anything");
}

#[test]
fn a_disk_that_is_full_costs_the_cache_and_nothing_else() {
    let disk = SimDisk::new();
    let mut options = CacheOptions::new(DIR);
    (options.l2_bytes, options.disk_free_min) = (1 << 20, 1 << 20);
    disk.set_capacity(3 << 19);
    let registry = Registry::new();
    let caches = Caches::open(Arc::new(disk.clone()), &options, &registry).unwrap();
    for row in 0..20_000 {
        put(&caches, &key(1, row));
    }
    caches.persist();
    assert!(disk.free_bytes(Path::new(DIR)).unwrap() >= 1 << 20);
    assert!(metric(&registry, "mytsdb_cache_write_failures_total", "") > 0.0);
    assert!(metric(&registry, "mytsdb_cache_bytes", "l2") > 0.0);
    assert!(files(&disk).iter().all(|path| path.extension().is_some_and(|end| end == "seg")));
}

#[test]
fn files_of_others_stay() {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    for name in ["notes", "1.seg", "00000000000000AB.seg", "0000000000000001.seg.tmp"] {
        disk.create(&Path::new(DIR).join(name)).unwrap().append(b"text").unwrap();
    }
    drop(open(&disk, 0, 1 << 20));
    let names: Vec<String> = disk.list(Path::new(DIR)).unwrap();
    assert_eq!(names, ["00000000000000AB.seg", "1.seg", "notes"]);
}

#[test]
fn what_only_the_disk_has_is_in_memory_after_the_first_read() {
    let disk = SimDisk::new();
    let (caches, _) = open(&disk, 0, 1 << 20);
    put(&caches, &key(1, 1));
    caches.persist();
    drop(caches);
    let (caches, registry) = open(&disk, 1 << 20, 1 << 20);
    let hits = |level: &str| metric(&registry, "mytsdb_cache_hits_total", level);
    let misses = |level: &str| metric(&registry, "mytsdb_cache_misses_total", level);
    assert!(caches.has(&key(1, 1)) && !caches.has(&key(1, 2)));
    assert!(has(&caches, &key(1, 1)));
    assert_eq!((hits("l1"), hits("l2"), misses("l1"), misses("l2")), (0.0, 1.0, 1.0, 0.0));
    assert!(has(&caches, &key(1, 1)));
    assert_eq!((hits("l1"), hits("l2")), (1.0, 1.0));
    assert!(!has(&caches, &key(1, 2)));
    assert_eq!((misses("l1"), misses("l2")), (2.0, 1.0));
    assert_eq!(metric(&registry, "mytsdb_cache_entries", "l1"), 1.0);
    assert!(metric(&registry, "mytsdb_cache_bytes", "l1") > 300.0);
}
