//! Reads of 120 samples from each level, copied out; every read is compared with what was put.
//!
//! `cargo bench -p mytsdb-cache --bench levels`. L1 holds 10,000 series of a day's file at once, L2 has its files on the real disk, in the page
//! cache. Bars: 50 ns for L1, 1 us for L2. What a block and a file of the cold tier take is measured by the bench `reads` of `mytsdb-cold`.

use criterion::{Criterion, criterion_group, criterion_main};
use mytsdb_cache::{CacheOptions, Caches, ChunkKey, Origin};
use mytsdb_columns::Columns;
use mytsdb_model::TimeRange;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::Random;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const SERIES: u64 = 10_000;
const SAMPLES: i64 = 120;

fn key(row: u64) -> ChunkKey {
    ChunkKey { file: 1 << 100, checksum: 7, row }
}

/// A counter that grows by random steps.
fn columns(row: u64) -> Columns {
    let (mut columns, mut random, mut value) = (Columns::default(), Random::of_case(1, row), 0.0);
    for at in 0..SAMPLES {
        value += random.below(100) as f64;
        columns.push_float(1_700_000_000_000 + at * 15_000, value);
    }
    columns.shrink_to_fit();
    columns
}

fn caches(dir: &std::path::Path, l1_bytes: usize, l2_bytes: u64) -> Caches {
    let mut options = CacheOptions::new(dir);
    (options.l1_bytes, options.l2_bytes) = (l1_bytes, l2_bytes);
    let caches = Caches::open(Arc::new(mytsdb_io::RealDisk), &options, &Registry::new()).expect("a folder");
    for row in 0..SERIES {
        caches.put(&key(row), &Arc::new(columns(row)), Origin::Asked);
    }
    caches.persist();
    caches
}

/// The least of many short runs: what it takes when nobody else has the processor.
fn least_ns(read: &mut impl FnMut()) -> f64 {
    const READS: u32 = 100;
    let run = |_| {
        let begun = Instant::now();
        (0..READS).for_each(|_| read());
        begun.elapsed().as_nanos() as f64 / f64::from(READS)
    };
    (0..3_000).map(run).fold(f64::INFINITY, f64::min)
}

fn levels(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut group = c.benchmark_group("120 samples");
    for (name, l1_bytes, l2_bytes) in [("L1 hit", 256 << 20, 0), ("L2 hit", 0, 256 << 20)] {
        let caches = caches(&dir.path().join(name), l1_bytes, l2_bytes);
        let mut out = Columns::default();
        for row in 0..SERIES {
            out.clear();
            let found = caches.read(&key(row), SAMPLES as u64, |found| out.extend_from(found, TimeRange::ALL));
            let expected = columns(row);
            assert!(found.is_some() && out.timestamps_ms == expected.timestamps_ms && out.values == expected.values);
        }
        for (which, rows) in [("", SERIES), (" of 100 series", 100)] {
            let mut row = 0;
            let mut read = || {
                // Another one each time, far from the last.
                row = (row + 7_919) % rows;
                out.clear();
                let asked = black_box(key(row));
                let found = caches.read(&asked, SAMPLES as u64, |found| out.extend_from(found, TimeRange::ALL));
                assert!(found.is_some() && out.values.len() == SAMPLES as usize);
            };
            println!("{name}{which}: {:.1} ns at best", least_ns(&mut read));
            let mut at = 0;
            let mut look = || {
                at = (at + 7_919) % rows;
                assert_eq!(caches.read(&black_box(key(at)), SAMPLES as u64, Columns::len), Some(SAMPLES as usize));
            };
            println!("{name}{which}, nothing copied: {:.1} ns at best", least_ns(&mut look));
            group.bench_function(format!("{name}{which}"), |b| b.iter(&mut read));
        }
    }
    group.finish();
}

criterion_group!(benches, levels);
criterion_main!(benches);
