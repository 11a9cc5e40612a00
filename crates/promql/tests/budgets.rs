//! Memory of all queries together, and how soon a query ends when it is told to.

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, EvalError, Finding, MemoryBudget, QueryOptions, QueryResult, SelectHints, SeriesSet, Storage, StorageError,
    WorkerPool, instant, range,
};
use mytsdb_promql_syntax::parse;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The pool with which `threads` threads evaluate a query.
fn pool(threads: usize) -> Option<WorkerPool> {
    (threads > 1).then(|| WorkerPool::new(threads - 1).expect("there are threads to be had"))
}

/// Series with a sample at every second; what happens before one is read is up to a function.
struct Gated<F> {
    labels: Vec<Labels>,
    select: fn(&SelectHints) -> Result<(), StorageError>,
    read: F,
}

impl<F: Fn(usize) + Send + Sync> Gated<F> {
    fn new(series: usize, read: F) -> Self {
        let labels = (0..series).map(|i| Labels::from_pairs([("__name__", "m"), ("i", &format!("{i:06}"))])).collect();
        Self { labels, select: |_| Ok(()), read }
    }
}

struct Set<'a, F>(&'a Gated<F>);

impl<F: Fn(usize) + Send + Sync> SeriesSet for Set<'_, F> {
    fn len(&self) -> usize {
        self.0.labels.len()
    }
    fn labels(&self, index: usize) -> &Labels {
        &self.0.labels[index]
    }
    fn read(&self, index: usize, _: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        (self.0.read)(index);
        out.timestamps_ms.extend((0..1_000).map(|t| t * 1_000));
        out.values.extend((0..1_000).map(f64::from));
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

impl<F: Fn(usize) + Send + Sync> Storage for Gated<F> {
    fn select(&self, hints: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        (self.select)(hints)?;
        Ok(Box::new(Set(self)))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

/// 1,000 steps of every series are kept: 9 kB each.
fn run(storage: &dyn Storage, options: &QueryOptions, cancel: &Cancel) -> Result<QueryResult, EvalError> {
    range(storage, &parse("m").expect("the query is legal"), 0, 999_000, 1_000, options, cancel)
}

fn limited(limit_bytes: u64) -> (MemoryBudget, QueryOptions) {
    let budget = MemoryBudget::new(limit_bytes, "--the-flag");
    let options = QueryOptions { memory: Some(budget.clone()), ..QueryOptions::default() };
    (budget, options)
}

#[test]
fn queries_that_together_hold_too_much_are_told_to_come_back() {
    // Either fits alone: 6 of 10 MB. In the middle, both hold half of what they need and wait for each other.
    let both = Barrier::new(2);
    let storage = Gated::new(700, |index| {
        if index == 350 {
            both.wait();
        }
    });
    let (budget, options) = limited(10_000_000);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..2).map(|_| scope.spawn(|| run(&storage, &options, &Cancel::new()))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let errors: Vec<String> = outcomes.iter().filter_map(|o| o.as_ref().err().map(ToString::to_string)).collect();
    assert!(!errors.is_empty(), "{} bytes at most", budget.peak_bytes());
    for error in &errors {
        assert!(error.contains("more than 10000000 bytes (--the-flag)"), "{error}");
    }
    assert!(outcomes.iter().filter_map(|o| o.as_ref().err()).all(|e| matches!(e, EvalError::NoMemoryLeft { .. })));
    assert!(budget.peak_bytes() <= 10_000_000);
    assert_eq!(budget.used_bytes(), 0);
    let calm = Gated::new(700, |_| ());
    assert!(run(&calm, &options, &Cancel::new()).is_ok(), "alone it fits");
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_query_gives_everything_back_however_it_ends() {
    let (budget, options) = limited(1 << 30);
    for threads in [1, 3] {
        let options = QueryOptions { pool: pool(threads), ..options.clone() };
        let panicking = Gated::new(1_000, |index| assert_ne!(index, 800, "moody"));
        let outcome = std::panic::catch_unwind(|| run(&panicking, &options, &Cancel::new()).is_ok());
        assert!(outcome.is_err());
        assert_eq!(budget.used_bytes(), 0);
        let cancel = Cancel::new();
        let canceling = Gated::new(1_000, |index| {
            if index == 800 {
                cancel.cancel();
            }
        });
        assert!(matches!(run(&canceling, &options, &cancel), Err(EvalError::Canceled)));
        assert_eq!(budget.used_bytes(), 0);
        let few = QueryOptions { max_samples: 500_000, ..options };
        assert!(matches!(run(&Gated::new(1_000, |_| ()), &few, &Cancel::new()), Err(EvalError::TooManySamples)));
        assert_eq!(budget.used_bytes(), 0);
    }
    assert!(budget.peak_bytes() > 4 << 20, "{}", budget.peak_bytes());
}

#[test]
fn the_limit_of_one_query_comes_first() {
    let (_, options) = limited(1_000_000);
    let small = QueryOptions { max_bytes: 1_000_000, ..options };
    let error = run(&Gated::new(500, |_| ()), &small, &Cancel::new()).unwrap_err();
    assert!(matches!(error, EvalError::TooManyBytes { .. }), "{error}");
}

#[test]
fn canceling_ends_a_selection_that_takes_long() {
    static ENTERED: AtomicBool = AtomicBool::new(false);
    let mut storage = Gated::new(1, |_| ());
    // A storage that would search for an hour, and looks at the handle.
    storage.select = |hints| {
        ENTERED.store(true, Ordering::SeqCst);
        let began = Instant::now();
        while began.elapsed() < Duration::from_hours(1) {
            hints.cancel.check().map_err(StorageError::from_error)?;
            std::thread::yield_now();
        }
        Ok(())
    };
    let expr = parse("sum(m) / count(m)").expect("the query is legal");
    let cancel = Cancel::new();
    let (outcome, late) = std::thread::scope(|scope| {
        let query = scope.spawn(|| {
            let outcome = instant(&storage, &expr, 0, &QueryOptions::default(), &cancel);
            (outcome.map(|_| ()), Instant::now())
        });
        while !ENTERED.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let canceled = Instant::now();
        cancel.cancel();
        let (outcome, ended) = query.join().expect("no panic");
        (outcome, ended - canceled)
    });
    assert!(matches!(outcome, Err(EvalError::Canceled)), "{outcome:?}");
    println!("ended {late:?} after it was canceled");
    assert!(late < Duration::from_secs(1), "{late:?}");
    let deadline = Cancel::at(Instant::now() + Duration::from_millis(5));
    assert!(matches!(instant(&storage, &expr, 0, &QueryOptions::default(), &deadline), Err(EvalError::Timeout)));
}

#[test]
fn canceling_ends_an_evaluation_between_two_series() {
    // A minute in all, in pieces of a millisecond.
    let entered = AtomicBool::new(false);
    let storage = Gated::new(60_000, |_| {
        entered.store(true, Ordering::SeqCst);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1) {
            std::thread::yield_now();
        }
    });
    for query in ["sum(m)", "m", "topk(3, rate(m[5m]))", "m * on (i) m", "count_values(\"v\", m)", "absent(m)"] {
        let (expr, cancel) = (parse(query).expect("the query is legal"), Cancel::new());
        entered.store(false, Ordering::SeqCst);
        let late = std::thread::scope(|scope| {
            let query = scope.spawn(|| {
                let outcome = range(&storage, &expr, 0, 900_000, 60_000, &QueryOptions::default(), &cancel);
                assert!(matches!(outcome, Err(EvalError::Canceled)));
                Instant::now()
            });
            while !entered.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            let canceled = Instant::now();
            cancel.cancel();
            query.join().expect("no panic") - canceled
        });
        println!("{query}: ended {late:?} after it was canceled");
        assert!(late < Duration::from_secs(1), "{query}: {late:?}");
    }
}
