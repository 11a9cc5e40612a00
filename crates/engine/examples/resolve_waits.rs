//! How long a new series waits for its reference while lookups run in other threads, in µs.
//!
//! `cargo run --profile ci -p mytsdb-engine --example resolve_waits [-- values [seconds]]`. A label with 400,000 values by
//! default, one for each series; lookups one after the other, nothing remembered but where it says so.

use mytsdb_engine::{Engine, EngineError, EngineOptions, Lookup, ManualClock};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NOW_MS: i64 = 1_700_000_000_000;

/// Between two new series, so that most of them come while a lookup runs, and few grow the tables.
const PAUSE: Duration = Duration::from_micros(200);

fn open(values: usize, selection_cache_bytes: usize) -> Result<Engine, EngineError> {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let options = EngineOptions { selection_cache_bytes, ..EngineOptions::new("/data") };
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let (engine, _) = Engine::open(disk, clock, options, &mytsdb_telemetry::Registry::new())?;
    for i in 0..values {
        let pod = format!("pod-{:08x}", i.wrapping_mul(0x9E37_79B1) as u32);
        engine.resolve(&Labels::from_pairs([("__name__", "m"), ("half", ["a", "b"][i % 2]), ("pod", &pod)]))?;
    }
    engine.commit_pending();
    Ok(engine)
}

/// Resolves new series for a while beside a thread that looks up, and prints how long they took.
fn report(
    what: &str,
    engine: &Engine,
    time: Duration,
    look_up: impl Fn(&Engine) -> Result<usize, EngineError> + Sync,
) -> Result<(), EngineError> {
    let (done, lookups) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut waits = Vec::new();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| -> Result<(), EngineError> {
            // Relaxed, as below: the flag and the count order no other memory.
            while !done.load(Ordering::Relaxed) {
                look_up(engine)?;
                lookups.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let start = Instant::now();
        while start.elapsed() < time {
            let new = format!("{what}, {}", waits.len());
            let labels = Labels::from_pairs([("__name__", "new"), ("new", &new)]);
            let asked = Instant::now();
            engine.resolve(&labels)?;
            waits.push(asked.elapsed());
            std::thread::sleep(PAUSE);
        }
        done.store(true, Ordering::Relaxed);
        asking.join().expect("lookups do not panic")
    })?;
    waits.sort_unstable();
    let us = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    let lookups = lookups.into_inner();
    println!(
        "{what:32} {:9.1} {:9.1} {:9.1} {:9.1}   {:6} resolved, {lookups} lookups, {:.1} ms each",
        us(0.5),
        us(0.99),
        us(0.999),
        us(1.0),
        waits.len(),
        time.as_secs_f64() * 1e3 / lookups.max(1) as f64
    );
    engine.commit_pending();
    Ok(())
}

fn main() -> Result<(), EngineError> {
    let mut numbers = std::env::args().skip(1).map_while(|n| n.parse().ok());
    let values = numbers.next().unwrap_or(400_000);
    let time = Duration::from_secs(numbers.next().unwrap_or(3) as u64);
    let engine = open(values, 0)?;
    println!("{values} values; a new series waits: median, 99 %, 99.9 %, longest, in µs");
    let range = TimeRange::new(NOW_MS, NOW_MS);
    let regex = |pattern| [Matcher::new(MatchOp::Regex, "pod", pattern).expect("a valid pattern")];
    let (some, none) = (regex(".*-.*7[0-4]+.*"), regex("[a-z]+-.*x"));
    let select = |matchers: &[Matcher], engine: &Engine| {
        Ok(engine.candidates(&Lookup { any_order: true, ..Lookup::new(range, matchers) })?.len())
    };
    report("nothing", &engine, time, |_| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(0)
    })?;
    report("select, regex, some match", &engine, time, |engine| select(&some, engine))?;
    report("select, regex, none match", &engine, time, |engine| select(&none, engine))?;
    report("select, all", &engine, time, |engine| select(&[], engine))?;
    report("values of all", &engine, time, |engine| Ok(engine.label_values("pod", &Lookup::new(range, &[]))?.len()))?;
    report("values by regex", &engine, time, |engine| {
        Ok(engine.label_values("pod", &Lookup::new(range, &some))?.len())
    })?;
    let engine = open(values, 1 << 30)?;
    report("select, all, remembered", &engine, time, |engine| select(&[], engine))?;
    report("values of all, remembered", &engine, time, |engine| {
        Ok(engine.label_values("pod", &Lookup::new(range, &[]))?.len())
    })
}
