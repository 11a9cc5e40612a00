//! Parsing of queries as dashboards have them, for counting its instructions; what is printed again is asserted.
//!
//! `cargo xtask bench instructions`

use mytsdb_promql_syntax::parse;
use mytsdb_testkit::{kernels, measured};
use std::hint::black_box;
use std::process::ExitCode;

const QUERIES: [&str; 4] = [
    "up{job=\"node\"}",
    "sum by (job, instance) (rate(http_requests_total{code=\"500\"}[5m])) / on (job) group_left () up",
    "histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket{job=\"api\"}[5m])))",
    "max_over_time(rate(process_cpu_seconds_total[5m])[1h:1m] offset 1d)",
];

fn parse_four(times: u64) {
    for query in QUERIES {
        let printed = parse(query).expect("the query is legal").to_string();
        assert_eq!(parse(&printed).expect("what is printed is legal").to_string(), printed);
    }
    measured(times, || {
        for query in QUERIES {
            black_box(parse(black_box(query)).expect("the query is legal"));
        }
    });
}

fn main() -> ExitCode {
    kernels(&[("parse-four-queries", parse_four)])
}
