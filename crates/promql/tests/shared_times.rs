//! Series whose times are alike, but not always equal: no answer may depend on the series computed before.

use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, Series, WorkerPool, range};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;

const SERIES: i64 = 200;
const SAMPLES: i64 = 120;

/// The pool with which `threads` threads evaluate a query.
fn pool(threads: usize) -> Option<WorkerPool> {
    (threads > 1).then(|| WorkerPool::new(threads - 1).expect("there are threads to be had"))
}

/// All series have as many samples, the same first time and the same last one. Neighbours have the same times or differ
/// in one sample: in its time, or in being there.
fn storage() -> TestStorage {
    let mut storage = TestStorage::new();
    for series in 0..SERIES {
        let labels = Labels::from_pairs([("__name__", "c_total"), ("i", &format!("{series:04}"))]);
        let moved = 1 + (series / 3 * 7) % (SAMPLES - 2);
        for sample in 0..SAMPLES {
            if series % 11 == 10 && sample == moved {
                continue;
            }
            let late = if sample == moved && series % 3 > 0 { 4_999 } else { 0 };
            let value = ((sample * (series + 1)) % 50) as f64 + sample as f64;
            storage.append(&labels, sample * 10_000 + late, value, 0).expect("times ascend");
        }
    }
    storage
}

fn answer(storage: &TestStorage, query: &str, options: &QueryOptions) -> Vec<Series> {
    let expr = parse(query).expect("the query is legal");
    let result = range(storage, &expr, 60_000, SAMPLES * 10_000, 20_000, options, &Cancel::new()).expect("it answers");
    let QueryValue::Matrix(series) = result.value else { panic!("a range query gives a matrix") };
    series
}

#[test]
fn windows_of_other_series_are_never_used() {
    let storage = storage();
    for call in [
        "rate(c_total[1m])",
        "increase(c_total[50s])",
        "delta(c_total[2m] offset 1m)",
        "irate(c_total[45s])",
        "max_over_time(c_total[1m])",
        "min_over_time(c_total[50s])",
        "count_over_time(c_total[15s])",
        "sum_over_time(c_total[5m])",
        "quantile_over_time(0.5, c_total[2m])",
        "last_over_time(c_total[15s])",
        "ts_of_first_over_time(c_total[1m])",
        "changes(c_total[1m])",
        "resets(c_total[1m])",
        "c_total",
        "rate(c_total[1m]) + on (i) rate(c_total[2m]) + on (i) increase(c_total[1m])",
    ] {
        let plain = answer(&storage, call, &QueryOptions { optimise: false, ..QueryOptions::default() });
        assert_eq!(plain.len() as i64, SERIES, "{call}");
        for threads in [1, 2, 7] {
            let found = answer(&storage, call, &QueryOptions { pool: pool(threads), ..QueryOptions::default() });
            assert_eq!(found.len(), plain.len(), "{call}");
            for (found, plain) in found.iter().zip(&plain) {
                let what = format!("{call}, {threads} threads: {}", plain.labels);
                assert_eq!(found.labels, plain.labels, "{what}");
                assert_eq!(found.timestamps_ms, plain.timestamps_ms, "{what}");
                let bits = |series: &Series| series.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(found), bits(plain), "{what}");
            }
        }
    }
}
