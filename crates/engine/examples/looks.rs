//! How long the engine goes on between two looks at the stop sign: the longest gap of each lookup, in ms.
//!
//! `cargo run --profile ci -p mytsdb-engine --example looks [-- series]`. A million series of one metric by default: in
//! the head, in the head and a block, in the head and four blocks that overlap, and remembered.

use mytsdb_engine::{Batch, Engine, EngineError, EngineOptions, Lookup, ManualClock};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const RUNS: usize = 3;
const START_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;
const BLOCKS: i64 = 4;

/// What is printed of a lookup, each the shortest of a few runs.
struct Measured {
    longest_gap: Duration,
    gap_count: usize,
    took: Duration,
    /// Giving back the memory of the answer, which nothing interrupts.
    given_back: Duration,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (gap, took, given_back) = (ms(self.longest_gap), ms(self.took), ms(self.given_back));
        write!(f, "{gap:8.2} ms  {:6} looks  {took:8.1} ms  {given_back:6.1} ms", self.gap_count)
    }
}

/// Asks a few times; `ask` is told how often it was asked before.
///
/// Times are what the thread computed, not what it waited for the processor. A lookup does the same between the same two
/// looks each time, so of each gap the shortest counts: what else the machine did is left out.
fn measure<T>(mut ask: impl FnMut(usize, StopSign<'_>) -> Result<T, EngineError>) -> Result<Measured, EngineError> {
    let mut shortest: Vec<Duration> = Vec::new();
    let (mut took, mut given_back) = (Duration::MAX, Duration::MAX);
    for run in 0..RUNS {
        let looks = Mutex::new(Vec::new());
        let start = thread_time();
        let keep_going = || looks.lock().map(|mut looks| looks.push(thread_time().saturating_sub(start))).is_ok();
        let answer = ask(run, StopSign::new(&keep_going))?;
        keep_going();
        let end = thread_time();
        drop(answer);
        given_back = given_back.min(thread_time().saturating_sub(end));
        let looks = looks.into_inner().expect("no lookup panicked");
        let gaps =
            looks.iter().scan(Duration::ZERO, |last, &look| Some(look.saturating_sub(std::mem::replace(last, look))));
        took = took.min(*looks.last().expect("the one behind the answer"));
        if shortest.is_empty() {
            shortest = gaps.collect();
        } else {
            assert_eq!(shortest.len(), looks.len(), "the same work each time");
            shortest.iter_mut().zip(gaps).for_each(|(shortest, gap)| *shortest = gap.min(*shortest));
        }
    }
    let longest_gap = *shortest.iter().max().expect("at least one gap");
    Ok(Measured { longest_gap, gap_count: shortest.len(), took, given_back })
}

fn thread_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn of(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(op, name, value).expect("a valid pattern")
}

fn questions() -> [(&'static str, Vec<Matcher>); 8] {
    [
        ("all", vec![]),
        ("regex, many match", vec![of(MatchOp::Regex, "pod", ".*7.*")]),
        ("regex, all match", vec![of(MatchOp::Regex, "pod", "p.*-.*[0-9a-f]")]),
        ("regex, none match", vec![of(MatchOp::Regex, "pod", "other-.*x")]),
        ("not regex", vec![of(MatchOp::NotRegex, "pod", ".*-.*7[0-4]+.*")]),
        ("metric and regex", vec![Matcher::equal("__name__", "m"), of(MatchOp::Regex, "pod", "[a-z]+-.*7[0-4]+")]),
        ("two lists", vec![Matcher::equal("half", "a"), Matcher::equal("__name__", "m")]),
        ("not", vec![of(MatchOp::NotEqual, "half", "a"), of(MatchOp::NotRegex, "zone", "z[01]")]),
    ]
}

/// Four lookups of one question, which is asked anew each time if `anew` changes its form.
fn report_question(
    engine: &Engine,
    range: TimeRange,
    what: &str,
    anew: impl Fn(usize) -> Vec<Matcher>,
) -> Result<(), EngineError> {
    let select =
        measure(|run, stop| engine.candidates(&Lookup { stop, any_order: true, ..Lookup::new(range, &anew(run)) }))?;
    println!("select, {what:20}  {select}");
    let sorted = measure(|run, stop| engine.stored(&Lookup { stop, ..Lookup::new(range, &anew(RUNS + run)) }))?;
    println!("sorted, {what:20}  {sorted}");
    let names = measure(|run, stop| engine.label_names(&Lookup { stop, ..Lookup::new(range, &anew(run)) }))?;
    println!("names,  {what:20}  {names}");
    let values = measure(|run, stop| engine.label_values("pod", &Lookup { stop, ..Lookup::new(range, &anew(run)) }))?;
    println!("values, {what:20}  {values}");
    Ok(())
}

fn report(engine: &Engine, range: TimeRange, questions: &[(&str, Vec<Matcher>)]) -> Result<(), EngineError> {
    for (what, matchers) in questions {
        report_question(engine, range, what, |_| matchers.clone())?;
    }
    Ok(())
}

/// With a cache: asked for the first time, again, and after a series has come that everything has to be compared with.
fn report_remembered(engine: &Engine, range: TimeRange, source: &str) -> Result<(), EngineError> {
    for (what, matchers) in questions().iter().take(2) {
        report_question(engine, range, &format!("{what}, first"), |run| {
            // Another question that costs and finds the same: the label is absent, and the pattern matches that.
            let other = format!("absent{run}");
            matchers.iter().cloned().chain([of(MatchOp::Regex, &other, ".*")]).collect()
        })?;
        report_question(engine, range, &format!("{what}, again"), |_| matchers.clone())?;
        report_question(engine, range, &format!("{what}, one new"), |run| {
            let name = format!("{source}, {what}, {run}, {}", engine.head_series_count());
            let labels = Labels::from_pairs([("__name__", "new"), ("new", &name), ("pod", "pod-7")]);
            engine.resolve(&labels).expect("room for a series");
            matchers.clone()
        })?;
    }
    Ok(())
}

fn labels(i: usize) -> Labels {
    let pod = format!("pod-{:08x}", i.wrapping_mul(0x9E37_79B1) as u32);
    let (half, zone) = (["a", "b"][i % 2], ["z0", "z1", "z2"][i % 3]);
    Labels::from_pairs([("__name__", "m"), ("half", half), ("pod", &pod), ("zone", zone)])
}

fn open(series: usize, selection_cache_bytes: usize) -> Result<(Engine, Arc<ManualClock>), EngineError> {
    let clock = Arc::new(ManualClock::new(START_MS));
    let options = EngineOptions { selection_cache_bytes, ..EngineOptions::new("/data") };
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let (engine, _) = Engine::open(disk, clock.clone(), options, &mytsdb_telemetry::Registry::new())?;
    append(&engine, START_MS, (0..series).filter(|i| i % 1_000 != 999))?;
    Ok((engine, clock))
}

fn append(engine: &Engine, at_ms: i64, series: impl Iterator<Item = usize>) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    for i in series {
        batch.push(engine.resolve(&labels(i))?, at_ms, 1.0);
    }
    engine.append(batch)?;
    Ok(())
}

fn main() -> Result<(), EngineError> {
    let series: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    println!("{series} series in the head: longest gap, looks, all of it, giving back the answer");
    // Nothing is remembered, so every lookup does all of its work.
    let (engine, clock) = open(series, 0)?;
    let at_start = TimeRange::new(START_MS, START_MS);
    report(&engine, at_start, &questions())?;

    println!("in a block and in the head without samples:");
    clock.set(START_MS + DAY_MS);
    engine.flush_before(START_MS + 1)?;
    report(&engine, at_start, &questions())?;

    println!("in {BLOCKS} blocks, each with three quarters of them, and in the head:");
    for block in 1..BLOCKS {
        let at_ms = START_MS + block;
        append(&engine, at_ms, (0..series).filter(|i| *i as i64 % BLOCKS != block))?;
        engine.flush_before(at_ms + 1)?;
    }
    append(&engine, START_MS + BLOCKS, (0..series).filter(|i| i % 5 == 0))?;
    report(&engine, TimeRange::new(START_MS, START_MS + BLOCKS), &questions()[..2])?;
    drop(engine);

    println!("in the head, with a cache:");
    let (engine, clock) = open(series, 1 << 30)?;
    report_remembered(&engine, at_start, "head")?;
    println!("in a block and in the head, with a cache:");
    clock.set(START_MS + DAY_MS);
    engine.flush_before(START_MS + 1)?;
    append(&engine, START_MS + DAY_MS, (0..series).filter(|i| i % 5 == 0))?;
    report_remembered(&engine, TimeRange::new(START_MS, START_MS + DAY_MS), "block")
}
