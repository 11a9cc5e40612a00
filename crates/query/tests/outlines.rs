//! Windows over whole chunks, by the statistics of the chunks and by their samples: the same answers, bit by bit, with late samples, deletions, merges and
//! histograms between them.
//!
//! `MYTSDB_OUTLINE_QUERIES` sets the number of queries, `MYTSDB_SEED` the seed, which is printed.

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, Matcher, TimeRange, stale_nan};
use mytsdb_promql::{
    Cancel, Finding, Optimisations, QueryOptions, QueryResult, QueryValue, SampleValue, SelectHints, SeriesSet,
    Storage, StorageError, instant, range,
};
use mytsdb_promql_syntax::parse;
use mytsdb_query::EngineStorage;
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed, setting};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const MINUTE_MS: i64 = 60_000;
const BEGIN_MS: i64 = 480_000 * MINUTE_MS;

/// What the values of a series are like; `name` by the first letter.
const NAMES: [&str; 6] = ["counter_total", "resets_total", "gauge", "zeros", "wild", "same"];

fn labels(name: &str, i: u64) -> Labels {
    Labels::from_pairs([("__name__", name), ("i", &i.to_string())])
}

/// An engine whose chunks are short for the time that they are about.
struct World {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    now_ms: i64,
    /// The value of each series.
    values: Vec<(Labels, &'static str, f64)>,
    left_out: Vec<(usize, i64)>,
    with_histograms: bool,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let clock = Arc::new(ManualClock::new(BEGIN_MS));
        let options =
            EngineOptions { block_ms: 30 * MINUTE_MS, flush_delay_ms: 5 * MINUTE_MS, ..EngineOptions::new("/data") };
        let disk = Arc::new(SimDisk::new());
        let (engine, _) = Engine::open(disk, clock.clone(), options, &Registry::new()).expect("a new folder");
        let values = NAMES.iter().flat_map(|name| (0..2).map(|i| (labels(name, i), *name, 0.0))).collect();
        let engine = Arc::new(engine);
        let with_histograms = random.one_in(4);
        Self { engine, clock, now_ms: BEGIN_MS, values, left_out: Vec::new(), with_histograms }
    }

    fn next(random: &mut Random, name: &str, value: &mut f64) -> f64 {
        if random.one_in(200) && name != "same" {
            return stale_nan();
        }
        *value = match name {
            "counter_total" => *value + random.below(9) as f64,
            "resets_total" if random.one_in(70) => random.unit(),
            "resets_total" => *value + random.unit() * 10.0,
            "gauge" => (random.unit() - 0.5) * 1e3,
            "zeros" => random.pick(&[0.0, -0.0]) - f64::from(u32::from(random.one_in(50))),
            "wild" if random.one_in(40) => random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 5e-324]),
            "wild" => random.below(5) as f64,
            _ => 7.0,
        };
        *value
    }

    /// Appends the samples of some minutes.
    fn go_on(&mut self, random: &mut Random, minutes: i64) {
        let mut batch = Batch::default();
        for (number, (labels, name, value)) in self.values.iter_mut().enumerate() {
            let reference = self.engine.resolve(labels).expect("there is room");
            let beat_ms = if number % 2 == 0 { 5_000 } else { 7_000 };
            let first_ms = (self.now_ms + beat_ms - 1) / beat_ms * beat_ms;
            for at_ms in (first_ms..self.now_ms + minutes * MINUTE_MS).step_by(beat_ms as usize) {
                let next = Self::next(random, name, value);
                if random.one_in(300) {
                    self.left_out.push((number, at_ms));
                } else if self.with_histograms && *name == "gauge" && random.one_in(900) {
                    let histogram = FloatHistogram {
                        count: 2.0,
                        sum: 1.0,
                        positive_spans: vec![Span { offset: 0, length: 1 }],
                        positive_buckets: vec![2.0],
                        ..FloatHistogram::default()
                    };
                    batch.push_histogram(reference, at_ms, 0, &histogram).expect("it is valid");
                } else if self.with_histograms && *name == "counter_total" && random.one_in(200) {
                    batch.push_since(reference, at_ms, at_ms - 1_000, next);
                } else {
                    batch.push(reference, at_ms, next);
                }
            }
        }
        self.now_ms += minutes * MINUTE_MS;
        self.clock.set(self.now_ms);
        self.engine.append(batch).expect("the disk works");
    }

    fn come_late(&mut self, random: &mut Random) {
        let mut batch = Batch::default();
        for _ in 0..random.below(20) {
            if let Some((number, at_ms)) = self.left_out.pop() {
                let (labels, ..) = &self.values[number];
                batch.push(self.engine.resolve(labels).expect("there is room"), at_ms, random.below(50) as f64);
            }
        }
        self.engine.append(batch).expect("the disk works");
    }

    /// What is between two queries now and then.
    fn happen(&mut self, random: &mut Random) {
        match random.below(12) {
            0 | 1 => self.go_on(random, 30),
            2 => self.come_late(random),
            3 if random.one_in(3) => {
                let mint = self.now_ms - random.below(400) as i64 * MINUTE_MS;
                let range = TimeRange::new(mint, mint + random.below(20) as i64 * MINUTE_MS);
                let name = random.pick(&NAMES);
                // Too many deletions at a time are refused, which is none.
                drop(self.engine.delete_series(&[vec![Matcher::equal("__name__", name)]], range));
            }
            4 => {
                self.engine.flush_before(self.now_ms - random.below(40) as i64 * MINUTE_MS).expect("the disk works");
            }
            5 => while self.engine.compact(StopSign::NEVER, &mut |_| ()).expect("the disk works").is_some() {},
            6 if random.one_in(4) => {
                self.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).expect("the disk works");
            }
            _ => {}
        }
    }
}

/// A storage that counts the stretches that it is asked for and has.
struct Counted {
    inner: EngineStorage,
    stretches: AtomicU64,
}

struct CountedSet<'a>(Box<dyn SeriesSet + 'a>, &'a AtomicU64);

impl Storage for Counted {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(CountedSet(self.inner.select(hints, matchers)?, &self.stretches)))
    }

    fn is_plain(&self) -> bool {
        self.inner.is_plain()
    }
}

impl SeriesSet for CountedSet<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.0.may_have_label(name)
    }

    fn labels(&self, index: usize) -> &Labels {
        self.0.labels(index)
    }

    fn recall(&self, key: &[u8]) -> Option<Finding> {
        self.0.recall(key)
    }

    fn remember(&self, key: &[u8], finding: Finding, bytes: usize) {
        self.0.remember(key, finding, bytes);
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        self.0.read(index, range, out)
    }

    fn read_table(
        &self,
        index: usize,
        range: TimeRange,
        with_hints: bool,
        out: &mut HistogramTable,
    ) -> Result<bool, StorageError> {
        self.0.read_table(index, range, with_hints, out)
    }

    fn read_outline(
        &self,
        index: usize,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, StorageError> {
        let is_read = self.0.read_outline(index, range, outlining, out)?;
        if is_read {
            self.1.fetch_add(out.stretches().len() as u64, Ordering::Relaxed);
        }
        Ok(is_read)
    }
}

/// The answer, as what tells all answers apart: values by their bits, what was read, remarks.
fn told(found: &QueryResult) -> (Vec<String>, u64, Vec<String>) {
    let bits = |value: f64| if value.is_nan() { 1 } else { value.to_bits() };
    let rows = match &found.value {
        QueryValue::Matrix(series) => series
            .iter()
            .map(|series| {
                let values: Vec<u64> = series.values.iter().map(|value| bits(*value)).collect();
                let histograms = &series.histograms;
                format!("{} {:?} {values:?} {histograms:?}", series.labels, series.timestamps_ms)
            })
            .collect(),
        QueryValue::Vector(samples) => samples
            .iter()
            .map(|sample| match &sample.value {
                SampleValue::Float(value) => format!("{} {}", sample.labels, bits(*value)),
                SampleValue::Histogram(histogram) => format!("{} {histogram:?}", sample.labels),
            })
            .collect(),
        other => panic!("{other:?}"),
    };
    let remarks = found.annotations.iter().map(|remark| remark.message.clone()).collect();
    (rows, found.stats.samples_read, remarks)
}

#[test]
fn statistics_of_whole_chunks_change_no_answer() {
    let (seed, count) = (seed(1), setting("MYTSDB_OUTLINE_QUERIES", 1_200));
    let mut random = Random::new(seed);
    let mut with_stretches = 0;
    let mut world = World::new(&mut random);
    for number in 0..count {
        if number % 300 == 0 {
            world = World::new(&mut random);
            for _ in 0..12 {
                world.go_on(&mut random, 60);
                world.engine.flush_before(world.now_ms - 10 * MINUTE_MS).expect("the disk works");
            }
        }
        world.happen(&mut random);
        let function = random.pick(&[
            "count_over_time",
            "delta",
            "first_over_time",
            "increase",
            "last_over_time",
            "max_over_time",
            "min_over_time",
            "present_over_time",
            "rate",
            "resets",
            "ts_of_first_over_time",
            "ts_of_last_over_time",
        ]);
        let selector = random.pick(&["counter_total", "resets_total", "gauge", "zeros", "wild", "same", "{i=\"1\"}"]);
        let width = random.pick(&["11m", "30m", "1h", "3h7m", "6h", "1d"]);
        let modifier = random.pick(&["", "", "", " offset 17m", " @ end()"]);
        let text = format!("{function}({selector}[{width}]{modifier})");
        let expr = parse(&text).expect("a valid query");
        let end_ms = world.now_ms - random.below(100) as i64 * MINUTE_MS / 7;
        let (steps, step_ms) = (random.below(5) as i64, random.pick(&[11, 30, 60, 400, 1440]) * MINUTE_MS);
        let storage = Counted { inner: EngineStorage::new(world.engine.clone()), stretches: AtomicU64::new(0) };
        let ask = |options: &QueryOptions| {
            let cancel = Cancel::default();
            let found = if steps == 0 {
                instant(&storage, &expr, end_ms, options, &cancel)
            } else {
                range(&storage, &expr, end_ms - steps * step_ms, end_ms, step_ms, options, &cancel)
            };
            // Series of several names may become equal.
            found.map(|found| told(&found)).map_err(|error| error.to_string())
        };
        let base = QueryOptions { use_start_timestamps: random.one_in(10), ..QueryOptions::default() };
        let found = ask(&base);
        let stretches = storage.stretches.load(Ordering::Relaxed);
        let without = Optimisations { outlines: false, ..Optimisations::ALL };
        let expected = ask(&QueryOptions { optimisations: without, ..base.clone() });
        assert_eq!(storage.stretches.load(Ordering::Relaxed), stretches, "they are asked for nevertheless");
        assert_eq!(found, expected, "MYTSDB_SEED={seed} query {number}, {stretches} stretches, {steps} steps: {text}");
        with_stretches += u64::from(stretches > 0);
    }
    println!("{count} queries, {with_stretches} with stretches");
    assert!(with_stretches * 10 > count, "hardly any statistics were used: {with_stretches} of {count}");
}
