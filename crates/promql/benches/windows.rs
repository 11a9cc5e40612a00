//! Functions over windows, with the kernels over whole columns and without: 200 series of 6 h at 15 s, 361 steps.
//!
//! `group` around the functions costs next to nothing, so the figures are those of the kernels. Series of `shared` have
//! the same times; each of `own` has its own, some milliseconds off a regular beat; `phase` is regular, but each series
//! starts at another time.

use criterion::{Criterion, criterion_group, criterion_main};
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Finding, QueryOptions, QueryValue, SelectHints, SeriesSet, Storage, StorageError, instant, range,
};
use mytsdb_promql_syntax::parse;

const SERIES: usize = 200;
const HOURS_MS: i64 = 6 * 3_600_000;
const BEFORE_MS: i64 = 3_600_000;

/// Series repeat after so many, so that all samples stay in the cache, where decoding leaves them, too.
const DISTINCT: usize = 8;

struct Metric {
    labels: Vec<Labels>,
    columns: Vec<(Vec<i64>, Vec<f64>)>,
}

/// Series by the name of their metric; reading is a copy.
struct Memory(Vec<(&'static str, Metric)>);

struct Set<'a>(&'a Metric);

fn mix(mut x: u64) -> u64 {
    x ^= x >> 32;
    x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 32)
}

impl SeriesSet for Set<'_> {
    fn len(&self) -> usize {
        self.0.labels.len()
    }
    fn labels(&self, index: usize) -> &Labels {
        &self.0.labels[index]
    }
    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        let (times, values) = &self.0.columns[index % DISTINCT];
        let from = times.partition_point(|&t| t < range.mint);
        let to = times.partition_point(|&t| t <= range.maxt);
        out.timestamps_ms.extend_from_slice(&times[from..to]);
        out.values.extend_from_slice(&values[from..to]);
        Ok(())
    }

    fn may_have_label(&self, _: &str) -> bool {
        true
    }

    fn recall(&self, _: &[u8]) -> Option<Finding> {
        None
    }

    fn remember(&self, _: &[u8], _: Finding, _: usize) {}

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

impl Storage for Memory {
    fn select(&self, _: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let found = self.0.iter().find(|(name, _)| matchers.iter().all(|m| m.matches(name)));
        Ok(Box::new(Set(&found.ok_or_else(|| StorageError::new("no such metric"))?.1)))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

fn metric(name: &str, counter: bool, time: impl Fn(usize, i64) -> i64) -> Metric {
    let column = |i: usize| {
        let times: Vec<i64> = (-BEFORE_MS..=HOURS_MS).step_by(15_000).map(|t| t + time(i, t)).collect();
        let mut sum = 0.0;
        let values = times
            .iter()
            .map(|&t| {
                let random = mix(t as u64 ^ (i as u64) << 40);
                sum += (random % 100) as f64;
                if counter { sum } else { (random % 40_000) as f64 / 100.0 }
            })
            .collect();
        (times, values)
    };
    Metric {
        labels: (0..SERIES).map(|i| Labels::from_pairs([("__name__", name), ("i", &format!("{i:04}"))])).collect(),
        columns: (0..DISTINCT).map(column).collect(),
    }
}

fn storage() -> Memory {
    let jitter = |i: usize, t: i64| (mix(i as u64) % 15_000) as i64 + (mix(t as u64 ^ i as u64) % 7) as i64;
    let phase = |i: usize, _: i64| (mix(i as u64) % 15_000) as i64;
    Memory(vec![
        ("shared_total", metric("shared_total", true, |_, _| 0)),
        ("own_total", metric("own_total", true, jitter)),
        ("phase_total", metric("phase_total", true, phase)),
        ("shared", metric("shared", false, |_, _| 0)),
        ("own", metric("own", false, jitter)),
    ])
}

fn windows(c: &mut Criterion) {
    let storage = storage();
    let mut group = c.benchmark_group("windows");
    group.sample_size(20);
    group.warm_up_time(std::time::Duration::from_millis(300));
    group.measurement_time(std::time::Duration::from_secs(1));
    for call in [
        "rate(shared_total[5m])",
        "rate(phase_total[5m])",
        "rate(own_total[5m])",
        "irate(shared_total[5m])",
        "sum_over_time(shared[1h])",
        "sum_over_time(own[1h])",
        "avg_over_time(shared[1h])",
        "max_over_time(shared[1h])",
        "max_over_time(own[1h])",
        "max_over_time(shared[5m])",
        "max_over_time(shared[130s])",
        "count_over_time(shared[5m])",
        "changes(shared[5m])",
        "last_over_time(shared[5m])",
        "quantile_over_time(0.9, shared[10m])",
        "quantile_over_time(0.9, shared_total[10m])",
        "quantile_over_time(0.9, shared[1h])",
        "stddev_over_time(shared[10m])",
        "shared",
        "own",
    ] {
        let expr = parse(&format!("group({call})")).expect("the query is legal");
        for optimise in [true, false] {
            let options = QueryOptions { optimise, ..QueryOptions::default() };
            let run = || range(&storage, &expr, 0, HOURS_MS, 60_000, &options, &Cancel::new()).expect("it answers");
            let name = if optimise { call.to_owned() } else { format!("{call}, plain") };
            group.bench_function(name, |b| {
                let QueryValue::Matrix(series) = run().value else { panic!("a range query gives a matrix") };
                assert_eq!(series[0].values.len(), 361);
                b.iter(run);
            });
        }
    }
    for call in ["rate(shared_total[5m])", "max_over_time(shared[5m])", "shared"] {
        let expr = parse(&format!("group({call})")).expect("the query is legal");
        for optimise in [true, false] {
            let options = QueryOptions { optimise, ..QueryOptions::default() };
            let run = || instant(&storage, &expr, HOURS_MS, &options, &Cancel::new()).expect("it answers");
            let name = if optimise { format!("instant {call}") } else { format!("instant {call}, plain") };
            group.bench_function(name, |b| b.iter(run));
        }
    }
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);
