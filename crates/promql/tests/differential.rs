//! Random queries, evaluated with every shortcut and with none: the answers must be the same.
//!
//! `MYTSDB_DIFFERENTIAL_QUERIES` sets their number, `MYTSDB_SEED` the seed, which is printed.

use mytsdb_model::{Labels, stale_nan};
use mytsdb_promql::{
    Cancel, EvalError, Optimisations, QueryOptions, QueryResult, QueryValue, SampleValue, WorkerPool, instant, range,
};
use mytsdb_promql_syntax::{Expr, parse};
use mytsdb_promql_testkit::{Judge, QueryWriter, TestStorage, Words};
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

/// What the random data have.
const WORDS: Words = Words {
    judge: Judge::PlainEvaluation,
    names: &["c_total", "s_total", "g", "i", "w", "h"],
    rare: &["many", "many", "many", "nothing", "{__name__=~\"c_total|g\"}"],
    histograms: &["h"],
    integers: "i",
    times: "c_total",
    infos: &["{version=~\".+\"}", "{job=\"j0\"}", "{__name__=~\".*_total\"}"],
    from_s: 0,
    span_s: SPAN_MS as u64 / 1_000,
};

/// The next text that the parser takes.
fn written(mut write: impl FnMut() -> String) -> (String, Expr) {
    loop {
        let text = write();
        if let Ok(expr) = parse(&text) {
            return (text, expr);
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
        let (query, expr) = written(|| QueryWriter::new(&mut random, &WORDS).planned(depth));
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
        let (query, expr) = written(|| {
            let mut writer = QueryWriter::new(&mut random, &WORDS);
            if exact { writer.vector(depth) } else { writer.summed() }
        });
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
