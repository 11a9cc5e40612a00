//! Native histograms through the engine, on a folder of the real disk: 10,000 series of 160 buckets.
//!
//! `cargo bench -p mytsdb-engine --bench histograms`. A measured element is a histogram, from the caller's floats to the head:
//! encoding it, the log and the head are included. Then everything is flushed, read back and compared, and the bytes a bucket
//! are printed. The data: as in the codec's bench, latencies of a service, log-normal with sigma 1.5 in 160 buckets of
//! schema 3, a Poisson number of new observations in each bucket every 15 s; 16 different series, each 625 times.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Durability, Engine, EngineOptions, ManualClock};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_io::{Disk, RealDisk};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use mytsdb_testkit::Random;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES: usize = 10_000;
const KINDS: usize = 16;
const BUCKETS: usize = 160;
const STEP_MS: i64 = 15_000;
const START_MS: i64 = 1_699_999_200_000;
/// Samples of a series in the block that is measured.
const ROUNDS: i64 = 190;

/// A Poisson number of a mean below 700 (Knuth).
fn poisson(random: &mut Random, mean: f64) -> f64 {
    let (limit, mut count, mut product) = ((-mean).exp(), 0.0, random.unit());
    while product > limit {
        count += 1.0;
        product *= random.unit();
    }
    count
}

/// The histograms of one series, one a round; `rate` observations a second.
fn growing(random: &mut Random, rate: f64) -> Vec<FloatHistogram> {
    let width = std::f64::consts::LN_2 / 8.0; // of a bucket, in the logarithm
    let density = |bucket: usize| (-((bucket as f64 - 79.5) * width / 1.5).powi(2) / 2.0).exp();
    let all: f64 = (0..BUCKETS).map(density).sum();
    let means: Vec<f64> = (0..BUCKETS).map(|bucket| rate * 15.0 * density(bucket) / all).collect();
    let mut buckets: Vec<f64> = means.iter().map(|mean| (mean * 5_760.0).ceil()).collect();
    let mut sum = 0.0;
    (0..ROUNDS)
        .map(|_| {
            for (number, (bucket, &mean)) in buckets.iter_mut().zip(&means).enumerate() {
                let more = poisson(random, mean);
                *bucket += more;
                sum += more * 2f64.powf((number as f64 - 79.5) / 8.0) * random.unit();
            }
            FloatHistogram {
                counter_reset_hint: CounterResetHint::NotCounterReset,
                schema: 3,
                zero_threshold: 2f64.powi(-128),
                count: buckets.iter().sum(),
                sum,
                positive_spans: vec![Span { offset: -79, length: BUCKETS as u32 }],
                positive_buckets: buckets.clone(),
                ..FloatHistogram::default()
            }
        })
        .collect()
}

fn open(dir: &Path) -> (Engine, Vec<SeriesRef>) {
    let options = EngineOptions { durability: Durability::Interval, ..EngineOptions::new(dir) };
    let clock = Arc::new(ManualClock::new(START_MS + ROUNDS * STEP_MS));
    let (engine, _) =
        Engine::open(Arc::new(RealDisk), clock, options, &mytsdb_telemetry::Registry::new()).expect("opens");
    let series = |i: usize| engine.resolve(&Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]));
    let refs = (0..SERIES).map(|i| series(i).expect("a new series")).collect();
    (engine, refs)
}

fn append_round(engine: &Engine, refs: &[SeriesRef], data: &[Vec<FloatHistogram>], round: i64) {
    // As many rows as a request has.
    for (part, refs) in refs.chunks(1_000).enumerate() {
        let mut batch = Batch::with_capacity(refs.len());
        for (i, &reference) in refs.iter().enumerate() {
            let histogram = &data[(part * 1_000 + i) % KINDS][round as usize];
            batch.push_histogram(reference, START_MS + round * STEP_MS, 0, histogram).expect("valid");
        }
        assert!(engine.append(batch).expect("stored").refused.is_empty());
    }
}

fn append(c: &mut Criterion) {
    for rate in [10.0, 100.0] {
        let mut random = Random::new(1);
        let data: Vec<_> = (0..KINDS).map(|_| growing(&mut random, rate)).collect();
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (engine, refs) = open(dir.path());
        let mut next = 0;
        let mut group = c.benchmark_group("append histograms");
        group.throughput(Throughput::Elements(SERIES as u64));
        let name = format!("10 k series of 160 buckets, {rate} observations a second");
        group.sample_size(10).bench_function(name, |b| {
            b.iter_batched(
                || {
                    next += 1;
                    assert!(next <= ROUNDS, "fewer rounds than the bench takes: give it less time");
                    next - 1
                },
                |round| append_round(&engine, &refs, &data, round),
                BatchSize::PerIteration,
            );
        });
        group.finish();
        // On a machine that others use too the time of the processor says more.
        let (before, rounds) = (cpu_time(), ROUNDS - next);
        for round in next..ROUNDS {
            append_round(&engine, &refs, &data, round);
        }
        let used = cpu_time().saturating_sub(before).as_secs_f64() / (rounds as f64 * SERIES as f64);
        println!("{:.2} us of the processor a histogram, the log's writes included", used * 1e6);
        measure(&engine, dir.path(), &data);
    }
}

/// What this thread, which does all the work, has used of the processor.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Flushes, prints sizes, reads back and compares.
fn measure(engine: &Engine, dir: &Path, data: &[Vec<FloatHistogram>]) {
    let buckets = (SERIES * BUCKETS * ROUNDS as usize) as f64;
    let (head, log) = (engine.head_chunk_bytes(), engine.wal_bytes());
    engine.flush_before(i64::MAX).expect("flushed");
    let blocks = dir.join("blocks");
    let files = RealDisk.list(&blocks).expect("a folder");
    let at_rest: usize = files.iter().map(|name| RealDisk.map(&blocks.join(name)).expect("a file").len()).sum();
    let [log, head, at_rest] = [log as f64, head as f64, at_rest as f64].map(|bytes| bytes / buckets);
    println!("bytes a bucket: {log:.3} in the log, {head:.3} in the head, {at_rest:.3} at rest");
    let found = engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).expect("found");
    assert_eq!(found.len(), SERIES);
    let mut columns = Columns::default();
    for index in (0..SERIES).step_by(97) {
        let series: usize = found.labels(index).get("i").expect("a label").parse().expect("a number");
        columns.clear();
        found.read(index, TimeRange::ALL, &mut columns).expect("readable");
        assert!(columns.histograms.iter().zip(&data[series % KINDS]).all(|(read, stored)| read.equals(stored)));
        assert_eq!(columns.histograms.len() as i64, ROUNDS);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1_500));
    targets = append
}
criterion_main!(benches);
