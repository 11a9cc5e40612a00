//! How long the engine goes on between two looks at the stop sign: the longest gap of each lookup, in ms.
//!
//! `cargo run --release -p mytsdb-engine --example looks [-- series]`. A million series of one metric by default, first
//! in the head and then in a block.

use mytsdb_engine::{Batch, Engine, EngineError, EngineOptions, Lookup, ManualClock};
use mytsdb_model::{Labels, MatchOp, Matcher, StopSign, TimeRange};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RUNS: usize = 3;
const START_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// The longest gap, the looks and the whole time of a lookup.
///
/// A lookup does the same between the same two looks each time, so of each gap the shortest of a few runs counts: what
/// the machine did meanwhile is left out. So is giving back the memory of the answer.
fn measure<T>(mut ask: impl FnMut(StopSign<'_>) -> Result<T, EngineError>) -> Result<String, EngineError> {
    let mut shortest: Vec<Duration> = Vec::new();
    let mut took = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        let looks = Mutex::new(Vec::new());
        let keep_going = || looks.lock().map(|mut looks| looks.push(start.elapsed())).is_ok();
        let answer = ask(StopSign::new(&keep_going))?;
        keep_going();
        drop(answer);
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
    let longest = shortest.iter().max().expect("at least one gap");
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(format!("{:8.2} ms  {:6} looks  {:8.1} ms", ms(*longest), shortest.len(), ms(took)))
}

fn report(engine: &Engine, at_ms: i64) -> Result<(), EngineError> {
    let of = |op, name: &str, value: &str| Matcher::new(op, name, value).expect("a valid pattern");
    let questions = [
        ("all", vec![]),
        ("regex, many match", vec![of(MatchOp::Regex, "pod", ".*7.*")]),
        ("regex, none match", vec![of(MatchOp::Regex, "pod", "other-.*x")]),
        ("metric and regex", vec![Matcher::equal("__name__", "m"), of(MatchOp::Regex, "pod", "[a-z]+-.*7[0-4]+")]),
        ("two lists", vec![Matcher::equal("half", "a"), Matcher::equal("__name__", "m")]),
        ("not", vec![of(MatchOp::NotEqual, "half", "a"), of(MatchOp::NotRegex, "zone", "z[01]")]),
    ];
    for (what, matchers) in &questions {
        let all = Lookup::new(TimeRange::new(at_ms, at_ms), matchers);
        let select = measure(|stop| engine.candidates(&Lookup { stop, any_order: true, ..all }))?;
        println!("select, {what:20}  {select}");
        let sorted = measure(|stop| engine.stored(&Lookup { stop, ..all }))?;
        println!("sorted, {what:20}  {sorted}");
        let names = measure(|stop| engine.label_names(&Lookup { stop, ..all }))?;
        println!("names,  {what:20}  {names}");
        let values = measure(|stop| engine.label_values("pod", &Lookup { stop, ..all }))?;
        println!("values, {what:20}  {values}");
    }
    Ok(())
}

fn main() -> Result<(), EngineError> {
    let series = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let clock = Arc::new(ManualClock::new(START_MS));
    // Nothing is remembered, so every lookup does all of its work.
    let options = EngineOptions { selection_cache_bytes: 0, ..EngineOptions::new("/data") };
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let (engine, _) = Engine::open(disk, clock.clone(), options, &mytsdb_telemetry::Registry::new())?;
    let mut batch = Batch::with_capacity(series);
    for i in 0..series {
        let pod = format!("pod-{:08x}", i.wrapping_mul(0x9E37_79B1) as u32);
        let (half, zone) = (["a", "b"][i % 2], ["z0", "z1", "z2"][i % 3]);
        let labels = Labels::from_pairs([("__name__", "m"), ("half", half), ("pod", &pod), ("zone", zone)]);
        batch.push(engine.resolve(&labels)?, START_MS, 1.0);
    }
    engine.append(batch)?;
    println!("{series} series in the head: longest gap, looks, all of it");
    report(&engine, START_MS)?;
    clock.set(START_MS + DAY_MS);
    engine.flush_before(START_MS + 1)?;
    println!("in a block and in the head without samples:");
    report(&engine, START_MS)
}
