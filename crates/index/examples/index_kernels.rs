//! Selections from the head's index, for counting their instructions: 20,000 series; results asserted.
//!
//! `cargo xtask bench instructions`

use mytsdb_index::MemIndex;
use mytsdb_model::{Labels, MatchOp, Matcher, SeriesRef};
use mytsdb_stop::StopSign;
use mytsdb_testkit::{kernels, measured};
use std::hint::black_box;
use std::process::ExitCode;

const METRICS: usize = 100;
const INSTANCES: usize = 200;

fn index() -> MemIndex {
    let mut index = MemIndex::new();
    for number in 0..METRICS * INSTANCES {
        let (metric, instance) = (number / INSTANCES, number % INSTANCES);
        let labels = Labels::from_pairs([
            ("__name__", format!("metric_{metric}_total")),
            ("instance", format!("10.0.0.{instance}:9100")),
            ("job", format!("job-{}", instance % 20)),
            ("pod", format!("pod-{number:x}")),
        ]);
        index.add(SeriesRef(number as u64 + 1), &labels);
    }
    index
}

fn select(matchers: &[Matcher], expected: usize, times: u64) {
    let index = index();
    let index = index.snapshot();
    measured(times, || {
        let found = index.select(black_box(matchers), StopSign::NEVER);
        assert_eq!(found.map(|found| found.len()), Ok(expected));
    });
}

fn regex(name: &str, pattern: &str) -> Matcher {
    Matcher::new(MatchOp::Regex, name, pattern).expect("a valid pattern")
}

fn main() -> ExitCode {
    kernels(&[
        ("select-metric-and-job", |times| {
            select(&[Matcher::equal("__name__", "metric_7_total"), Matcher::equal("job", "job-3")], 10, times);
        }),
        ("select-job", |times| select(&[Matcher::equal("job", "job-3")], 1_000, times)),
        ("select-pod-regex", |times| select(&[regex("pod", ".*00f")], 4, times)),
        ("select-all-but-a-job", |times| {
            let job = Matcher::new(MatchOp::NotEqual, "job", "job-3").expect("plain");
            select(&[Matcher::equal("__name__", "metric_7_total"), job], 190, times);
        }),
    ])
}
