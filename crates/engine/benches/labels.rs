//! Lookups of labels over a head and twelve blocks: µs a question.
//!
//! `cargo bench -p mytsdb-engine --bench labels`. Data: 10,188 series for 24 h (counters, gauges and histogram buckets
//! of 200 instances), a block every two hours; answers are counted.

use criterion::{Criterion, criterion_group, criterion_main};
use mytsdb_engine::{Batch, Engine, EngineOptions, Lookup, ManualClock};
use mytsdb_model::{Labels, MatchOp, Matcher, SeriesRef, TimeRange};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

const INSTANCES: usize = 200;
const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_700_000_000_000 / (2 * HOUR_MS) * (2 * HOUR_MS);
const END_MS: i64 = START_MS + 24 * HOUR_MS + HOUR_MS / 2;

fn all_labels() -> Vec<Labels> {
    let mut out = Vec::new();
    let mut add = |name: &str, instance: usize, more: &[(&str, String)]| {
        let all = [
            ("__name__", name.to_owned()),
            ("instance", format!("10.0.{}.{}:8080", instance / 256, instance % 256)),
            ("job", format!("job-{}", instance % 10)),
            ("zone", format!("eu-west-1{}", ["a", "b", "c"][instance % 3])),
        ];
        out.push(Labels::from_pairs(all.iter().chain(more).map(|(name, value)| (*name, value.as_str()))));
    };
    for instance in 0..INSTANCES {
        for route in 0..20 {
            let route = ("route", format!("/api/v1/resource{route}"));
            add("bench_requests_total", instance, std::slice::from_ref(&route));
            add("bench_depth", instance, std::slice::from_ref(&route));
        }
        for bucket in 0..10 {
            add("bench_latency_bucket", instance, &[("le", format!("0.{bucket}")), ("route", "/".to_owned())]);
        }
        let environment = ["cluster", "env", "region", "rack", "team", "tier", "version", "build"];
        add("bench_info", instance, &environment.map(|name| (name, format!("{name}-{}", instance % 7))));
    }
    // Down to the number of the benchmark over HTTP.
    out.truncate(10_188);
    out
}

fn engine(labels: &[Labels]) -> (Engine, Vec<SeriesRef>) {
    let clock = Arc::new(ManualClock::new(START_MS));
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, _) = Engine::open(disk, clock.clone(), EngineOptions::new("/data"), &registry).expect("opens");
    let refs: Vec<_> = labels.iter().map(|labels| engine.resolve(labels).expect("a new series")).collect();
    for at_ms in (START_MS..=END_MS).step_by(HOUR_MS as usize / 2) {
        clock.set(at_ms);
        let mut batch = Batch::with_capacity(refs.len());
        for &series in &refs {
            batch.push(series, at_ms, 1.0);
        }
        engine.append(batch).expect("stored");
        engine.maintain().expect("flushed");
    }
    (engine, refs)
}

fn bench(c: &mut Criterion) {
    let all = all_labels();
    let (engine, _refs) = engine(&all);
    let range = TimeRange::new(START_MS, END_MS);
    let regex = |name: &str, pattern: &str| Matcher::new(MatchOp::Regex, name, pattern).expect("a valid pattern");
    let none: [Matcher; 0] = [];
    let depth = [Matcher::equal("__name__", "bench_depth")];
    let some = [Matcher::equal("__name__", "bench_requests_total"), regex("instance", "10.*7:8080")];
    let job = [Matcher::equal("__name__", "bench_requests_total"), Matcher::equal("job", "job-3")];

    let mut group = c.benchmark_group("labels, 12 blocks");
    group.bench_function("names", |b| {
        b.iter(|| assert!(engine.label_names(black_box(&Lookup::new(range, &none))).expect("found").len() > 10));
    });
    for (what, matchers, count) in
        [("values", &none[..], INSTANCES), ("values of a metric", &depth, INSTANCES), ("values by regex", &some, 20)]
    {
        group.bench_function(what, |b| {
            b.iter(|| {
                let found = engine.label_values("instance", black_box(&Lookup::new(range, matchers))).expect("found");
                assert_eq!(found.len(), count);
            });
        });
    }
    // A new series before each question: what is remembered has to be brought up to date.
    let next = Cell::new(0);
    group.bench_function("values of a metric, a series is new", |b| {
        b.iter(|| {
            next.set(next.get() + 1);
            let labels = Labels::from_pairs([("__name__", "bench_new"), ("n", &next.get().to_string())]);
            engine.resolve(&labels).expect("a new series");
            let found = engine.label_values("instance", black_box(&Lookup::new(range, &depth))).expect("found");
            assert_eq!(found.len(), INSTANCES);
        });
    });
    group.bench_function("series of a job", |b| {
        b.iter(|| assert_eq!(engine.select(range, black_box(&job)).expect("found").len(), 400));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
