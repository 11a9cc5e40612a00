//! On whose thread a group is committed, and what comes after one that ends by a panic.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use mytsdb_engine::{Batch, Durability, Engine, EngineError, EngineOptions, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, SeriesRef};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::ThreadId;

const NOW_MS: i64 = 1_700_000_000_000;
/// Times that something is tried which another thread may get ahead of.
const TRIES: i64 = 2_000;

fn open(durability: Durability) -> Arc<Engine> {
    let options = EngineOptions { durability, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let registry = mytsdb_telemetry::Registry::new();
    Arc::new(Engine::open(Arc::new(SimDisk::new()), clock, options, &registry).unwrap().0)
}

fn series(engine: &Engine) -> SeriesRef {
    engine.resolve(&Labels::from_pairs([("__name__", "m")])).unwrap()
}

fn batch(series: SeriesRef, rows: std::ops::Range<i64>) -> Batch {
    let mut batch = Batch::default();
    rows.for_each(|row| batch.push(series, NOW_MS - 1_000_000_000 + row, row as f64));
    batch
}

/// The thread that a batch is committed on.
fn committed_on(engine: &Engine, batch: Batch) -> ThreadId {
    let (tell, hear) = sync_channel(1);
    let done = move |answer: Result<_, _>| tell.send(answer.map(|_| std::thread::current().id())).unwrap();
    engine.submit(batch, Box::new(done));
    hear.recv().unwrap().unwrap()
}

/// Calls `check` with an engine whose committer runs.
fn with_committer(durability: Durability, check: impl Fn(&Engine, SeriesRef)) {
    let engine = open(durability);
    std::thread::scope(|scope| {
        scope.spawn(|| engine.run_committer());
        // A panic here must not leave the committer running, or the scope would wait for it.
        let checked = catch_unwind(AssertUnwindSafe(|| check(&engine, series(&engine))));
        engine.stop().unwrap();
        checked.unwrap();
    });
}

#[test]
fn a_small_batch_is_committed_by_its_sender_where_no_sync_is_waited_for() {
    let here = std::thread::current().id();
    for durability in [Durability::Interval, Durability::Buffered] {
        with_committer(durability, |engine, series| {
            let mut tries = 0..TRIES;
            let is_here = tries.any(|row| committed_on(engine, batch(series, row..row + 1)) == here);
            assert!(is_here, "{durability:?}");
        });
    }
}

#[test]
fn a_sync_or_a_large_batch_or_late_samples_are_left_to_the_committer() {
    let here = std::thread::current().id();
    with_committer(Durability::Fsync, |engine, series| {
        (0..100).for_each(|row| assert_ne!(committed_on(engine, batch(series, row..row + 1)), here));
    });
    with_committer(Durability::Interval, |engine, series| {
        (0..10).for_each(|row| assert_ne!(committed_on(engine, batch(series, row * 5_000..row * 5_000 + 5_000)), here));
        engine.flush_before(i64::MAX).unwrap();
        (0..10).for_each(|row| assert_ne!(committed_on(engine, batch(series, row..row + 1)), here));
    });
}

#[test]
fn nothing_is_taken_after_a_commit_that_panicked() {
    let engine = open(Durability::Interval);
    let series = series(&engine);
    engine.append(batch(series, 0..1)).unwrap();
    assert_eq!(engine.poisoned(), None);
    engine.submit(batch(series, 1..2), Box::new(|_| panic!("on purpose")));
    assert!(catch_unwind(AssertUnwindSafe(|| engine.commit_pending())).is_err());
    assert!(engine.poisoned().is_some_and(|reason| reason.contains("panicked")));
    assert!(matches!(engine.append(batch(series, 2..3)), Err(EngineError::Stopped)));
}
