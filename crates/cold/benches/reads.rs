//! Reads of 120 samples through the engine: from the head, from a block, and from the cold tier with nothing, L2 or L1 kept, and with nothing in the
//! page cache of the system either; values asserted.
//!
//! `cargo bench -p mytsdb-cold --bench reads`. Data: 200 counters, a day of 15 s, on the real disk, in the page cache but for the last row. Each read selects one series,
//! which is remembered, and reads half an hour of it; so what a selection costs is in every row. Bars: 2 us for memory, 500 us for a cold file.

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use mytsdb_cold::{Cold, ColdOptions};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{Store, StoreOptions};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SERIES: usize = 200;
const STEP_MS: i64 = 15_000;
const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 20_000 * DAY_MS;
const SAMPLES: i64 = 120;

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("instance", &format!("10.0.0.{series}:9100"))])
}

fn value(series: usize, at: i64) -> f64 {
    (at * (series as i64 % 17 + 1) + (at * 7_919) % 13) as f64
}

/// Appends samples of all series at steps.
fn append(engine: &Engine, steps: std::ops::Range<i64>) {
    let references: Vec<_> = (0..SERIES).map(|series| engine.resolve(&labels(series)).expect("a series")).collect();
    for from in steps.clone().step_by(120) {
        let mut batch = Batch::default();
        for at in from..steps.end.min(from + 120) {
            for (series, reference) in references.iter().enumerate() {
                batch.push(*reference, START_MS + at * STEP_MS, value(series, at));
            }
        }
        engine.append(batch).expect("stored");
    }
}

/// Reads of one series after the other, from a step on.
fn measure(c: &mut Criterion, name: &str, engine: &Engine, first: i64) {
    let mut read = reader(engine, first);
    // Lists of series are remembered from here on, and samples if they are to be.
    (0..2 * SERIES).for_each(|_| read());
    c.benchmark_group("select and read 120 samples").sample_size(20).bench_function(name, |b| b.iter(&mut read));
}

/// The same, each from files that the page cache of the system has nothing of.
fn measure_dropped(c: &mut Criterion, name: &str, engine: &Engine, first: i64, store: &Path) {
    let mut read = reader(engine, first);
    (0..SERIES).for_each(|_| read());
    let mut group = c.benchmark_group("select and read 120 samples");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(20));
    group.measurement_time(Duration::from_millis(200)).bench_function(name, |b| {
        b.iter_custom(|reads| {
            let mut took = Duration::ZERO;
            for _ in 0..reads {
                drop_page_cache(store);
                let begun = Instant::now();
                read();
                took += begun.elapsed();
            }
            took
        });
    });
}

/// Takes all files below a folder out of the page cache.
#[expect(clippy::disallowed_methods, reason = "a bench looks for its own files")]
fn drop_page_cache(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            drop_page_cache(&path);
            continue;
        }
        // GNU's dd asks the system to forget what it has of the file.
        let mut dd = Command::new("dd");
        dd.arg(format!("if={}", path.display())).args(["iflag=nocache", "count=0", "status=none"]);
        assert!(dd.status().expect("dd").success());
    }
}

/// Reads one series after the other, from a step on.
fn reader(engine: &Engine, first: i64) -> impl FnMut() + '_ {
    let matchers: Vec<_> = (0..SERIES)
        .map(|series| labels(series).iter().map(|(name, value)| Matcher::equal(name, value)).collect::<Vec<_>>())
        .collect();
    let range = TimeRange::new(START_MS + first * STEP_MS, START_MS + (first + SAMPLES - 1) * STEP_MS);
    let (mut columns, mut series) = (Columns::default(), 0);
    move || {
        series = (series + 77) % SERIES;
        let found = engine.select(black_box(range), &matchers[series]).expect("found");
        columns.clear();
        found.read(0, range, &mut columns).expect("read");
        assert_eq!(columns.values.len(), SAMPLES as usize);
        let ends = (columns.values[0], columns.values[SAMPLES as usize - 1]);
        assert_eq!(ends, (value(series, first), value(series, first + SAMPLES - 1)));
    }
}

fn reads(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START_MS + DAY_MS));
    let disk = Arc::new(mytsdb_io::RealDisk);
    let open = |l1_bytes: usize, l2_bytes: u64| {
        let registry = Registry::new();
        let options = EngineOptions { retention_ms: 1_000 * DAY_MS, ..EngineOptions::new(dir.path().join("data")) };
        let (engine, _) = Engine::open(disk.clone(), clock.clone(), options, &registry).expect("opens");
        let engine = Arc::new(engine);
        let url = format!("file://{}", dir.path().join("store").display());
        let store = Store::open(&url, Vec::<(String, String)>::new(), StoreOptions::default()).expect("a folder");
        let mut options = ColdOptions::new(dir.path().join("spool"));
        (options.cache_l1_bytes, options.cache_l2_bytes) = (l1_bytes, l2_bytes);
        let cold = Cold::open(engine.clone(), disk.clone(), clock.clone(), &store, options, &registry).expect("opens");
        (engine, cold)
    };
    let day = DAY_MS / STEP_MS;
    let (engine, cold) = open(0, 0);
    append(&engine, 0..day);
    measure(c, "head", &engine, day - SAMPLES);
    engine.flush_before(START_MS + DAY_MS).expect("a block");
    measure(c, "block", &engine, 2_400);
    clock.set(START_MS + 3 * DAY_MS);
    append(&engine, 3 * day - 1..3 * day);
    while cold.step(StopSign::NEVER).expect("demoted").demoted_blocks > 0 {}
    assert!(engine.stored_blocks().is_empty());
    measure(c, "cold file", &engine, 2_400);
    measure_dropped(c, "cold file, nothing in the page cache", &engine, 2_400, &dir.path().join("store"));
    drop((engine, cold));
    for (name, l1_bytes, l2_bytes) in [("cold, L2 hit", 0, 256 << 20), ("cold, L1 hit", 256 << 20, 0)] {
        let (engine, cold) = open(l1_bytes, l2_bytes);
        measure(c, name, &engine, 2_400);
        drop((engine, cold));
    }
}

criterion_group!(benches, reads);
criterion_main!(benches);
