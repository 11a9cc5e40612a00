//! What several threads must not change: which error comes back, remarks, panics, cancelling.

use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Columns, EvalError, QueryOptions, QueryResult, QueryValue, SelectHints, SeriesSet, Storage, StorageError,
    parse, range,
};

const SERIES: usize = 1_000;

/// Series of one sample; what happens to some of them when they are read is up to a function.
struct Moody<F> {
    labels: Vec<Labels>,
    read: F,
}

impl<F: Fn(usize) -> Result<(), StorageError> + Send + Sync> Moody<F> {
    fn new(read: F) -> Self {
        let labels = (0..SERIES)
            .map(|i| Labels::from_pairs([("__name__", format!("m{}", i % 5)), ("i", format!("{i:04}"))]))
            .collect();
        Self { labels, read }
    }
}

struct Set<'a, F>(&'a Moody<F>);

impl<F: Fn(usize) -> Result<(), StorageError> + Send + Sync> SeriesSet for Set<'_, F> {
    fn len(&self) -> usize {
        SERIES
    }
    fn labels(&self, index: usize) -> &Labels {
        &self.0.labels[index]
    }
    fn read(&self, index: usize, _: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        (self.0.read)(index)?;
        out.timestamps_ms.extend([1_000, 2_000]);
        out.values.extend([index as f64, index as f64 + 1.0]);
        Ok(())
    }
}

impl<F: Fn(usize) -> Result<(), StorageError> + Send + Sync> Storage for Moody<F> {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(Set(self)))
    }
    fn label_names(&self, _: TimeRange, _: &[Matcher], _: usize, _: &Cancel) -> Result<Vec<String>, StorageError> {
        Err(StorageError::new("not asked"))
    }
    fn label_values(
        &self,
        _: &str,
        _: TimeRange,
        _: &[Matcher],
        _: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Err(StorageError::new("not asked"))
    }
}

fn run(storage: &dyn Storage, query: &str, threads: usize, cancel: &Cancel) -> Result<QueryResult, EvalError> {
    let options = QueryOptions { threads, ..QueryOptions::default() };
    range(storage, &parse(query).expect("the query is legal"), 2_000, 10_000, 1_000, &options, cancel)
}

#[test]
fn the_first_series_that_fails_gives_the_error() {
    let storage =
        Moody::new(|index| if index % 100 == 99 { Err(StorageError::new(format!("series {index}"))) } else { Ok(()) });
    for threads in [1, 2, 7] {
        let error = run(&storage, "sum(m)", threads, &Cancel::new()).unwrap_err().to_string();
        assert!(error.contains("series 99"), "{error}");
    }
}

#[test]
fn remarks_come_in_the_order_of_the_series() {
    let storage = Moody::new(|_| Ok(()));
    let remarks = |threads| {
        let result = run(&storage, "sum(rate(m[1m]))", threads, &Cancel::new()).expect("it answers");
        let QueryValue::Matrix(series) = &result.value else { panic!("a range query gives a matrix") };
        assert_eq!(series[0].values.len(), 9);
        (series[0].values[0].to_bits(), result.annotations.iter().cloned().collect::<Vec<_>>())
    };
    let alone = remarks(1);
    assert_eq!(alone.1.len(), 5);
    for threads in [2, 3, 7] {
        assert_eq!(remarks(threads), alone);
    }
}

#[test]
fn a_panic_of_a_thread_ends_the_evaluation() {
    let storage = Moody::new(|index| {
        assert_ne!(index, 700, "moody");
        Ok(())
    });
    for threads in [1, 2, 7] {
        let outcome = std::panic::catch_unwind(|| run(&storage, "sum(m)", threads, &Cancel::new()).is_ok());
        assert_eq!(outcome.unwrap_err().downcast_ref::<String>().map(|text| text.contains("moody")), Some(true));
    }
}

#[test]
fn cancelling_stops_all_threads() {
    for threads in [1, 2, 7] {
        let cancel = Cancel::new();
        let handle = cancel.clone();
        let storage = Moody::new(move |index| {
            if index == 500 {
                handle.cancel();
            }
            Ok(())
        });
        assert!(matches!(run(&storage, "sum(m)", threads, &cancel), Err(EvalError::Canceled)));
    }
}
