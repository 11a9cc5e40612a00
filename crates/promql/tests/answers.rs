//! What the evaluator promises beyond the shared suites: production's name dropping, threads, limits, hints.

use mytsdb_columns::{Outline, Outlining};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, EvalError, Finding, QueryOptions, QueryValue, SelectHints, Series, SeriesSet, Storage, StorageError,
    WorkerPool, instant, range,
};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;
use std::sync::Mutex;

fn storage(load: &str) -> TestStorage {
    let mut storage = TestStorage::new();
    storage.load(load, 0).expect("the notation is right");
    storage
}

fn matrix(storage: &dyn Storage, query: &str, options: &QueryOptions) -> Result<Vec<Series>, EvalError> {
    let result =
        range(storage, &parse(query).expect("the query is legal"), 0, 600_000, 60_000, options, &Cancel::new())?;
    let QueryValue::Matrix(series) = result.value else { panic!("a range query gives a matrix") };
    Ok(series)
}

#[track_caller]
fn labels(storage: &TestStorage, query: &str, options: &QueryOptions) -> Vec<String> {
    matrix(storage, query, options).expect("the query answers").iter().map(|s| s.labels.to_string()).collect()
}

#[test]
fn names_are_dropped_at_once_by_default() {
    let storage = storage("load 1m\n a{x=\"1\"} 0+1x10\n b{x=\"1\"} 0+1x10");
    let (at_once, delayed) =
        (QueryOptions::default(), QueryOptions { delayed_name_removal: true, ..QueryOptions::default() });
    assert_eq!(labels(&storage, "rate(a[5m])", &at_once), [r#"{x="1"}"#]);
    assert_eq!(labels(&storage, "a > 1", &at_once), [r#"{__name__="a", x="1"}"#]);
    assert_eq!(labels(&storage, "a > bool 1", &at_once), [r#"{x="1"}"#]);
    assert_eq!(labels(&storage, "last_over_time(a[5m])", &at_once), [r#"{__name__="a", x="1"}"#]);
    let replace = r#"label_replace(rate({x="1"}[5m]), "m", "$1", "__name__", "(.*)")"#;
    let error = matrix(&storage, replace, &at_once).unwrap_err().to_string();
    assert_eq!(error, "vector cannot contain metrics with the same labelset");
    assert_eq!(labels(&storage, replace, &delayed), [r#"{m="a", x="1"}"#, r#"{m="b", x="1"}"#]);
    assert_eq!(labels(&storage, "sum by (__name__) (rate(a[5m]))", &at_once), ["{}"]);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let lines: Vec<String> = (0..700).map(|i| format!(" m{{i=\"{i}\", g=\"{}\"}} 0.{i}+0.{i}x10", i % 7)).collect();
    let storage = storage(&format!("load 1m\n{}", lines.join("\n")));
    let pool = WorkerPool::new(3).expect("there are threads to be had");
    let many = QueryOptions { pool: Some(pool), ..QueryOptions::default() };
    for query in
        ["sum by (g) (rate(m[5m]))", "avg(m)", "m * 2", "stddev by (g) (m)", "topk by (g) (3, m)", "rate(m[3m])"]
    {
        let one = matrix(&storage, query, &QueryOptions::default()).unwrap();
        let parallel = matrix(&storage, query, &many).unwrap();
        let bits = |s: &Series| (s.labels.clone(), s.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        assert!(one.iter().map(bits).eq(parallel.iter().map(bits)), "{query}");
    }
}

#[test]
fn too_many_samples_are_an_error() {
    let storage = storage("load 1s\n a{x=\"1\"} 0+1x1000\n a{x=\"2\"} 0+1x1000");
    let options = QueryOptions { max_samples: 500, ..QueryOptions::default() };
    assert!(matches!(matrix(&storage, "sum_over_time(a[1h])", &options), Err(EvalError::TooManySamples)));
    let options = QueryOptions { max_bytes: 1_000, ..QueryOptions::default() };
    assert!(matches!(matrix(&storage, "rate(a[1h])", &options), Err(EvalError::TooManyBytes { .. })));
}

#[test]
fn kinds_of_values_follow_the_expression() {
    let storage = storage("load 1m\n a 1 2 3");
    let value = |query: &str| {
        instant(&storage, &parse(query).unwrap(), 120_000, &QueryOptions::default(), &Cancel::new()).unwrap().value
    };
    assert!(matches!(value("1 + 1"), QueryValue::Scalar(120_000, 2.0)));
    assert!(matches!(value("\"x\""), QueryValue::String(_, text) if text == "x"));
    assert!(matches!(value("a"), QueryValue::Vector(samples) if samples.len() == 1));
    assert!(matches!(value("a[2m]"), QueryValue::Matrix(series) if series[0].values == [2.0, 3.0]));
    assert!(matches!(value("a[2m:1m]"), QueryValue::Matrix(series) if series[0].values == [2.0, 3.0]));
    let error = matrix(&storage, "a[1m]", &QueryOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector");
}

/// Remembers what was asked of it, and has no series.
#[derive(Default)]
struct Listening(Mutex<Vec<SelectHints>>);

struct NoSeries;

impl SeriesSet for NoSeries {
    fn len(&self) -> usize {
        0
    }
    fn labels(&self, _index: usize) -> &Labels {
        unreachable!("there are no series")
    }
    fn read(&self, _: usize, _: TimeRange, _: &mut mytsdb_columns::Columns) -> Result<(), StorageError> {
        unreachable!("there are no series")
    }

    fn may_have_label(&self, _: &str) -> bool {
        true
    }

    fn recall(&self, _: &[u8]) -> Option<Finding> {
        None
    }

    fn remember(&self, _: &[u8], _: Finding, _: usize) {}

    fn read_table(
        &self,
        _: usize,
        _: TimeRange,
        _: bool,
        _: &mut mytsdb_columns::HistogramTable,
    ) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

impl Storage for Listening {
    fn select(&self, hints: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        self.0.lock().expect("nobody panics while holding it").push(hints.clone());
        Ok(Box::new(NoSeries))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

#[test]
fn selections_name_the_times_they_need() {
    #[track_caller]
    fn check(query: &str, expected: (i64, i64), range_ms: i64) {
        let storage = Listening::default();
        matrix(&storage, query, &QueryOptions::default()).unwrap();
        let hints = storage.0.into_inner().unwrap();
        assert_eq!((hints[0].range.mint, hints[0].range.maxt), expected, "{query}");
        assert_eq!(hints[0].range_ms, range_ms, "{query}");
    }
    check("a", (-299_999, 600_000), 0);
    check("a offset 1m", (-359_999, 540_000), 0);
    check("a @ 60", (-239_999, 60_000), 0);
    check("rate(a[1m])", (-59_999, 600_000), 60_000);
    check("rate(a[1m] @ end())", (540_001, 600_000), 60_000);
    check("sum_over_time(a[2m:1m])", (-359_999, 600_000), 0);
}
