//! Lookups and reads of many series of the head: ns a series, for a question that was asked before.
//!
//! `cargo bench -p mytsdb-engine --bench select`. Data: 200,000 counters, 40 samples 15 s apart, all in open chunks;
//! every run counts what it read.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, Lookup, ManualClock};
use mytsdb_model::{Labels, Matcher, TimeRange};
use std::hint::black_box;
use std::sync::Arc;

const SERIES: usize = 200_000;
const ROUNDS: i64 = 40;
const STEP_MS: i64 = 15_000;
const START_MS: i64 = 1_700_000_000_000;
const END_MS: i64 = START_MS + (ROUNDS - 1) * STEP_MS;

fn engine() -> Engine {
    let clock = Arc::new(ManualClock::new(END_MS));
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, _) = Engine::open(disk, clock, EngineOptions::new("/data"), &registry).expect("opens");
    let labels = |i: usize| {
        let instance = format!("10.{}.{}.{}:8080", i >> 16, i >> 8 & 255, i & 255);
        Labels::from_pairs([("__name__", "m"), ("instance", &instance), ("l", &format!("group-{}", i % 20))])
    };
    let refs: Vec<_> = (0..SERIES).map(|i| engine.resolve(&labels(i)).expect("a new series")).collect();
    for round in 0..ROUNDS {
        let mut batch = Batch::with_capacity(SERIES);
        for (i, &series) in refs.iter().enumerate() {
            batch.push(series, START_MS + round * STEP_MS, (round * (i as i64 % 97 + 1)) as f64);
        }
        engine.append(batch).expect("stored");
    }
    engine
}

fn select(c: &mut Criterion) {
    let engine = engine();
    let range = TimeRange::new(END_MS - 299_999, END_MS);
    let matchers = [Matcher::equal("__name__", "m")];
    let lookup = Lookup { any_order: true, ..Lookup::new(range, &matchers) };
    let mut group = c.benchmark_group("200,000 series");
    group.throughput(Throughput::Elements(SERIES as u64)).sample_size(10);
    group.bench_function("lookup", |b| {
        b.iter(|| assert_eq!(engine.candidates(black_box(&lookup)).expect("found").len(), SERIES));
    });
    group.bench_function("lookup, in the order of labels", |b| {
        let lookup = Lookup::new(range, &matchers);
        b.iter(|| assert_eq!(engine.candidates(black_box(&lookup)).expect("found").len(), SERIES));
    });
    for (order, any_order) in [("", true), (", in the order of labels", false)] {
        let found = engine.candidates(&Lookup { any_order, ..Lookup::new(range, &matchers) }).expect("found");
        group.bench_function(format!("walk labels{order}"), |b| {
            b.iter(|| (0..found.len()).map(|i| found.labels(i).get("l").map_or(0, str::len)).sum::<usize>());
        });
        group.bench_function(format!("read 5 minutes{order}"), |b| {
            let mut columns = Columns::default();
            b.iter(|| {
                let mut samples = 0;
                for i in 0..found.len() {
                    columns.clear();
                    found.read(i, range, &mut columns).expect("read");
                    samples += black_box(&columns.values).len();
                }
                assert_eq!(samples, 20 * SERIES);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, select);
criterion_main!(benches);
