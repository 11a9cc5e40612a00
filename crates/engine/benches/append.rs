//! In-process append and read, on a folder of the real disk: ns a sample from batch to head, log included.
//!
//! `cargo bench -p mytsdb-engine`. Data: gauges with two decimals, 15 s apart; answers are compared. Of late samples and
//! those in order the time of the processor is printed too: on a machine that others use it says more.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Companion, Durability, Engine, EngineOptions, ManualClock};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const STEP_MS: i64 = 15_000;
const START_MS: i64 = 1_700_000_000_000;
const AHEAD_MS: i64 = 1_000_000_000_000;

fn value(series: usize, round: i64) -> f64 {
    ((series * 31) as i64 + round * 17).rem_euclid(1_000) as f64 / 100.0
}

fn open(dir: &tempfile::TempDir, series: usize) -> (Engine, Vec<SeriesRef>) {
    // A clock so far ahead, and a retention so long, that no round is ever repeated.
    let options = EngineOptions {
        durability: Durability::Interval,
        retention_ms: 2 * AHEAD_MS,
        ..EngineOptions::new(dir.path())
    };
    let clock = Arc::new(ManualClock::new(START_MS + AHEAD_MS));
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, _) = Engine::open(Arc::new(mytsdb_io::RealDisk), clock, options, &registry).expect("opens");
    let refs = (0..series)
        .map(|i| engine.resolve(&Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())])).expect("a new series"))
        .collect();
    (engine, refs)
}

fn round(refs: &[SeriesRef], round: i64) -> Batch {
    let mut batch = Batch::with_capacity(refs.len());
    for (series, &reference) in refs.iter().enumerate() {
        batch.push(reference, START_MS + round * STEP_MS, value(series, round));
    }
    batch
}

/// What a batch is made of.
#[derive(Clone, Copy)]
enum Shape {
    /// Rows that are points by themselves.
    Rows,
    /// The same, with a series that describes them.
    Companion,
    /// Points of ten rows, as histograms have them.
    Points,
}

fn shaped(refs: &[SeriesRef], number: i64, shape: Shape) -> Batch {
    let (info, refs) = refs.split_last().expect("series");
    let mut batch = round(refs, number);
    let rows = 0..batch.len() as u32;
    match shape {
        Shape::Rows => {}
        Shape::Companion => {
            batch.companions.push(Companion { series: *info, value: 1.0, step_ms: 10 * STEP_MS, rows });
        }
        Shape::Points => batch.points.extend(rows.step_by(10).map(|row| row..row + 10)),
    }
    batch
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    let shapes = [(Shape::Rows, ""), (Shape::Companion, ", described"), (Shape::Points, " in points of 10")];
    for (series, (shape, name)) in [1_000, 100_000].into_iter().flat_map(|series| shapes.map(|shape| (series, shape))) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (engine, refs) = open(&dir, series + 1);
        let mut next = 0;
        group.throughput(Throughput::Elements(series as u64));
        group.sample_size(20).bench_function(format!("{series} series{name}"), |b| {
            b.iter_batched(
                || {
                    next += 1;
                    shaped(&refs, next, shape)
                },
                |batch| {
                    let outcome = engine.append(batch).expect("stored");
                    assert!(outcome.refused.is_empty());
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// What this thread, which does all the work, has used of the processor.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Samples halfway between those that blocks have, beside samples behind all others; a round of 10,000 series each.
fn late(c: &mut Criterion) {
    const ROUNDS: i64 = 960;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (engine, refs) = open(&dir, 10_000);
    for number in 0..ROUNDS {
        engine.append(round(&refs, number)).expect("stored");
    }
    let flushed = engine.flush_before(START_MS + ROUNDS * STEP_MS - 1).expect("a block").0;
    assert!(flushed >= 10_000 * (ROUNDS as u64 - 1));
    let mut group = c.benchmark_group("late");
    group.throughput(Throughput::Elements(refs.len() as u64));
    // A late round lies in the middle of a step; those that come again to the same step are a millisecond apart.
    let between = |n: i64| n % ROUNDS * STEP_MS + STEP_MS / 2 + n / ROUNDS;
    let behind = |n: i64| (ROUNDS + n) * STEP_MS;
    let times: [(&str, &dyn Fn(i64) -> i64); 2] = [("in order", &behind), ("between samples of blocks", &between)];
    let mut nexts = [0, 0];
    let batch_at = |time: &dyn Fn(i64) -> i64, next: &mut i64| {
        let mut batch = round(&refs, *next);
        batch.timestamps_ms.fill(START_MS + time(*next));
        *next += 1;
        batch
    };
    let store = |batch| {
        let outcome = engine.append(batch).expect("stored");
        assert_eq!((outcome.stored, outcome.refused.len()), (10_000, 0));
    };
    for ((name, time), next) in times.iter().zip(&mut nexts) {
        group.sample_size(20).bench_function(*name, |b| {
            b.iter_batched(|| batch_at(time, next), store, BatchSize::PerIteration);
        });
    }
    group.finish();
    let mut used = [0.0; 2];
    for _ in 0..60 {
        // In turn, so that whatever slows one down slows the other down too.
        for ((_, time), (next, used)) in times.iter().zip(nexts.iter_mut().zip(&mut used)) {
            let batch = batch_at(time, next);
            let before = cpu_time();
            store(batch);
            *used += cpu_time().saturating_sub(before).as_secs_f64() / (60.0 * refs.len() as f64) * 1e9;
        }
    }
    println!("{:.0} ns of the processor a sample in order, {:.0} late: 1/{:.2}", used[0], used[1], used[1] / used[0]);
}

fn read(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (engine, refs) = open(&dir, 1_000);
    for r in 1..=480 {
        engine.append(round(&refs, r)).expect("stored");
    }
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(480 * 1_000));
    group.sample_size(20).bench_function("1000 series x 2 h", |b| {
        b.iter(|| {
            let found = engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).expect("found");
            let (mut columns, mut sum) = (Columns::default(), 0.0);
            for index in 0..found.len() {
                columns.clear();
                found.read(index, TimeRange::ALL, &mut columns).expect("decoded");
                assert_eq!(columns.len(), 480);
                sum += columns.values.iter().sum::<f64>();
            }
            black_box(sum)
        });
    });
    group.finish();
}

criterion_group!(benches, append, late, read);
criterion_main!(benches);
