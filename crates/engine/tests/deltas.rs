//! Deltas against a model: added up in the order of time, once each, in one group or many, over flushes and restarts.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock, Outcome, Refusal};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, Matcher, TimeRange, stale_nan};
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed, setting};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;

/// The first ones have floats, the others histograms.
const SERIES: u64 = 9;
const FLOATS: u64 = 6;
const NOW_MS: i64 = 1_000_000;
const BLOCK_MS: i64 = 1_000;

/// The samples of each series.
type Model = BTreeMap<u64, BTreeMap<i64, f64>>;

fn labels(series: u64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { block_ms: BLOCK_MS, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(NOW_MS));
    Engine::open(Arc::new(disk.clone()), clock, options, &Registry::new()).unwrap().0
}

fn histogram(count: f64) -> FloatHistogram {
    FloatHistogram {
        count,
        sum: 2.0 * count,
        positive_spans: vec![Span { offset: count as i32 % 3, length: 1 }],
        positive_buckets: vec![count],
        ..FloatHistogram::default()
    }
}

fn stored(engine: &Engine) -> Model {
    let mut all = Model::new();
    let found = engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).unwrap();
    for index in 0..found.len() {
        let series = found.labels(index).get("series").unwrap().parse().unwrap();
        let mut columns = Columns::default();
        found.read(index, TimeRange::ALL, &mut columns).unwrap();
        let samples: &mut BTreeMap<i64, f64> = all.entry(series).or_default();
        samples.extend(columns.timestamps_ms.iter().copied().zip(columns.values.iter().copied()));
        for (&time, histogram) in columns.histogram_timestamps_ms.iter().zip(&columns.histograms) {
            let in_buckets: f64 = histogram.positive_buckets.iter().sum();
            assert_eq!((in_buckets, histogram.sum), (histogram.count, 2.0 * histogram.count));
            samples.insert(time, histogram.count);
        }
    }
    all.retain(|_, samples| !samples.is_empty());
    all
}

/// Rows of one time: series and what was counted.
#[derive(Debug)]
struct Point {
    timestamp_ms: i64,
    rows: Vec<(u64, f64)>,
}

impl Point {
    fn random(random: &mut Random, around_ms: i64) -> Self {
        let mut series: Vec<u64> = (0..SERIES).collect();
        let rows = (0..=random.below(3))
            .map(|_| (series.swap_remove(random.index(series.len())), (1 + random.below(9)) as f64))
            .collect();
        Self { timestamp_ms: around_ms + random.below(60) as i64 * 10, rows }
    }

    /// Adds the point, or tells that one of its rows has been counted.
    fn add(&self, model: &mut Model) -> bool {
        let last = |series: &u64| model.get(series).and_then(BTreeMap::last_key_value).map(|(time, sum)| (*time, *sum));
        let sums: Vec<_> = self.rows.iter().map(|(series, _)| last(series)).collect();
        if sums.iter().flatten().any(|(time, _)| *time >= self.timestamp_ms) {
            return false;
        }
        for (&(series, delta), sum) in self.rows.iter().zip(sums) {
            let sum = sum.map_or(0.0, |(_, sum)| sum) + delta;
            model.entry(series).or_default().insert(self.timestamp_ms, sum);
        }
        true
    }
}

fn batch(engine: &Engine, points: &[Point]) -> Batch {
    let mut batch = Batch::default();
    for point in points {
        let first = batch.len() as u32;
        for &(series, delta) in &point.rows {
            let reference = engine.resolve(&labels(series)).unwrap();
            if series < FLOATS {
                batch.push_since(reference, point.timestamp_ms, 7, delta);
            } else {
                batch.push_histogram(reference, point.timestamp_ms, 7, &histogram(delta)).unwrap();
            }
            batch.add_up_last();
        }
        batch.end_point_of(first);
    }
    batch
}

/// Sends batches in one group; their outcomes in order.
fn send(engine: &Engine, batches: Vec<Batch>) -> Vec<Outcome> {
    let receivers: Vec<_> = batches
        .into_iter()
        .map(|batch| {
            let (sender, receiver) = channel();
            engine.submit(batch, Box::new(move |outcome| sender.send(outcome).unwrap()));
            receiver
        })
        .collect();
    engine.commit_pending();
    receivers.into_iter().map(|receiver| receiver.recv().unwrap().unwrap()).collect()
}

#[test]
fn deltas_are_counted_once_and_in_the_order_of_time() {
    let mut random = Random::new(seed(1));
    for _ in 0..setting("MYTSDB_DELTAS", 60) {
        let (disk, mut model) = (SimDisk::new(), Model::new());
        let mut engine = open(&disk);
        let mut now_ms = NOW_MS - 100_000;
        for _ in 0..30 {
            now_ms += random.below(1_500) as i64;
            let groups: Vec<Vec<Point>> = (0..=random.below(3))
                .map(|_| (0..=random.below(4)).map(|_| Point::random(&mut random, now_ms)).collect())
                .collect();
            let mut expected: Vec<Vec<(u32, Refusal)>> = groups.iter().map(|_| Vec::new()).collect();
            let mut order: Vec<(usize, u32, &Point)> = Vec::new();
            for (number, points) in groups.iter().enumerate() {
                let mut row = 0;
                for point in points {
                    order.push((number, row, point));
                    row += point.rows.len() as u32;
                }
            }
            order.sort_by_key(|(_, _, point)| point.timestamp_ms);
            for (number, row, point) in order {
                if !point.add(&mut model) {
                    expected[number].extend((row..).take(point.rows.len()).map(|row| (row, Refusal::Counted)));
                }
            }
            let outcomes = send(&engine, groups.iter().map(|points| batch(&engine, points)).collect());
            for (outcome, mut refused) in outcomes.into_iter().zip(expected) {
                refused.sort_by_key(|(row, _)| *row);
                assert_eq!((outcome.refused, outcome.duplicates), (refused, 0), "{groups:?}");
            }
            match random.below(8) {
                0 => drop(engine.flush_before(now_ms / BLOCK_MS * BLOCK_MS).unwrap()),
                1 => {
                    // Twice, and nobody asks in between: idle series leave the head.
                    engine.flush_before(now_ms + 10 * BLOCK_MS).unwrap();
                    engine.flush_before(now_ms + 20 * BLOCK_MS).unwrap();
                    engine.flush_before(now_ms + 30 * BLOCK_MS).unwrap();
                }
                2 => {
                    engine.stop().unwrap();
                    drop(engine);
                    engine = open(&disk);
                }
                3 => {
                    // Without a word: what was acknowledged is in the log.
                    drop(engine);
                    engine = open(&disk);
                }
                _ => {}
            }
            assert_eq!(stored(&engine), model);
        }
    }
}

#[test]
fn what_cannot_be_added_to_is_begun_anew() {
    let disk = SimDisk::new();
    let engine = open(&disk);
    let series = engine.resolve(&labels(0)).unwrap();
    let float = |time, value, delta| {
        let mut batch = Batch::default();
        batch.push(series, time, value);
        if delta {
            batch.add_up_last();
        }
        batch
    };
    let native = |time, count| {
        let mut batch = Batch::default();
        batch.push_histogram(series, time, 0, &histogram(count)).unwrap();
        batch.add_up_last();
        batch
    };
    let custom = |time| {
        let mut batch = Batch::default();
        let custom = FloatHistogram { schema: -53, custom_values: vec![1.0], count: 5.0, sum: 10.0, ..histogram(5.0) };
        let custom = FloatHistogram { positive_spans: vec![Span { offset: 0, length: 1 }], ..custom };
        batch.push_histogram(series, time, 0, &custom).unwrap();
        batch.add_up_last();
        batch
    };
    for batch in [
        float(10, 2.0, true),
        float(20, 3.0, true),
        float(30, stale_nan(), false),
        float(40, 4.0, true),
        native(50, 6.0),
        native(60, 3.0),
        custom(70),
        float(80, 1.0, true),
        float(90, 20.0, false),
        float(100, 1.0, true),
    ] {
        let outcome = send(&engine, vec![batch]).remove(0);
        assert_eq!((outcome.stored, outcome.refused), (1, Vec::new()));
    }
    let found: Vec<(i64, f64)> =
        stored(&engine).remove(&0).unwrap().into_iter().filter(|(time, _)| *time != 30).collect();
    let want = [(10, 2.0), (20, 5.0), (40, 4.0), (50, 6.0), (60, 9.0), (70, 5.0), (80, 1.0), (90, 20.0), (100, 21.0)];
    assert_eq!(found, want);
}
