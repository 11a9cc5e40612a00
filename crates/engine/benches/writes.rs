//! Writes of one sample a series: by how many series there are, by how many threads write, and one sample a call.
//!
//! `cargo bench -p mytsdb-engine --bench writes`. On a folder of the real disk, log included; every sample is distinct, and all of
//! them are counted at the end.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Durability, Engine, EngineOptions, ManualClock};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const STEP_MS: i64 = 15_000;
const START_MS: i64 = 1_700_000_000_000;
const AHEAD_MS: i64 = 1_000_000_000_000;
/// Series of one batch.
const BATCH: usize = 1_000;
/// Series that are looked at in the end.
const COMPARED: usize = 1_000;

struct Store {
    engine: Engine,
    refs: Vec<SeriesRef>,
    _dir: tempfile::TempDir,
}

impl Store {
    fn new(series: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        // A clock so far ahead, and a retention so long, that no round is ever repeated.
        let options = EngineOptions {
            durability: Durability::Interval,
            retention_ms: 2 * AHEAD_MS,
            ..EngineOptions::new(dir.path())
        };
        let clock = Arc::new(ManualClock::new(START_MS + AHEAD_MS));
        let registry = mytsdb_telemetry::Registry::new();
        let (engine, _) = Engine::open(Arc::new(mytsdb_io::RealDisk), clock, options, &registry).expect("opens");
        let refs = (0..series).map(|i| engine.resolve(&labels(i)).expect("a new series")).collect();
        Self { engine, refs, _dir: dir }
    }

    /// One sample of each of some series, in batches.
    fn write(&self, refs: &[SeriesRef], round: i64, batch: usize) {
        for some in refs.chunks(batch) {
            let mut batch = Batch::with_capacity(some.len());
            for &series in some {
                batch.push(series, START_MS + round * STEP_MS, round as f64);
            }
            let outcome = self.engine.append(batch).expect("stored");
            assert_eq!((outcome.stored, outcome.refused.len()), (some.len() as u32, 0));
        }
    }

    /// Every series has a sample of each round.
    fn check(&self, rounds: i64) {
        let found = self.engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).expect("found");
        assert_eq!(found.len(), self.refs.len());
        let mut columns = Columns::default();
        for index in (0..found.len()).step_by(found.len().div_ceil(COMPARED)) {
            columns.clear();
            found.read(index, TimeRange::ALL, &mut columns).expect("decoded");
            assert_eq!(columns.len() as i64, rounds);
            assert!(columns.values.iter().enumerate().all(|(round, &value)| value == round as f64));
        }
    }
}

fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "m"),
        ("host", &format!("host-{i}")),
        ("region", ["us", "eu", "ap", "sa", "af"][i % 5]),
    ])
}

fn sizes(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    let all = [1_000, 4_096, 32_768, 100_000];
    for &series in if mytsdb_testkit::is_measured() { &all[..] } else { &all[..1] } {
        let store = Store::new(series);
        let round = Cell::new(0);
        group.throughput(Throughput::Elements(series as u64)).sample_size(10);
        group.bench_function(format!("{series} series"), |b| {
            b.iter(|| {
                store.write(&store.refs, round.get(), BATCH);
                round.set(round.get() + 1);
            });
        });
        store.check(round.get());
        group.bench_function(format!("{series} new series"), |b| {
            b.iter_batched(
                || Store::new(0),
                |mut store| {
                    let refs = (0..series).map(|i| store.engine.resolve(&labels(i)).expect("a new series"));
                    store.refs = refs.collect();
                    store.write(&store.refs, 0, BATCH);
                    store.check(1);
                    store
                },
                BatchSize::PerIteration,
            );
        });
    }
    let store = Store::new(BATCH);
    let round = Cell::new(0);
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("one sample a call", |b| {
        b.iter(|| {
            store.write(&store.refs, round.get(), 1);
            round.set(round.get() + 1);
        });
    });
    store.check(round.get());
    group.finish();
}

fn threads(c: &mut Criterion) {
    let all_series = if mytsdb_testkit::is_measured() { 100_000 } else { 8_000 };
    let mut group = c.benchmark_group("threads");
    group.throughput(Throughput::Elements(all_series as u64)).sample_size(10);
    for threads in [1, 2, 4, 8] {
        let store = Store::new(all_series);
        let (round, written) = (AtomicI64::new(0), AtomicU64::new(0));
        group.bench_function(threads.to_string(), |b| {
            b.iter(|| {
                let number = round.fetch_add(1, Ordering::Relaxed);
                std::thread::scope(|scope| {
                    for share in store.refs.chunks(all_series.div_ceil(threads)) {
                        let (store, written) = (&store, &written);
                        scope.spawn(move || {
                            store.write(share, number, BATCH);
                            written.fetch_add(share.len() as u64, Ordering::Relaxed);
                        });
                    }
                });
            });
        });
        let rounds = round.load(Ordering::Relaxed);
        assert_eq!(written.load(Ordering::Relaxed), all_series as u64 * rounds.unsigned_abs());
        store.check(rounds);
    }
    group.finish();
}

criterion_group!(benches, sizes, threads);
criterion_main!(benches);
