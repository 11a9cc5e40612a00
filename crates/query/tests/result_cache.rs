//! Random queries of one engine, with the result cache and without: the same answers, bit by bit, whatever happens between them.
//!
//! `MYTSDB_RESULT_CACHE_QUERIES` sets the number of queries, `MYTSDB_SEED` the seed, which is printed.

use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange, stale_nan};
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, ResultCache, ResultUse, WorkerPool, range};
use mytsdb_promql_syntax::{Expr, parse};
use mytsdb_promql_testkit::{Judge, QueryWriter, Words};
use mytsdb_query::EngineStorage;
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed, setting};
use std::sync::Arc;

const MINUTE_MS: i64 = 60_000;
const BEGIN_MS: i64 = 480_000 * MINUTE_MS;

/// What the data have.
const WORDS: Words = Words {
    judge: Judge::PlainEvaluation,
    names: &["c_total", "c_total", "g", "i", "w", "s_total"],
    rare: &["h", "nothing", "{__name__=~\"c_total|g\"}"],
    histograms: &["h"],
    integers: "i",
    times: "c_total",
    infos: &["{version=~\".+\"}", "{job=\"j0\"}"],
    from_s: BEGIN_MS / 1_000,
    span_s: 3_600,
};

/// Queries as dashboards have them, of which there are many steps to keep.
const TYPICAL: [&str; 18] = [
    "sum by (job) (rate(c_total[5m]))",
    "sum(rate(c_total[2m])) / sum(rate(s_total[2m]))",
    "rate(c_total[3m])",
    "g",
    "g * 8 + 1",
    "avg(g)",
    "max by (instance) (max_over_time(w[4m]))",
    "-count(i offset 3m)",
    "sum(g offset -2m)",
    "stddev without (instance) (w)",
    "clamp(irate(c_total[2m]), 0, 5)",
    "histogram_quantile(0.9, sum by (le) (rate(c_total[5m])))",
    "sum(increase(c_total{job=\"j0\"}[5m])) > 3",
    "abs(delta(g[5m])) or sum(i)",
    "sum(sum by (job) (rate(c_total[5m]))) + sum(rate(c_total[5m]))",
    "quantile_over_time(0.5, i[5m])",
    "topk(2, sum by (job) (i))",
    "max_over_time(sum by (job) (rate(c_total[2m]))[10m:1m])",
];

fn labels(name: &str, i: u64) -> Labels {
    let (job, instance) = (format!("j{}", i % 3), i.to_string());
    Labels::from_pairs([("__name__", name), ("job", &job), ("instance", &instance)])
}

/// A series, and how its samples go on.
struct Series {
    labels: Labels,
    name: &'static str,
    value: f64,
    /// The next time, and how far apart they are.
    at_ms: i64,
    beat_ms: i64,
    /// Times that were left out, which come late.
    left_out: Vec<i64>,
}

/// An engine, what is written to it, and what remembers results.
struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    engine: Arc<Engine>,
    series: Vec<Series>,
    now_ms: i64,
    cache: ResultCache,
    pool: WorkerPool,
    with_histograms: bool,
}

fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> Arc<Engine> {
    let options = EngineOptions {
        retention_ms: 150 * MINUTE_MS,
        block_ms: 30 * MINUTE_MS,
        flush_delay_ms: 5 * MINUTE_MS,
        ..EngineOptions::new("/data")
    };
    let disk = Arc::new(disk.clone());
    Arc::new(Engine::open(disk, clock.clone(), options, &Registry::new()).expect("a disk without damage").0)
}

impl World {
    fn new(random: &mut Random, pool: &WorkerPool) -> Self {
        let (disk, clock) = (SimDisk::new(), Arc::new(ManualClock::new(BEGIN_MS)));
        let engine = open(&disk, &clock);
        let with_histograms = random.one_in(3);
        let mut world = Self {
            disk,
            clock,
            engine,
            series: Vec::new(),
            now_ms: BEGIN_MS,
            // Some are so small that entries make room for others.
            cache: ResultCache::new(random.pick(&[1 << 16, 1 << 20, 64 << 20])),
            pool: pool.clone(),
            with_histograms,
        };
        for (name, count) in [("c_total", 5), ("g", 4), ("i", 4), ("w", 3), ("s_total", 2), ("h", 2)] {
            (0..count).for_each(|i| world.add_series(random, name, i));
        }
        world.go_on(random, 60);
        world
    }

    fn add_series(&mut self, random: &mut Random, name: &'static str, i: u64) {
        if name == "h" && !self.with_histograms {
            return;
        }
        let beat_ms = random.pick(&[10_000, 15_000, 30_000]);
        let at_ms = self.now_ms + random.below(60_000) as i64;
        let labels = labels(name, i);
        self.series.push(Series { labels, name, value: 0.0, at_ms, beat_ms, left_out: Vec::new() });
    }

    /// Appends the samples of some minutes.
    fn go_on(&mut self, random: &mut Random, minutes: u64) {
        self.now_ms += minutes as i64 * MINUTE_MS;
        self.clock.set(self.now_ms);
        let mut batch = Batch::default();
        for series in &mut self.series {
            let reference = self.engine.resolve(&series.labels).expect("there is room");
            while series.at_ms <= self.now_ms {
                if random.one_in(30) {
                    series.left_out.push(series.at_ms);
                } else {
                    push(&mut batch, random, reference, series, series.at_ms, self.with_histograms);
                }
                series.at_ms += if random.one_in(40) { 8 * MINUTE_MS } else { series.beat_ms };
            }
        }
        self.engine.append(batch).expect("the disk works");
    }

    /// Appends some samples that were left out.
    fn come_late(&mut self, random: &mut Random) {
        let mut batch = Batch::default();
        for series in &mut self.series {
            let reference = self.engine.resolve(&series.labels).expect("there is room");
            while random.one_in(2)
                && let Some(at_ms) = series.left_out.pop()
            {
                push(&mut batch, random, reference, series, at_ms, self.with_histograms);
            }
        }
        self.engine.append(batch).expect("the disk works");
    }

    fn delete(&mut self, random: &mut Random) {
        let mint = self.now_ms - random.below(90) as i64 * MINUTE_MS;
        let range = TimeRange::new(mint, mint + random.below(20) as i64 * MINUTE_MS);
        let name = random.pick(&["c_total", "g", "i", "w"]);
        let mut matchers = vec![Matcher::equal("__name__", name)];
        if random.one_in(2) {
            matchers.push(Matcher::new(MatchOp::Regex, "instance", "[0-2]").expect("a valid pattern"));
        }
        // Too many deletions at a time are refused, which is none.
        drop(self.engine.delete_series(&[matchers], range));
    }

    /// Something that is between two queries now and then.
    fn happen(&mut self, random: &mut Random) {
        match random.below(40) {
            0..=19 => self.go_on(random, 1),
            20 => self.go_on(random, 20),
            21..=23 => self.come_late(random),
            24 | 25 => self.delete(random),
            26 => {
                let name = random.pick(&["c_total", "g", "i", "w"]);
                let i = 5 + random.below(4);
                if !self.series.iter().any(|series| series.labels == labels(name, i)) {
                    self.add_series(random, name, i);
                }
            }
            27 | 28 => {
                self.engine.flush_before(self.now_ms - random.below(40) as i64 * MINUTE_MS).expect("the disk works");
            }
            29 => {
                self.engine.maintain().expect("the disk works");
            }
            30 => while self.engine.compact(StopSign::NEVER, &mut |_| ()).expect("the disk works").is_some() {},
            31 => {
                self.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).expect("the disk works");
            }
            32 if random.one_in(4) => {
                // Blocks are too old, and the floor of the retention moves on.
                self.go_on(random, 100);
                self.engine.flush_before(self.now_ms - 20 * MINUTE_MS).expect("the disk works");
                self.engine.maintain().expect("the disk works");
            }
            33 if random.one_in(3) => {
                self.engine.stop().expect("the disk works");
                self.engine = open(&SimDisk::new(), &self.clock);
                self.engine = open(&self.disk, &self.clock);
            }
            _ => {}
        }
    }

    /// The answer, as what tells all answers apart.
    fn ask(&self, expr: &Expr, times: (i64, i64, i64), options: &QueryOptions) -> (Result<Answer, String>, ResultUse) {
        let storage = EngineStorage::new(self.engine.clone());
        let found = range(&storage, expr, times.0, times.1, times.2, options, &Cancel::default());
        let found = match found {
            Ok(found) => found,
            Err(error) => return (Err(error.to_string()), ResultUse::default()),
        };
        let QueryValue::Matrix(series) = &found.value else { panic!("a range query gives a matrix") };
        let bits = |value: &f64| if value.is_nan() { 1 } else { value.to_bits() };
        let rows = series.iter().map(|series| {
            let values: Vec<_> = series.timestamps_ms.iter().copied().zip(series.values.iter().map(bits)).collect();
            let histograms: Vec<_> = series.histogram_timestamps_ms.iter().zip(&series.histograms).collect();
            (series.labels.to_string(), values, format!("{histograms:?}"))
        });
        let remarks = found.annotations.iter().map(|a| (a.warning, a.message.clone(), a.pos.start));
        let mut answer = Answer { rows: rows.collect(), remarks: remarks.collect() };
        answer.remarks.sort_unstable();
        (Ok(answer), found.stats.results)
    }
}

/// Labels, floats by their bits, histograms.
type AnswerRow = (String, Vec<(i64, u64)>, String);

/// Rows, and remarks with their places.
#[derive(Debug, PartialEq)]
struct Answer {
    rows: Vec<AnswerRow>,
    remarks: Vec<(bool, String, usize)>,
}

fn push(
    batch: &mut Batch,
    random: &mut Random,
    reference: mytsdb_model::SeriesRef,
    series: &mut Series,
    at_ms: i64,
    with_starts: bool,
) {
    if random.one_in(60) {
        return batch.push(reference, at_ms, stale_nan());
    }
    match series.name {
        "c_total" | "s_total" => {
            series.value = if random.one_in(40) { random.unit() } else { series.value + random.unit() * 10.0 };
            if with_starts && series.name == "s_total" {
                return batch.push_since(reference, at_ms, BEGIN_MS - 1, series.value);
            }
        }
        "g" => series.value = (random.unit() - 0.5) * 1e3,
        "i" => series.value = random.below(9) as f64 - 3.0,
        "h" => {
            series.value += random.below(4) as f64;
            let histogram = FloatHistogram {
                count: 2.0 * series.value,
                sum: series.value,
                positive_spans: vec![Span { offset: 0, length: 2 }],
                positive_buckets: vec![series.value; 2],
                ..FloatHistogram::default()
            };
            return batch.push_histogram(reference, at_ms, 0, &histogram).expect("it is valid");
        }
        _ => {
            let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0, -0.0, 5e-324];
            series.value = if random.one_in(3) { random.pick(&wild) } else { random.unit() * 100.0 };
        }
    }
    batch.push(reference, at_ms, series.value);
}

/// Queries that are asked again and again.
fn queries(random: &mut Random) -> Vec<(String, Expr)> {
    let mut all: Vec<(String, Expr)> = Vec::new();
    while all.len() < 10 {
        let depth = random.below(3) as u32;
        let text = match random.below(5) {
            0..=2 => random.pick(&TYPICAL).to_owned(),
            3 => QueryWriter::new(random, &WORDS).planned(depth),
            _ => QueryWriter::new(random, &WORDS).vector(depth),
        };
        if let Ok(expr) = parse(&text) {
            all.push((text, expr));
        }
    }
    all
}

#[test]
fn kept_results_change_no_answer() {
    let (seed, count) = (seed(1), setting("MYTSDB_RESULT_CACHE_QUERIES", 1_500));
    let mut random = Random::new(seed);
    let pool = WorkerPool::new(2).expect("there are threads to be had");
    let mut world = World::new(&mut random, &pool);
    let mut asked = queries(&mut random);
    let mut used = ResultUse::default();
    for number in 0..count {
        if number % 250 == 249 {
            world = World::new(&mut random, &pool);
        }
        if number % 125 == 124 {
            asked = queries(&mut random);
        }
        for _ in 0..random.below(2) {
            world.happen(&mut random);
        }
        let place = random.index(asked.len());
        let (text, expr) = &asked[place];
        // Mostly the same step, as panels have it.
        let steps = [30_000, MINUTE_MS, 61_007];
        let step_ms = if random.one_in(8) { random.pick(&steps) } else { steps[place % steps.len()] };
        // Mostly aligned, mostly up to now.
        let end_ms =
            if random.one_in(6) { world.now_ms - random.below(5_000_000) as i64 } else { world.now_ms + 20_000 };
        let align = if random.one_in(10) { random.below(step_ms as u64) as i64 } else { 0 };
        let end_ms = end_ms.div_euclid(step_ms) * step_ms + align;
        let start_ms = end_ms - step_ms * random.pick(&[1, 20, 60, 60, 120]);
        let base = QueryOptions {
            lookback_ms: if random.one_in(20) { 90_000 } else { 300_000 },
            use_start_timestamps: random.one_in(20),
            delayed_name_removal: random.one_in(20),
            pool: random.one_in(4).then(|| world.pool.clone()),
            ..QueryOptions::default()
        };
        let times = (start_ms, end_ms, step_ms);
        let (expected, _) = world.ask(expr, times, &base);
        let cached = QueryOptions { results: Some(world.cache.clone()), ..base.clone() };
        let (found, of_cache) = world.ask(expr, times, &cached);
        assert_eq!(
            found, expected,
            "MYTSDB_SEED={seed} query {number}, {times:?} at {}, {of_cache:?}, lookback {}, starts {}: {text}",
            world.now_ms, base.lookback_ms, base.use_start_timestamps,
        );
        used.hits += of_cache.hits;
        used.partial += of_cache.partial;
        used.misses += of_cache.misses;
        used.steps_kept += of_cache.steps_kept;
        used.steps_computed += of_cache.steps_computed;
    }
    println!("{count} queries: {used:?}");
    assert!(used.hits * 25 > count && used.partial * 6 > count, "hardly anything was kept: {used:?}");
    assert!(used.steps_kept * 5 > used.steps_computed, "hardly anything was kept: {used:?}");
}

#[test]
fn a_panel_that_is_asked_again_computes_what_is_new_and_flushes_and_merges_cost_nothing() {
    const STEP_MS: i64 = 30_000;
    let (disk, clock) = (SimDisk::new(), Arc::new(ManualClock::new(BEGIN_MS)));
    let engine = open(&disk, &clock);
    let storage = EngineStorage::new(engine.clone());
    let options = QueryOptions { results: Some(ResultCache::new(1 << 20)), ..QueryOptions::default() };
    let expr = parse("topk(2, sum by (job) (rate(c_total[5m])))").expect("a valid query");
    let references: Vec<_> = (0..6).map(|i| engine.resolve(&labels("c_total", i)).expect("there is room")).collect();
    for minute in 0..90 {
        let begun_ms = BEGIN_MS + minute * MINUTE_MS;
        clock.set(begun_ms + MINUTE_MS);
        for beat in 0..4 {
            let mut batch = Batch::default();
            for (i, &reference) in (0..).zip(&references) {
                batch.push(reference, begun_ms + beat * 15_000 + i, (minute * (i + 1)) as f64);
            }
            engine.append(batch).expect("the disk works");
        }
        if minute % 15 == 7 {
            engine.flush_before(begun_ms - 10 * MINUTE_MS).expect("the disk works");
            while engine.compact(StopSign::NEVER, &mut |_| ()).expect("the disk works").is_some() {}
        }
        // The samples of the last beat are not behind this step.
        let end_ms = begun_ms + STEP_MS;
        let start_ms = end_ms - 60 * MINUTE_MS;
        let found = range(&storage, &expr, start_ms, end_ms, STEP_MS, &options, &Cancel::default());
        let used = found.expect("within the limits").stats.results;
        let computed = if minute == 0 { 121 } else { 2 };
        assert_eq!((used.steps_kept, used.steps_computed), (121 - computed, computed), "minute {minute}");
    }
}
