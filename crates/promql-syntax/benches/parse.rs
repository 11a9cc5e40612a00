//! How long parsing takes: queries as people and dashboards write them, long ones, and texts made to hurt.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_promql_syntax::{QUERY_BYTES_MAX, parse};
use std::hint::black_box;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What dashboards and alerts ask, of the usual mix of lengths.
const REALISTIC: [&str; 14] = [
    "up{job=\"node\"}",
    "sum by (job, instance) (rate(http_requests_total{code=~\"5..\"}[5m])) / on (job) group_left () up",
    "histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{job=\"api\", env=\"prod\"}[5m])))",
    "100 - (avg by (instance) (irate(node_cpu_seconds_total{mode=\"idle\", instance=~\"$node\"}[5m])) * 100)",
    "sum(container_memory_working_set_bytes{namespace=\"default\", container!=\"POD\", container!=\"\"}) by (pod)",
    "(node_filesystem_avail_bytes{fstype!=\"tmpfs\"} / node_filesystem_size_bytes{fstype!=\"tmpfs\"}) * 100 < 10",
    "predict_linear(node_filesystem_free_bytes{job=\"node\"}[1h], 4 * 3600) < 0",
    "topk(10, sum by (service) (increase(errors_total{severity=~\"error|fatal\"}[1h]))) > 5",
    "max_over_time(rate(process_cpu_seconds_total[5m])[1h:1m] offset 1d)",
    "absent(up{job=\"prometheus\"} == 1) or vector(0)",
    "label_replace(kube_pod_info{namespace=~\"team-.*\"}, \"team\", \"$1\", \"namespace\", \"team-(.*)\")",
    "sum without (instance) (rate(rpc_total[5m] offset 1w)) unless on (method) (rpc_disabled == 1)",
    "quantile_over_time(0.95, queue_depth{queue=\"mail\"}[30m] @ end())",
    "time() - max by (cronjob) (kube_job_status_completion_time{namespace!~\"test|dev\"}) > 86400",
];

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    let bytes: usize = REALISTIC.iter().map(|query| query.len()).sum();
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("realistic", |b| {
        b.iter(|| {
            for query in REALISTIC {
                black_box(parse(black_box(query)).expect("the query is legal"));
            }
        });
    });
    let long_sum = "a".to_owned() + &" + a".repeat(250);
    let matchers: Vec<String> = (0..1_500).map(|i| format!("l{i}=\"\"")).collect();
    let many_matchers = format!("a{{{}}}", matchers.join(","));
    assert!(many_matchers.len() < QUERY_BYTES_MAX);
    let cases = [
        ("selector", REALISTIC[0]),
        ("rate", REALISTIC[1]),
        ("long sum", &long_sum),
        ("many matchers", &many_matchers),
    ];
    for (name, query) in cases {
        group.throughput(Throughput::Bytes(query.len() as u64));
        group.bench_function(name, |b| b.iter(|| parse(black_box(query)).expect("the query is legal")));
    }
    // As long as a query may be, and nothing but nesting.
    let nestings = [
        ("parentheses", "(".repeat(QUERY_BYTES_MAX)),
        ("signs", "-".repeat(QUERY_BYTES_MAX - 1) + "a"),
        ("calls", "abs(".repeat(QUERY_BYTES_MAX / 4)),
        ("aggregations", "sum(".repeat(QUERY_BYTES_MAX / 4)),
        ("sums", "a+".repeat(QUERY_BYTES_MAX / 2 - 1) + "a"),
        ("powers", "1^".repeat(QUERY_BYTES_MAX / 2 - 1) + "1"),
        ("subqueries", "a".to_owned() + &"[1m:]".repeat(QUERY_BYTES_MAX / 5 - 1)),
        ("braces", "{".repeat(QUERY_BYTES_MAX)),
        ("durations", "a[".to_owned() + &"(".repeat(QUERY_BYTES_MAX - 2)),
    ];
    for (name, query) in &nestings {
        group.throughput(Throughput::Bytes(query.len() as u64));
        group.bench_function(format!("refused {name}"), |b| b.iter(|| parse(black_box(query)).expect_err("too deep")));
    }
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
