//! Random queries, evaluated with every shortcut and with none: the answers must be the same.
//!
//! `MYTSDB_DIFFERENTIAL_QUERIES` sets their number, `MYTSDB_SEED` the seed, which is printed.
//!
//! long because both tests share the random data and the writer of queries.

use mytsdb_model::{Labels, stale_nan};
use mytsdb_promql::{
    Cancel, EvalError, Optimisations, QueryOptions, QueryResult, QueryValue, SampleValue, WorkerPool, instant, range,
};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;
use mytsdb_testkit::{Random, seed, setting};
use std::fmt::Write as _;

/// The pool with which `threads` threads evaluate a query.
fn pool(threads: usize) -> Option<WorkerPool> {
    (threads > 1).then(|| WorkerPool::new(threads - 1).expect("there are threads to be had"))
}

/// The samples lie within this time.
const SPAN_MS: i64 = 40 * 60_000;

/// How the values of a metric go on.
#[derive(Clone, Copy)]
enum Shape {
    Counter,
    /// A counter whose samples know when it started.
    Started,
    Gauge,
    /// Small integers: many ties, and sums are exact.
    Integers,
    /// NaN, infinities, extremes and both zeros among others.
    Wild,
}

fn labels(name: &str, i: u64) -> Labels {
    let (job, instance) = (format!("j{}", i % 3), i.to_string());
    Labels::from_pairs([("__name__", name), ("job", &job), ("instance", &instance)])
}

/// Appends a series whose times come from `beat`.
fn append(storage: &mut TestStorage, random: &mut Random, mut beat: Random, labels: &Labels, shape: Shape) {
    let step = beat.pick(&[10_000, 15_000, 30_000, 60_000]);
    let (regular, gaps, stale) = (beat.one_in(2), beat.one_in(2), random.one_in(3));
    let (mut at, mut value, mut started) = (beat.below(60_000) as i64, 0.0, 1);
    while at < SPAN_MS {
        value = match shape {
            Shape::Counter | Shape::Started if random.one_in(25) => {
                started = at - 1;
                random.unit()
            }
            Shape::Counter | Shape::Started if random.one_in(4) => value,
            Shape::Counter | Shape::Started => value + random.unit() * 10.0,
            Shape::Gauge => (random.unit() - 0.5) * 1e3,
            Shape::Integers => random.below(9) as f64 - 3.0,
            Shape::Wild if random.one_in(3) => {
                random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0, -0.0, 5e-324])
            }
            Shape::Wild => random.unit() * 100.0,
        };
        let stored = if stale && random.one_in(20) { stale_nan() } else { value };
        let start = if matches!(shape, Shape::Started) && !random.one_in(5) { started } else { 0 };
        storage.append(labels, at, stored, start).expect("times ascend");
        at += if regular { step } else { step / 2 + beat.below(step as u64) as i64 };
        if gaps && beat.one_in(15) {
            at += beat.below(600_000) as i64;
        }
    }
}

fn storage(random: &mut Random) -> TestStorage {
    storage_of(random, false)
}

/// `plain`: without histograms and start times.
fn storage_of(random: &mut Random, plain: bool) -> TestStorage {
    let mut storage = TestStorage::new();
    for (name, shape, series) in [
        ("c_total", Shape::Counter, 7),
        ("s_total", if plain { Shape::Counter } else { Shape::Started }, 4),
        ("g", Shape::Gauge, 6),
        ("i", Shape::Integers, 8),
        ("w", Shape::Wild, 6),
        // Enough of them that threads are used.
        ("many", Shape::Integers, 150),
    ] {
        // Series often have the times of the one before.
        let mut beat = random.bits();
        for i in 0..series {
            if random.one_in(3) {
                beat = random.bits();
            }
            append(&mut storage, random, Random::new(beat), &labels(name, i), shape);
        }
    }
    if plain {
        return storage;
    }
    let mut load = "load 30s\n".to_owned();
    for i in 0..4 {
        write!(load, " h{{job=\"j{}\",instance=\"{i}\"}}", i % 3).expect("a string takes it");
        let mut count = 0;
        for _ in 0..60 {
            count = if random.one_in(20) { 0 } else { count + random.below(5) };
            let item = match random.below(12) {
                0 => "_".to_owned(),
                1 => "stale".to_owned(),
                2 | 3 if i == 0 => format!("{count}"),
                _ => format!("{{{{schema:0 count:{} sum:{count} buckets:[{count} {count}]}}}}", 2 * count),
            };
            write!(load, " {item}").expect("a string takes it");
        }
        load.push('\n');
    }
    storage.load(&load, 0).expect("the notation is right");
    storage
}

/// Writes random expressions whose results do not depend on how windows are summed.
struct Writer<'r>(&'r mut Random);

const NAMES: [&str; 6] = ["c_total", "s_total", "g", "i", "w", "h"];
const DURATIONS: [&str; 10] = ["1s", "15s", "40s", "1m", "2m30s", "5m", "7m", "13m", "20m", "1h"];
const WINDOWED: [&str; 25] = [
    "rate",
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "max_over_time",
    "min_over_time",
    "max_over_time",
    "min_over_time",
    "count_over_time",
    "last_over_time",
    "first_over_time",
    "present_over_time",
    "changes",
    "resets",
    "deriv",
    "integral",
    "stddev_over_time",
    "stdvar_over_time",
    "mad_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "ts_of_last_over_time",
    "absent_over_time",
];
const ELEMENTWISE: [&str; 11] =
    ["abs", "ceil", "floor", "sgn", "-", "sort", "sort_desc", "timestamp", "absent", "histogram_count", "exp"];

impl Writer<'_> {
    fn modifiers(&mut self) -> String {
        let mut out = String::new();
        if self.0.one_in(6) {
            let sign = self.0.pick(&["", "", "-"]);
            out += &[" offset ", sign, self.0.pick(&DURATIONS)].concat();
        }
        if self.0.one_in(10) {
            let at = self.0.below(2_400).to_string();
            out += &[" @ ", self.0.pick(&["start()", "end()", &at])].concat();
        }
        out
    }

    fn selector(&mut self) -> String {
        let name = if self.0.one_in(25) { "many" } else { self.0.pick(&NAMES) };
        let job = if self.0.one_in(5) {
            self.0.pick(&["{job=\"j0\"}", "{job!=\"j1\"}", "{instance=~\"[0-3]\"}"])
        } else {
            ""
        };
        format!("{name}{job}")
    }

    fn matrix(&mut self, depth: u32) -> String {
        let window = self.0.pick(&DURATIONS);
        let inner = if depth > 0 && self.0.one_in(5) {
            let step = self.0.pick(&["", "13s", "30s", "1m", "2m"]);
            format!("({})[{window}:{step}]", self.vector(depth - 1))
        } else {
            format!("{}[{window}]", self.selector())
        };
        inner + &self.modifiers()
    }

    fn scalar(&mut self, depth: u32) -> String {
        match self.0.below(8) {
            0 => "time()".to_owned(),
            1 if depth > 0 => format!("scalar({})", self.vector(depth - 1)),
            _ => self.0.pick(&["0", "1", "2", "-3", "0.5", "100", "NaN", "Inf"]).to_owned(),
        }
    }

    fn grouping(&mut self) -> &'static str {
        self.0.pick(&["", "", "by (job)", "by (instance)", "without (instance)", "without (job)", "by (job, __name__)"])
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return if self.0.one_in(2) { self.selector() + &self.modifiers() } else { self.windowed(0) };
        }
        let d = depth - 1;
        match self.0.below(20) {
            0..=4 => self.windowed(d),
            5..=7 => {
                let op = self.0.pick(&["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"]);
                format!("{op} {} ({})", self.grouping(), self.vector(d))
            }
            8..=11 => {
                let op = self.0.pick(&["topk", "bottomk", "topk", "bottomk", "limitk"]);
                let count = self.0.pick(&["1", "2", "3", "5", "1.9", "0", "-1", "100", "scalar(count(i))"]);
                format!("{op} {} ({count}, {})", self.grouping(), self.vector(d))
            }
            12 => {
                let q = self.0.pick(&["0", "0.5", "0.9", "1", "1.5", "scalar(i)"]);
                format!("quantile {} ({q}, {})", self.grouping(), self.vector(d))
            }
            13 => format!("count_values {} (\"v\", {})", self.grouping(), self.vector(d)),
            14 | 15 => {
                let op = self.0.pick(&["+", "-", "*", "/", "%", "^", ">", "<=", "== bool", "!=", "> bool"]);
                let (vector, scalar) = (self.vector(d), self.scalar(d));
                if self.0.one_in(2) { format!("({vector} {op} {scalar})") } else { format!("({scalar} {op} {vector})") }
            }
            16 | 17 => {
                let op = self.0.pick(&["+", "-", "*", "/", ">", "== bool", "atan2", "and", "or", "unless"]);
                let set = matches!(op, "and" | "or" | "unless");
                let matching = match self.0.below(5) {
                    0 | 1 => "on (instance)",
                    2 => "ignoring (job)",
                    3 if !set => "on (instance) group_left (job)",
                    _ => "",
                };
                format!("({} {op} {matching} {})", self.vector(d), self.vector(d))
            }
            18 => {
                let f = self.0.pick(&ELEMENTWISE);
                format!("{f}({})", self.vector(d))
            }
            _ => match self.0.below(4) {
                0 => format!("clamp({}, {}, {})", self.vector(d), self.scalar(0), self.scalar(0)),
                1 => format!("label_replace({}, \"job\", \"x$1\", \"instance\", \"([0-4])\")", self.vector(d)),
                2 => format!("histogram_quantile({}, {})", self.scalar(0), self.vector(d)),
                _ => format!("round({}, {})", self.vector(d), self.scalar(0)),
            },
        }
    }

    fn windowed(&mut self, depth: u32) -> String {
        match self.0.below(14) {
            0 | 1 => {
                let q = self.0.pick(&["0", "0.3", "0.5", "0.9", "1", "-1", "NaN", "scalar(i)"]);
                format!("quantile_over_time({q}, {})", self.matrix(depth))
            }
            2 => format!("predict_linear({}, {})", self.matrix(depth), self.scalar(0)),
            3 => format!("double_exponential_smoothing({}, 0.5, 0.3)", self.matrix(depth)),
            4 => {
                let f = self.0.pick(&["rate", "increase", "delta"]);
                let word = self.0.pick(&["anchored", "smoothed"]);
                format!("{f}({}[{}] {word})", self.selector(), self.0.pick(&DURATIONS))
            }
            // Sums of integers are exact whichever way they are made.
            5 => {
                let f = self.0.pick(&["sum", "avg"]);
                format!("{f}_over_time(i[{}]{})", self.0.pick(&DURATIONS), self.modifiers())
            }
            _ => {
                let f = self.0.pick(&WINDOWED);
                format!("{f}({})", self.matrix(depth))
            }
        }
    }

    /// What the planner looks for: constants, `@`, joins with matchers, subtrees that come again.
    fn planned(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.joined();
        }
        match self.0.below(8) {
            0 | 1 => {
                let (a, b) = (self.shareable(), self.shareable());
                let op = self.0.pick(&["/", "-", "+", "== bool", "and", "or", "unless", "> bool"]);
                match self.0.below(6) {
                    0 => format!("{a} / ({a} + {b})"),
                    1 => format!("({a} {op} {b}) or ({b} {op}  ( {a} ))"),
                    2 => format!("{a} == {a}"),
                    3 => format!("{a} or vector(0)"),
                    4 => format!("topk(2, {a} + {b}) {op} ignoring (x) ({a} + {b})"),
                    _ => format!("{a} {op} {a} {op} {b}"),
                }
            }
            2 => {
                let (f, window, at) = (self.0.pick(&WINDOWED), self.0.pick(&DURATIONS), self.pinned());
                let inner = format!("{f}({}[{window}] {at})", self.selector());
                let outer = self.0.pick(&["sum", "max", "count", "topk 3", "sort", "quantile 0.3", "scalar", "sgn"]);
                match outer.split_once(' ') {
                    Some((op, param)) => format!("{op} {} ({param}, {inner})", self.grouping()),
                    None if matches!(outer, "sort" | "sgn") => format!("{outer}({inner})"),
                    None if outer == "scalar" => format!("{} * scalar({inner})", self.selector()),
                    None => format!("{outer} {} ({inner})", self.grouping()),
                }
            }
            3 => {
                let (selector, at, constant) = (self.selector(), self.pinned(), self.constant(2));
                let op = self.0.pick(&["+", "*", "/", ">", "<= bool", "^"]);
                format!("({} {op} ({selector} {at}) {op} {constant})", self.planned(depth - 1))
            }
            4 => {
                let (constant, op) = (self.constant(2), self.0.pick(&["+", "*", "/", "^", "%", "> bool", "=="]));
                format!("({}) {op} {constant}", self.planned(depth - 1))
            }
            5 => {
                let one = self.0.pick(&["1", "(2 - 1)", "1.0"]);
                let op = self.0.pick(&["*", "/"]);
                format!("{} {op} {one}", self.shareable())
            }
            6 => {
                let (window, step) = (self.0.pick(&DURATIONS), self.0.pick(&["", "30s", "1m"]));
                let at = if self.0.one_in(2) { self.pinned() } else { String::new() };
                let f = self.0.pick(&["max_over_time", "count_over_time", "last_over_time", "increase"]);
                format!("{f}(({})[{window}:{step}] {at})", self.planned(depth - 1))
            }
            _ => self.joined(),
        }
    }

    fn pinned(&mut self) -> String {
        let at = self.0.below(2_400).to_string();
        let offset = self.0.pick(&["", "", " offset 1m"]);
        ["@ ", self.0.pick(&["start()", "end()", &at]), offset].concat()
    }

    /// A scalar expression of constants.
    fn constant(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self
                .0
                .pick(&["1", "2", "0.1", "-3", "1e300", "NaN", "Inf", "5m", "pi()", "step()", "end()"])
                .into();
        }
        let (a, b) = (self.constant(depth - 1), self.constant(depth - 1));
        match self.0.below(8) {
            0 => format!("-({a})"),
            1 => format!("max_of({a}, {b})"),
            2 => format!("scalar(vector({a}))"),
            3 => format!("({a} {} bool {b})", self.0.pick(&["==", ">", "<=", "!="])),
            _ => format!("({a} {} {b})", self.0.pick(&["+", "-", "*", "/", "%", "^", "atan2"])),
        }
    }

    /// An aggregation, of few different ones, so that the same comes again.
    fn shareable(&mut self) -> String {
        let op = self.0.pick(&["sum", "max", "avg", "topk 2", "count_values \"v\""]);
        let (name, by) = (self.0.pick(&NAMES), self.0.pick(&["", "by (job) ", "by (instance) "]));
        let inner = if self.0.one_in(2) { format!("rate({name}[5m])") } else { name.to_owned() };
        match op.split_once(' ') {
            Some((op, param)) => format!("{op} {by}({param}, {inner})"),
            None => format!("{op} {by}({inner})"),
        }
    }

    /// One side of a join, with or without a matcher that the other side could use.
    fn side(&mut self) -> String {
        let name = self.0.pick(&["c_total", "s_total", "g", "i", "w", "h", "many", "nothing"]);
        let matcher = self.0.pick(&[
            "",
            "",
            "{job=\"j0\"}",
            "{instance=~\"[0-2]\"}",
            "{instance=\"1\"}",
            "{job=~\"j[01]\",instance!=\"0\"}",
            "{job=\"\"}",
            "{job=\"j9\"}",
        ]);
        let selector = format!("{name}{matcher}");
        match self.0.below(10) {
            0 | 1 => selector,
            2 => format!("rate({selector}[5m])"),
            3 => format!("max_over_time({selector}[5m])"),
            4 => format!("-abs({selector})"),
            5 => format!("topk by (job) (1, {selector})"),
            6 => format!("({selector} > 2)"),
            7 => {
                let by = self.0.pick(&["by (job)", "by (instance)", "by (job, instance)", "without (instance)"]);
                let f = self.0.pick(&["rate", "increase", "changes"]);
                format!("{} {by} ({f}({selector}[5m]))", self.0.pick(&["sum", "count", "max", "avg"]))
            }
            8 => {
                let by = self.0.pick(&["by (job)", "by (instance)", "by (job, instance)", "without (job)"]);
                format!(
                    "{} {by} ({selector})",
                    self.0.pick(&["sum", "count", "group", "quantile"]).replace("quantile", "min")
                )
            }
            _ => {
                let op = self.0.pick(&["+", "and", "unless", "or", "*"]);
                let by = self.0.pick(&["by (job)", "by (instance)", "by (job, instance)"]);
                format!("(sum {by} ({selector}) {op} count {by} ({name}))")
            }
        }
    }

    fn joined(&mut self) -> String {
        let (a, b) = (self.side(), self.side());
        let op = self.0.pick(&["+", "/", "*", ">", "== bool", "and", "or", "unless", "unless", "and"]);
        let set = matches!(op, "and" | "or" | "unless");
        let matching = match self.0.below(12) {
            0..=2 => "on (instance)",
            3 => "on (job)",
            4 => "on (job, instance)",
            5 => "ignoring (job)",
            6 => "ignoring (instance)",
            7 if !set => "on (job) group_left ()",
            8 if !set => "on (instance) group_right (job)",
            9 if !set => "on (instance) group_left (job)",
            10 if !set => self.0.pick(&["on (job) fill (1)", "fill_left (2)", "on (instance) fill_right (0)"]),
            _ => "",
        };
        if self.0.one_in(4) {
            let c = self.side();
            let op = self.0.pick(&["+", "and", "unless"]);
            return format!("({a} {op} on (job, instance) {c}) {} {matching} {b}", if set { "and" } else { "*" });
        }
        format!("{a} {op} {matching} {b}")
    }

    /// A sum or average over windows within nothing that would enlarge its last bits.
    fn summed(&mut self) -> String {
        let f = self.0.pick(&["sum", "avg"]);
        let inner = format!("{f}_over_time({})", self.matrix(2));
        match self.0.below(6) {
            0 => format!("max {} ({inner})", self.grouping()),
            1 => format!("min {} ({inner})", self.grouping()),
            2 => format!("abs({inner})"),
            3 => format!("{inner} * 3"),
            _ => inner,
        }
    }
}

/// The NaN of a computation has no particular bits.
fn same(a: f64, b: f64, exact: bool) -> bool {
    let close = || !exact && (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || close()
}

fn same_all(a: &[f64], b: &[f64], exact: bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| same(a, b, exact))
}

/// Compared by their text, which tells all values apart.
fn histogram_texts<'h>(
    all: impl IntoIterator<Item = &'h std::sync::Arc<mytsdb_histogram::FloatHistogram>>,
) -> Vec<String> {
    all.into_iter().map(|h| format!("{h:?}")).collect()
}

fn same_values(a: &QueryValue, b: &QueryValue, exact: bool) -> bool {
    match (a, b) {
        (QueryValue::Scalar(_, a), QueryValue::Scalar(_, b)) => same(*a, *b, exact),
        (QueryValue::Vector(a), QueryValue::Vector(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    a.labels == b.labels
                        && match (&a.value, &b.value) {
                            (SampleValue::Float(a), SampleValue::Float(b)) => same(*a, *b, exact),
                            (SampleValue::Histogram(a), SampleValue::Histogram(b)) => {
                                histogram_texts([a]) == histogram_texts([b])
                            }
                            _ => false,
                        }
                })
        }
        (QueryValue::Matrix(a), QueryValue::Matrix(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    a.labels == b.labels
                        && a.timestamps_ms == b.timestamps_ms
                        && same_all(&a.values, &b.values, exact)
                        && a.histogram_timestamps_ms == b.histogram_timestamps_ms
                        && histogram_texts(&a.histograms) == histogram_texts(&b.histograms)
                })
        }
        _ => false,
    }
}

fn is_empty(value: &QueryValue) -> bool {
    match value {
        QueryValue::Vector(samples) => samples.is_empty(),
        QueryValue::Matrix(series) => series.is_empty(),
        _ => false,
    }
}

fn remarks(result: &QueryResult) -> Vec<(bool, &str, usize)> {
    let mut all: Vec<_> = result.annotations.iter().map(|a| (a.warning, a.message.as_str(), a.pos.start)).collect();
    all.sort_unstable();
    all
}

fn check_same(
    found: &Result<QueryResult, EvalError>,
    expected: &Result<QueryResult, EvalError>,
    exact: bool,
    what: &dyn Fn() -> String,
) {
    match (found, expected) {
        (Ok(fast), Ok(plain)) => {
            let (found, expected) = (&fast.value, &plain.value);
            assert!(same_values(found, expected, exact), "{}\n{found:?}\n{expected:?}", what());
            assert_eq!(remarks(fast), remarks(plain), "{}", what());
            // What is shared or left out is not read again.
            assert!(fast.stats.samples_read <= plain.stats.samples_read, "{}", what());
        }
        (Err(fast), Err(plain)) => assert_eq!(fast.to_string(), plain.to_string(), "{}", what()),
        (fast, plain) => panic!("{}\n{fast:?}\n{plain:?}", what()),
    }
}

#[test]
fn no_pass_of_the_planner_changes_an_answer() {
    let seed = seed(1);
    let queries = setting("MYTSDB_DIFFERENTIAL_QUERIES", 6_000);
    let all = Optimisations::ALL;
    let none = Optimisations::NONE;
    let passes = [
        all,
        Optimisations { fold_constants: true, ..none },
        Optimisations { simplify: true, fold_constants: true, ..none },
        Optimisations { push_matchers: true, ..none },
        Optimisations { once: true, ..none },
        Optimisations { share_subtrees: true, ..none },
        Optimisations { any_order: true, ..none },
    ];
    let pools = [1, 2, 3].map(pool);
    let mut random = Random::new(seed);
    let mut data = storage(&mut random);
    let (mut answered, mut filled, mut rewritten, mut planned, mut spared) = (0, 0, 0, 0, 0);
    for number in 0..queries {
        if number % 300 == 299 {
            let plain = !random.one_in(3);
            data = storage_of(&mut random, plain);
        }
        let depth = random.below(3) as u32;
        let query = Writer(&mut random).planned(depth);
        let expr = parse(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let start = random.below(SPAN_MS as u64) as i64;
        let step = random.pick(&[7_000, 30_000, 60_000, 150_000]);
        let end = start + step * random.below(12) as i64;
        let at_once = random.one_in(4);
        let base =
            QueryOptions { delayed_name_removal: random.one_in(3), max_samples: 10_000_000, ..QueryOptions::default() };
        let run = |options: &QueryOptions| {
            if at_once {
                instant(&data, &expr, start, options, &Cancel::new())
            } else {
                range(&data, &expr, start, end, step, options, &Cancel::new())
            }
        };
        let plain = run(&QueryOptions { optimise: false, ..base.clone() });
        if let Ok(plain) = &plain {
            answered += 1;
            filled += u64::from(!is_empty(&plain.value));
        }
        for optimisations in passes {
            let profile = random.one_in(2);
            let pool = pools[random.pick(&[1, 1, 3]) - 1].clone();
            let options = QueryOptions { optimisations, profile, pool, ..base.clone() };
            let found = run(&options);
            let what = || {
                format!(
                    "MYTSDB_SEED={seed} query {number}, {start}..{end} step {step}, instant {at_once}, {options:?}: {query}"
                )
            };
            check_same(&found, &plain, true, &what);
            if let (Ok(found), Ok(plain)) = (&found, &plain)
                && optimisations == all
            {
                spared += u64::from(found.stats.samples_read < plain.stats.samples_read);
                if let Some(plan) = &found.plan {
                    rewritten += u64::from(!plan.rewrites.is_empty());
                    planned += u64::from(plan.to_string().contains("shared") || plan.to_string().contains("once"));
                }
            }
        }
    }
    println!("{answered} answered, {filled} with series, {spared} with fewer samples");
    println!("of the half with a plan, {rewritten} rewritten, {planned} shared or once");
    assert!(answered * 10 > queries * 5 && filled * 10 > queries * 3, "{answered} {filled}");
    assert!(
        spared * 20 > queries && rewritten * 20 > queries && planned * 20 > queries,
        "{spared} {rewritten} {planned}"
    );
}

#[test]
fn shortcuts_change_no_answer() {
    let seed = seed(1);
    let queries = setting("MYTSDB_DIFFERENTIAL_QUERIES", 20_000);
    let pools = [1, 2, 3].map(pool);
    let mut random = Random::new(seed);
    let mut data = storage(&mut random);
    let (mut answered, mut filled) = (0, 0);
    for number in 0..queries {
        if number % 1_000 == 999 {
            data = storage(&mut random);
        }
        let exact = !random.one_in(8);
        let depth = random.below(4) as u32;
        let query = if exact { Writer(&mut random).vector(depth) } else { Writer(&mut random).summed() };
        let expr = parse(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let start = random.below(SPAN_MS as u64) as i64;
        let step = random.pick(&[1_000, 7_000, 15_000, 30_000, 60_000, 150_000]);
        let end = start + step * random.below(30) as i64;
        let at_once = random.one_in(4);
        let shared =
            QueryOptions { delayed_name_removal: random.one_in(2), max_samples: 10_000_000, ..QueryOptions::default() };
        let pool = pools[random.pick(&[1, 1, 2, 3]) - 1].clone();
        let fast = QueryOptions { pool, ..shared.clone() };
        let plain = QueryOptions { optimise: false, ..shared };
        let run = |options: &QueryOptions| {
            if at_once {
                instant(&data, &expr, start, options, &Cancel::new())
            } else {
                range(&data, &expr, start, end, step, options, &Cancel::new())
            }
        };
        let what = || {
            format!(
                "MYTSDB_SEED={seed} query {number}, {start}..{end} step {step}, instant {at_once}, {fast:?}: {query}"
            )
        };
        let (found, expected) = (run(&fast), run(&plain));
        check_same(&found, &expected, exact, &what);
        if let Ok(plain) = &expected {
            answered += 1;
            filled += u64::from(!is_empty(&plain.value));
        }
    }
    println!("{answered} answered, {filled} of them with series");
    // Else the test would compare nothing.
    assert!(answered * 10 > queries * 7 && filled * 10 > queries * 5, "{answered} {filled}");
}
