//! Native histograms through the engine, on a folder of the real disk: 10,000 series of 160 buckets.
//!
//! `cargo bench -p mytsdb-engine --bench histograms`. A measured element is a histogram, from the caller's floats to the head:
//! encoding it, the log and the head are included, but not what another thread does meanwhile: packing runs that are full. Then everything is flushed, read back and compared, and the bytes a bucket
//! are printed. The data: as in the codec's bench, latencies of a service, log-normal with sigma 1.5 in 160 buckets of
//! schema 3, a Poisson number of new observations in each bucket every 15 s; 16 different series, each 625 times.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Durability, Engine, EngineOptions, ManualClock};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_io::{Disk, RealDisk};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use mytsdb_testkit::Random;
use rustix::time::ClockId;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        std::thread::scope(|scope| {
            scope.spawn(|| engine.run_sealer(|error| panic!("{error}")));
            let _stop = Stop(&engine);
            append_rounds(c, rate, (&engine, &refs), &data);
            measure(&engine, dir.path(), &data);
        });
    }
}

/// Stops the engine, and so the thread that packs, whatever happens.
struct Stop<'e>(&'e Engine);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop().expect("stopped");
    }
}

fn append_rounds(c: &mut Criterion, rate: f64, (engine, refs): (&Engine, &[SeriesRef]), data: &[Vec<FloatHistogram>]) {
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
            |round| append_round(engine, refs, data, round),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    // On a machine that others use too the time of the processor says more.
    let clocks = [ClockId::ThreadCPUTime, ClockId::ProcessCPUTime];
    let (begun, before, rounds) = (Instant::now(), clocks.map(time_of), ROUNDS - next);
    for round in next..ROUNDS {
        append_round(engine, refs, data, round);
    }
    let appended = begun.elapsed();
    let of_appends = time_of(clocks[0]).saturating_sub(before[0]);
    engine.seal_waiting().expect("packed");
    let of_all = time_of(clocks[1]).saturating_sub(before[1]);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (rounds as f64 * SERIES as f64);
    println!(
        "the last {rounds} rounds, us a histogram: {:.2} by the clock, {:.2} of the processor, {:.2} with those of the thread that packs",
        each(appended),
        each(of_appends),
        each(of_all)
    );
}

fn time_of(clock: ClockId) -> Duration {
    let now = rustix::time::clock_gettime(clock);
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
