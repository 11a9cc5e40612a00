//! Floats and histograms in one series, start times, and what the engine says of them to a planner.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod kinds;

use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock, Outcome};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, SeriesRef, TimeRange};
use mytsdb_telemetry::Registry;
use std::sync::Arc;

const NOW_MS: i64 = 1_000_000;

fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { block_ms: 10_000, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(NOW_MS));
    Engine::open(Arc::new(disk.clone()), clock, options, &Registry::new()).unwrap().0
}

fn series(engine: &Engine, number: u64) -> SeriesRef {
    engine.resolve(&Labels::from_pairs([("series", number.to_string())])).unwrap()
}

fn append(engine: &Engine, number: u64, samples: &[(i64, f64)]) -> Outcome {
    let reference = series(engine, number);
    let mut batch = Batch::default();
    for &(timestamp_ms, value) in samples {
        kinds::push(&mut batch, reference, number, timestamp_ms, value);
    }
    engine.append(batch).unwrap()
}

fn read(engine: &Engine) -> Columns {
    let mut columns = Columns::default();
    engine.select(TimeRange::ALL, &[]).unwrap().read(0, TimeRange::ALL, &mut columns).unwrap();
    columns
}

#[test]
fn an_engine_is_plain_until_other_samples_are_submitted_and_as_long_as_it_has_some() {
    for (number, value) in [(1, 11.0), (3, 1.0)] {
        let disk = SimDisk::new();
        let engine = open(&disk);
        append(&engine, 1, &[(NOW_MS, 1.0)]);
        assert!(engine.is_plain());
        let mut batch = Batch::default();
        kinds::push(&mut batch, series(&engine, number), number, NOW_MS - 5, value);
        engine.submit(batch, Box::new(|_| ()));
        assert!(!engine.is_plain(), "before it can be seen");
        engine.commit_pending();
        drop(engine);
        let engine = open(&disk);
        assert!(!engine.is_plain(), "from the log");
        engine.flush_before(i64::MAX).unwrap();
        drop(engine);
        let engine = open(&disk);
        assert!(!engine.is_plain(), "from a block");
    }
    let disk = SimDisk::new();
    append(&open(&disk), 1, &[(NOW_MS, 1.0), (NOW_MS - 7, 2.0)]);
    open(&disk).flush_before(i64::MAX).unwrap();
    assert!(open(&disk).is_plain());
}

#[test]
fn a_float_and_a_histogram_at_one_time_are_in_conflict_wherever_the_first_is() {
    let disk = SimDisk::new();
    let mut engine = open(&disk);
    // In the open run, in a chunk of the head, late, in a block, in the log.
    let stored = [(NOW_MS - 900, 11.0), (NOW_MS - 800, 0.0), (NOW_MS - 700, 13.0), (NOW_MS - 850, 12.0)];
    assert_eq!(append(&engine, 3, &stored).stored, 4);
    for step in 0..3 {
        assert_eq!(append(&engine, 3, &stored).duplicates, 4, "step {step}");
        for (timestamp_ms, value) in stored {
            for other in [1.0, 10.0, 11.0, 12.0, 13.0].into_iter().filter(|&other| other != value) {
                assert_eq!(append(&engine, 3, &[(timestamp_ms, other)]).refused.len(), 1, "step {step}: {other}");
            }
        }
        if step == 0 {
            engine.flush_before(NOW_MS - 750).unwrap();
        } else {
            drop(engine);
            engine = open(&disk);
        }
    }
    let mut sorted = stored.to_vec();
    sorted.sort_by_key(|sample| sample.0);
    assert_eq!(kinds::read(&engine.select(TimeRange::ALL, &[]).unwrap(), 0, 3), sorted);
}

#[test]
fn hints_follow_from_what_is_stored_even_if_it_came_late() {
    let engine = open(&SimDisk::new());
    let reference = series(&engine, 1);
    let put = |timestamp_ms, count| {
        let mut batch = Batch::default();
        let histogram =
            FloatHistogram { count, counter_reset_hint: CounterResetHint::NotCounterReset, ..Default::default() };
        batch.push_histogram(reference, timestamp_ms, 0, &histogram).unwrap();
        assert_eq!(engine.append(batch).unwrap().stored, 1);
    };
    let hints = || read(&engine).histograms.iter().map(|h| h.counter_reset_hint).collect::<Vec<_>>();
    put(NOW_MS - 30, 5.0);
    put(NOW_MS - 10, 7.0);
    assert_eq!(hints(), [CounterResetHint::Unknown, CounterResetHint::NotCounterReset]);
    put(NOW_MS - 20, 9.0);
    let with_a_reset = [CounterResetHint::Unknown, CounterResetHint::NotCounterReset, CounterResetHint::Unknown];
    assert_eq!(hints(), with_a_reset);
    engine.flush_before(NOW_MS - 15).unwrap();
    assert_eq!(hints(), with_a_reset);
}

#[test]
fn histograms_that_are_large_wait_in_small_numbers() {
    let engine = open(&SimDisk::new());
    let reference = series(&engine, 1);
    let large = |count: f64| FloatHistogram {
        count,
        positive_spans: vec![Span { offset: 0, length: 5_000 }],
        positive_buckets: (0..5_000).map(|i| f64::from(i % 2) * 1e9).collect(),
        ..FloatHistogram::default()
    };
    for i in 0..60 {
        let mut batch = Batch::default();
        batch.push_histogram(reference, NOW_MS - 60 + i, 0, &large(i as f64)).unwrap();
        engine.append(batch).unwrap();
    }
    // Each takes 25 kB as it comes; columns of the same counts take next to nothing.
    assert!(engine.head_chunk_bytes() > 1_000_000, "they wait");
    engine.seal_waiting().unwrap();
    let bytes = engine.head_chunk_bytes();
    assert!(bytes < 500_000, "{bytes}");
    let counts: Vec<f64> = read(&engine).histograms.iter().map(|h| h.count).collect();
    assert_eq!(counts, (0..60).map(f64::from).collect::<Vec<_>>());
    let mut batch = Batch::default();
    let invalid = FloatHistogram { positive_buckets: vec![1.0], ..FloatHistogram::default() };
    assert!(batch.push_histogram(reference, NOW_MS, 0, &invalid).is_err());
    assert!(batch.is_empty(), "what cannot be stored is not taken");
}
