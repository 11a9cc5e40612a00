//! Range queries over 1,000 series of 6 h at 15 s, 361 steps of a minute: the workload of the design's figures.

use criterion::{Criterion, criterion_group, criterion_main};
use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, WorkerPool, range};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;

const SERIES: usize = 1_000;
const HOURS_MS: i64 = 6 * 3_600_000;

fn storage() -> TestStorage {
    let mut storage = TestStorage::new();
    for i in 0..SERIES {
        let (job, instance) = (format!("job{}", i % 40), format!("host{i}"));
        let labels = Labels::from_pairs([("__name__", "c_total"), ("job", &job), ("instance", &instance)]);
        let mut value = 0.0;
        for t in (0..=HOURS_MS).step_by(15_000) {
            // One reset a series, at different times.
            value = if t == 15_000 * (i as i64 + 3) { 0.0 } else { value + 1.0 + (i % 7) as f64 };
            storage.append(&labels, t, value, 0).expect("times ascend");
        }
    }
    storage
}

fn evaluation(c: &mut Criterion) {
    let storage = storage();
    let pool = WorkerPool::new(1).expect("there is a thread to be had");
    let mut group = c.benchmark_group("eval");
    group.sample_size(10);
    for query in [
        "c_total",
        "sum by (job) (c_total)",
        "sum by (job) (rate(c_total[5m]))",
        "sum by (job) (sum_over_time(c_total[1h]))",
        "max by (job) (max_over_time(c_total[1h]))",
        "topk(10, c_total)",
        "quantile_over_time(0.9, c_total[10m])",
    ] {
        let expr = parse(query).expect("the query is legal");
        for (threads, pool) in [(1, None), (2, Some(pool.clone()))] {
            let options = QueryOptions { pool, ..QueryOptions::default() };
            let run = || range(&storage, &expr, 0, HOURS_MS, 60_000, &options, &Cancel::new()).expect("it answers");
            let QueryValue::Matrix(series) = run().value else { panic!("a range query gives a matrix") };
            assert!(!series.is_empty());
            let name = if threads == 1 { query.to_owned() } else { format!("{query}, {threads} threads") };
            group.bench_function(name, |b| b.iter(run));
        }
    }
    group.finish();
}

criterion_group!(benches, evaluation);
criterion_main!(benches);
