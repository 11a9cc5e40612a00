//! What several threads must not change: which error comes back, remarks, panics, cancelling.

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, EvalError, Finding, QueryOptions, QueryResult, QueryValue, SelectHints, SeriesSet, SeriesSink, SeriesView,
    Storage, StorageError, WorkerPool, range, range_into,
};
use mytsdb_promql_syntax::parse;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::time::{Duration, Instant};

const SERIES: usize = 1_000;

/// The pool with which `threads` threads evaluate a query.
fn pool(threads: usize) -> Option<WorkerPool> {
    (threads > 1).then(|| WorkerPool::new(threads - 1).expect("there are threads to be had"))
}

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

/// The first ten series of a storage.
struct Alone<'a>(&'a dyn Storage);

struct First<'a>(Box<dyn SeriesSet + 'a>);

impl SeriesSet for First<'_> {
    fn len(&self) -> usize {
        10
    }
    fn labels(&self, index: usize) -> &Labels {
        self.0.labels(index)
    }
    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        self.0.read(index, range, out)
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

impl Storage for Alone<'_> {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(First(self.0.select(hints, matchers)?)))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

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

impl<F: Fn(usize) -> Result<(), StorageError> + Send + Sync> Storage for Moody<F> {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(Set(self)))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

fn run(storage: &dyn Storage, query: &str, threads: usize, cancel: &Cancel) -> Result<QueryResult, EvalError> {
    let options = QueryOptions { pool: pool(threads), ..QueryOptions::default() };
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
fn forty_queries_share_the_threads_of_one_pool() {
    let readers = Mutex::new(HashSet::new());
    let storage = Moody::new(|_| {
        readers.lock().expect("no panic").insert(std::thread::current().id());
        Ok(())
    });
    let pool = WorkerPool::new(2).expect("there are threads to be had");
    let options = QueryOptions { pool: Some(pool.clone()), ..QueryOptions::default() };
    let expected = SERIES as f64 * (SERIES as f64 - 1.0) / 2.0 + SERIES as f64;
    let all_here = Barrier::new(40);
    let callers: HashSet<_> = std::thread::scope(|scope| {
        let ask = || {
            all_here.wait();
            for query in ["sum(m)", "sum(m) + 0 * count(m * on (i) m)", "sum(m)"] {
                let expr = parse(query).expect("the query is legal");
                let result = range(&storage, &expr, 2_000, 10_000, 1_000, &options, &Cancel::new());
                let QueryValue::Matrix(series) = result.expect("it answers").value else { panic!("not a matrix") };
                assert_eq!(series[0].values, [expected; 9], "{query}");
            }
            std::thread::current().id()
        };
        let handles: Vec<_> = (0..40).map(|_| scope.spawn(ask)).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let readers = readers.into_inner().expect("no panic");
    assert!(readers.difference(&callers).count() <= pool.threads(), "only the pool's threads help");
}

#[test]
fn few_rows_stay_on_their_thread() {
    let here = std::thread::current().id();
    let storage = Moody::new(|_| {
        assert_eq!(std::thread::current().id(), here);
        Ok(())
    });
    let options = QueryOptions { pool: pool(3), ..QueryOptions::default() };
    // Moody selections have all series, so it is a storage of one that is asked.
    let one = Alone(&storage);
    for query in ["m", "rate(m[1m])", "sum(m)", "quantile(0.5, m)", "m + m"] {
        let expr = parse(query).expect("the query is legal");
        range(&one, &expr, 2_000, 10_000, 1_000, &options, &Cancel::new()).expect("it answers");
    }
}

/// Blocks in its first series until it is let go.
struct Slow {
    entered: mpsc::Sender<()>,
    go: mpsc::Receiver<()>,
    count: usize,
}

impl SeriesSink for Slow {
    fn series(&mut self, _: SeriesView<'_>) -> Result<(), EvalError> {
        if self.count == 0 {
            self.entered.send(()).expect("somebody listens");
            self.go.recv_timeout(Duration::from_secs(30)).expect("somebody lets go");
        }
        self.count += 1;
        Ok(())
    }
}

#[test]
fn a_sink_that_waits_keeps_no_thread_of_the_pool() {
    let pool = WorkerPool::new(1).expect("there is a thread to be had");
    let options = QueryOptions { pool: Some(pool), ..QueryOptions::default() };
    let read = AtomicUsize::new(0);
    let plain = Moody::new(|_| {
        read.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let (entered, has_entered) = mpsc::channel();
    let (let_go, go) = mpsc::channel();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let mut sink = Slow { entered, go, count: 0 };
            let expr = parse("m * 2").expect("the query is legal");
            let times = (2_000, 10_000, 1_000);
            range_into(&plain, &expr, times, &options, &Cancel::new(), &mut sink).expect("it answers");
            sink.count
        });
        has_entered.recv().expect("it begins");
        let began = Instant::now();
        while read.load(Ordering::SeqCst) < SERIES {
            assert!(began.elapsed() < Duration::from_secs(20), "the window has room for all");
            std::thread::yield_now();
        }
        // Goes on only once the one thread of the pool has come to help.
        let (here, helped) = (std::thread::current().id(), AtomicBool::new(false));
        let eager = Moody::new(|index| {
            if std::thread::current().id() != here {
                helped.store(true, Ordering::SeqCst);
            }
            let began = Instant::now();
            while index == SERIES / 2 && !helped.load(Ordering::SeqCst) {
                assert!(began.elapsed() < Duration::from_secs(20), "nobody came");
                std::thread::yield_now();
            }
            Ok(())
        });
        let expr = parse("sum(m)").expect("the query is legal");
        assert!(range(&eager, &expr, 2_000, 10_000, 1_000, &options, &Cancel::new()).is_ok());
        assert!(helped.into_inner());
        let_go.send(()).expect("it waits");
        assert_eq!(slow.join().expect("no panic"), SERIES);
    });
}

#[test]
fn a_query_may_be_asked_from_a_thread_of_its_own_pool() {
    let pool = WorkerPool::new(1).expect("there is a thread to be had");
    let options = QueryOptions { pool: Some(pool), ..QueryOptions::default() };
    let inner = Moody::new(|_| Ok(()));
    let asked = AtomicBool::new(false);
    // Whoever reads the outer storage, the pool's thread too, asks a query about the inner one.
    let outer = Moody::new(|index| {
        if index % 50 == 0 {
            let expr = parse("sum(m)").expect("the query is legal");
            range(&inner, &expr, 2_000, 10_000, 1_000, &options, &Cancel::new()).map_err(StorageError::from_error)?;
            asked.store(true, Ordering::SeqCst);
        }
        Ok(())
    });
    let expr = parse("sum(m)").expect("the query is legal");
    assert!(range(&outer, &expr, 2_000, 10_000, 1_000, &options, &Cancel::new()).is_ok());
    assert!(asked.into_inner());
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
