//! What happens to rows once they are computed: aggregations, joins, choices and names of many series.
//!
//! The samples are cheap to read (one a step), so that the rows are what is measured.

use criterion::{Criterion, criterion_group, criterion_main};
use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, WorkerPool, instant, range};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;
use std::time::Duration;

const SERIES: usize = 4_000;
const STEP_MS: i64 = 60_000;
const STEPS: i64 = 361;

fn wide() -> TestStorage {
    let mut storage = TestStorage::new();
    for i in 0..SERIES {
        let (job, instance) = (format!("job{}", i % 40), format!("host{i:05}"));
        let zone = format!("zone{}", i % 3);
        let labels = Labels::from_pairs([("__name__", "m"), ("job", &job), ("instance", &instance), ("zone", &zone)]);
        for step in 0..STEPS {
            let value = ((i as i64 * 7_919 + step * 104_729) % 10_007) as f64 / 8.0;
            storage.append(&labels, step * STEP_MS, value, 0).expect("times ascend");
        }
        if i < 40 {
            let labels = Labels::from_pairs([("__name__", "one"), ("job", &job), ("team", &zone)]);
            for step in 0..STEPS {
                storage.append(&labels, step * STEP_MS, 2.0 + step as f64, 0).expect("times ascend");
            }
        }
    }
    storage
}

fn many(series: usize) -> TestStorage {
    let mut storage = TestStorage::new();
    for i in 0..series {
        let (job, instance, zone) = (format!("job{}", i % 100), format!("host{i:07}"), format!("zone{}", i % 3));
        let labels = Labels::from_pairs([
            ("__name__", "c_total"),
            ("cluster", "production"),
            ("instance", &instance),
            ("job", &job),
            ("namespace", "default"),
            ("zone", &zone),
        ]);
        for t in 0..4 {
            storage.append(&labels, t * STEP_MS, (t * (i as i64 % 9)) as f64, 0).expect("times ascend");
        }
    }
    storage
}

/// Two threads, one, and the reference.
fn variants() -> [(&'static str, QueryOptions); 3] {
    let pool = WorkerPool::new(1).expect("there is a thread to be had");
    let with = |pool, optimise| QueryOptions { pool, optimise, ..QueryOptions::default() };
    [("2 threads", with(Some(pool), true)), ("1 thread", with(None, true)), ("plain", with(None, false))]
}

fn rows(c: &mut Criterion) {
    let storage = wide();
    let mut group = c.benchmark_group("rows");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    for query in [
        "m",
        "m * 2 > 9",
        "sum by (job) (m)",
        "avg by (job) (m)",
        "max by (job) (m)",
        "stddev by (job) (m)",
        "sum without (instance) (last_over_time(m[1m]))",
        "topk(10, m)",
        "topk by (job) (3, m)",
        "quantile(0.99, m)",
        "limitk(10, m)",
        "count_values(\"v\", sgn(m))",
        "m * on (job) group_left (team) one",
        "sum by (team) (m * on (job) group_left (team) one)",
        "sum(m / m)",
        "sum(m and on (job) one)",
        "label_replace(m, \"x\", \"$1\", \"job\", \"job(.*)\")",
    ] {
        let expr = parse(query).expect("the query is legal");
        for (name, options) in variants() {
            let run = || {
                range(&storage, &expr, 0, (STEPS - 1) * STEP_MS, STEP_MS, &options, &Cancel::new()).expect("it answers")
            };
            let QueryValue::Matrix(series) = run().value else { panic!("a range query gives a matrix") };
            assert!(!series.is_empty());
            group.bench_function(format!("{query}, {name}"), |b| b.iter(run));
        }
    }
    group.finish();
    drop(storage);

    let storage = many(200_000);
    let mut group = c.benchmark_group("instant");
    group.sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    for query in [
        "sum by (job) (rate(c_total[5m]))",
        "sum by (instance) (rate(c_total[5m]))",
        "topk(10, rate(c_total[5m]))",
        "rate(c_total[5m])",
        "c_total - on (instance) group_left () c_total",
    ] {
        let expr = parse(query).expect("the query is legal");
        for (name, options) in variants() {
            let run = || instant(&storage, &expr, 3 * STEP_MS, &options, &Cancel::new()).expect("it answers");
            let QueryValue::Vector(found) = run().value else { panic!("an instant query gives a vector") };
            assert!(!found.is_empty());
            group.bench_function(format!("{query}, {name}"), |b| b.iter(run));
        }
    }
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
