//! Range queries over 50 series of an hour at 15 s, for counting their instructions; the number of steps is asserted.
//!
//! `cargo xtask bench instructions`

use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, range};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;
use mytsdb_testkit::{kernels, measured};
use std::process::ExitCode;

const SERIES: usize = 50;
const HOUR_MS: i64 = 3_600_000;

fn storage() -> TestStorage {
    let mut storage = TestStorage::new();
    for i in 0..SERIES {
        let (job, instance) = (format!("job{}", i % 5), format!("host{i}"));
        let labels = Labels::from_pairs([("__name__", "c_total"), ("job", &job), ("instance", &instance)]);
        let mut value = 0.0;
        for t in (0..=HOUR_MS).step_by(15_000) {
            value = if t == 15_000 * (i as i64 + 3) { 0.0 } else { value + 1.0 + (i % 7) as f64 };
            storage.append(&labels, t, value, 0).expect("times ascend");
        }
    }
    storage
}

fn ask(query: &str, times: u64) {
    let (storage, expr) = (storage(), parse(query).expect("the query is legal"));
    measured(times, || {
        let answer = range(&storage, &expr, 0, HOUR_MS, 60_000, &QueryOptions::default(), &Cancel::new());
        let QueryValue::Matrix(series) = answer.expect("it answers").value else {
            panic!("a range query gives a matrix")
        };
        let points: usize = series.iter().map(|series| series.values.len()).sum();
        assert!(points >= 60, "{points} points at 61 steps");
    });
}

fn main() -> ExitCode {
    kernels(&[
        ("sum-by-rate", |times| ask("sum by (job) (rate(c_total[5m]))", times)),
        ("sum-of-max-over-time", |times| ask("sum(max_over_time(c_total[10m]))", times)),
        ("topk", |times| ask("topk(5, c_total)", times)),
        ("quantile-over-time", |times| ask("quantile_over_time(0.9, c_total[10m])", times)),
    ])
}
