//! Series that go out while others are computed: the same as those that are collected, and not held.

use mytsdb_model::Labels;
use mytsdb_promql::{
    Cancel, EvalError, MemoryBudget, QueryOptions, QueryValue, Series, SeriesSink, SeriesView, WorkerPool, range,
    range_into,
};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;
use std::fmt::Write as _;

const TIMES: (i64, i64, i64) = (0, 1_200_000, 30_000);

/// Series with gaps, native histograms, two metrics whose series differ in nothing else, and one sample in all.
fn storage() -> TestStorage {
    let mut storage = TestStorage::new();
    let mut load = String::from("load 1m\n");
    for i in 0..150 {
        writeln!(load, " m{{i=\"{i:03}\"}} 0+{i}x5 _x{} 1 2 3+1x6", 1 + i % 9).expect("texts grow");
        writeln!(load, " z{{i=\"{i:03}\", B=\"{}\"}} 0+{i}x20", i % 3).expect("texts grow");
    }
    load.push_str(" h{x=\"a\"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x4 7 8 {{count:1 sum:1}}x3\n");
    load.push_str(" m{once=\"yes\"} _x12 1\n");
    storage.load(&load, 0).expect("the notation is right");
    storage
}

/// Collects what comes, and checks what is promised about it.
struct Checked {
    found: Vec<Series>,
    /// Ends the evaluation after so many.
    wanted: usize,
}

impl SeriesSink for Checked {
    fn series(&mut self, series: SeriesView<'_>) -> Result<(), EvalError> {
        assert!(self.found.last().is_none_or(|before| before.labels < *series.labels));
        assert!(!series.values.is_empty() || !series.histograms.is_empty());
        self.found.push(series.to_series());
        if self.found.len() < self.wanted { Ok(()) } else { Err(EvalError::Canceled) }
    }
}

fn shown(series: &Series) -> String {
    let bits: Vec<u64> = series.values.iter().map(|v| v.to_bits()).collect();
    format!(
        "{} {:?} {bits:?} {:?} {:?}",
        series.labels, series.timestamps_ms, series.histogram_timestamps_ms, series.histograms
    )
}

#[test]
fn streamed_series_are_those_that_a_range_query_collects() {
    let storage = storage();
    let pool = WorkerPool::new(2).expect("there are threads to be had");
    for query in [
        "m",
        "z",
        "{__name__=~\"m|z|h\"}",
        "rate(z[5m])",
        "m * 2 > 40",
        "-z",
        "h",
        "h * 2",
        "rate({__name__=~\"m|z\"}[5m])",
        "last_over_time({__name__=~\"m|z|h\"}[3m])",
        "m * on (i) group_left z",
        "m + on (i) z",
        "z and on (i) m > 3",
        "label_replace(z, \"i\", \"9$1\", \"i\", \"0(.*)\")",
        "sort_desc(z)",
        "topk(3, z)",
        "sum by (B) (z)",
        "z @ 600",
        "max_over_time(rate(z[2m])[5m:1m])",
        "time()",
        "vector(1)",
        "absent(nothing)",
        "m{i=\"nothing\"}",
        "{__name__=~\"m|z\"} * 1",
    ] {
        let expr = parse(query).expect("the query is legal");
        for delayed_name_removal in [false, true] {
            for pool in [None, Some(pool.clone())] {
                for optimise in [true, false] {
                    let pool = pool.clone();
                    let options = QueryOptions { delayed_name_removal, pool, optimise, ..QueryOptions::default() };
                    let collected = range(&storage, &expr, TIMES.0, TIMES.1, TIMES.2, &options, &Cancel::new());
                    let mut sink = Checked { found: Vec::new(), wanted: usize::MAX };
                    let streamed = range_into(&storage, &expr, TIMES, &options, &Cancel::new(), &mut sink);
                    let (collected, summary) = match (collected, streamed) {
                        (Ok(collected), Ok(summary)) => (collected, summary),
                        (Err(a), Err(b)) => {
                            assert_eq!(a.to_string(), b.to_string(), "{query}");
                            continue;
                        }
                        (a, b) => panic!("{query}: {a:?} {b:?}"),
                    };
                    let QueryValue::Matrix(expected) = collected.value else { panic!("not a matrix") };
                    let (found, expected) = (sink.found.iter().map(shown), expected.iter().map(shown));
                    assert!(found.eq(expected), "{query}, {options:?}");
                    assert!(summary.annotations.iter().eq(collected.annotations.iter()), "{query}");
                    assert_eq!(summary.stats.samples_read, collected.stats.samples_read, "{query}");
                    if options.pool.is_none() {
                        // Else it depends on what is read at the same time.
                        assert!(summary.stats.samples_peak <= collected.stats.samples_peak, "{query}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_has_gone_out_is_not_held() {
    let mut storage = TestStorage::new();
    for i in 0..2_000 {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &format!("{i:04}"))]);
        (0..100).for_each(|t| storage.append(&labels, t * 1_000, t as f64, 0).expect("times ascend"));
    }
    let expr = parse("m * 2").expect("the query is legal");
    for pool in [None, Some(WorkerPool::new(1).expect("there is a thread to be had"))] {
        let memory = Some(MemoryBudget::new(2 << 20, "--flag"));
        // 200,000 samples in all.
        let options = QueryOptions { pool, memory, max_samples: 1_000, ..QueryOptions::default() };
        let mut sink = Checked { found: Vec::new(), wanted: usize::MAX };
        let times = (0, 99_000, 1_000);
        let summary = range_into(&storage, &expr, times, &options, &Cancel::new(), &mut sink).expect("it answers");
        assert_eq!(sink.found.len(), 2_000);
        assert!((100..=300).contains(&summary.stats.samples_peak), "{:?}", summary.stats);
        let error = range(&storage, &expr, 0, 99_000, 1_000, &options, &Cancel::new()).unwrap_err();
        assert!(matches!(error, EvalError::TooManySamples), "who collects holds: {error}");
    }
}

#[test]
fn a_sink_that_has_enough_ends_the_evaluation() {
    let storage = storage();
    for query in ["z", "sum by (i) (z)"] {
        for pool in [None, Some(WorkerPool::new(1).expect("there is a thread to be had"))] {
            let expr = parse(query).expect("the query is legal");
            let options = QueryOptions { pool, ..QueryOptions::default() };
            let mut sink = Checked { found: Vec::new(), wanted: 7 };
            let outcome = range_into(&storage, &expr, TIMES, &options, &Cancel::new(), &mut sink);
            assert!(matches!(outcome, Err(EvalError::Canceled)));
            assert_eq!(sink.found.len(), 7);
        }
    }
}
