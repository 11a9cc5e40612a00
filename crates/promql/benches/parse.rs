//! How long parsing takes: short queries, long ones, and texts at the size limit.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_promql::{QUERY_BYTES_MAX, parse};
use std::hint::black_box;

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    let long_sum = "a".to_owned() + &" + a".repeat(250);
    let matchers: Vec<String> = (0..1_500).map(|i| format!("l{i}=\"\"")).collect();
    let many_matchers = format!("a{{{}}}", matchers.join(","));
    assert!(many_matchers.len() < QUERY_BYTES_MAX);
    let cases = [
        ("selector", "up{job=\"node\"}"),
        ("rate", "sum by (job, instance) (rate(http_requests_total{code=~\"5..\"}[5m])) / on (job) group_left () up"),
        ("long sum", &long_sum),
        ("many matchers", &many_matchers),
    ];
    for (name, query) in cases {
        group.throughput(Throughput::Bytes(query.len() as u64));
        group.bench_function(name, |b| b.iter(|| parse(black_box(query)).expect("the query is legal")));
    }
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
