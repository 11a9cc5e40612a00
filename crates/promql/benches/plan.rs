//! What the planner saves and what it costs: each query with all passes and with none, over 1,000 series of 2 h.

use criterion::{Criterion, criterion_group, criterion_main};
use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, Optimisations, QueryOptions, QueryValue, instant, range};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;

const SERIES: usize = 1_000;
const HOURS_MS: i64 = 2 * 3_600_000;

fn storage() -> TestStorage {
    let mut storage = TestStorage::new();
    for name in ["a_total", "b_total"] {
        for i in 0..SERIES {
            let (job, instance) = (format!("job{}", i % 40), format!("host{i}"));
            let labels = Labels::from_pairs([("__name__", name), ("job", &job), ("instance", &instance)]);
            for t in (0..=HOURS_MS).step_by(15_000) {
                storage.append(&labels, t, (t / 1_000 * (1 + i as i64 % 7)) as f64, 0).expect("times ascend");
            }
        }
    }
    storage
}

fn planning(c: &mut Criterion) {
    let storage = storage();
    let mut group = c.benchmark_group("plan");
    group.sample_size(20);
    for query in [
        // Nothing to save: the cost of looking.
        "sum by (job) (rate(a_total[5m]))",
        // Shared.
        "sum(rate(a_total[5m])) / (sum(rate(a_total[5m])) + sum(rate(b_total[5m])))",
        // Pinned.
        "sum by (job) (rate(a_total[5m] @ end()))",
        // Narrowed down.
        "sum by (job) (rate(a_total[5m])) / on (job) sum by (job) (rate(b_total{job=\"job7\"}[5m]))",
    ] {
        let expr = parse(query).expect("the query is legal");
        for (passes, optimisations, profile) in [
            ("all", Optimisations::ALL, false),
            ("profile", Optimisations::ALL, true),
            ("none", Optimisations::NONE, false),
        ] {
            let options = QueryOptions { optimisations, profile, ..QueryOptions::default() };
            let run = || range(&storage, &expr, 0, HOURS_MS, 60_000, &options, &Cancel::new()).expect("it answers");
            let QueryValue::Matrix(series) = run().value else { panic!("a range query gives a matrix") };
            assert!(!series.is_empty());
            group.bench_function(format!("{query}, {passes}"), |b| b.iter(run));
        }
    }
    let expr = parse("1 + vector(2)").expect("the query is legal");
    for (passes, optimisations) in [("all", Optimisations::ALL), ("none", Optimisations::NONE)] {
        let options = QueryOptions { optimisations, ..QueryOptions::default() };
        group.bench_function(format!("trivial, {passes}"), |b| {
            b.iter(|| instant(&storage, &expr, 0, &options, &Cancel::new()).expect("it answers"));
        });
    }
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);
