//! How soon long lookups notice that nobody waits for the answer: counted, not timed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use mytsdb_engine::{Batch, Engine, EngineError, EngineOptions, Lookup, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, MatchOp, Matcher, StopSign, TimeRange};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SERIES: usize = 100_000;
const START_MS: i64 = 1_700_000_000_000;
const AT: TimeRange = TimeRange { mint: START_MS, maxt: START_MS };

fn engine() -> (Engine, Arc<ManualClock>) {
    // Nothing is remembered, so every lookup does all of its work.
    let options = EngineOptions { selection_cache_bytes: 0, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(START_MS));
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, _) = Engine::open(Arc::new(SimDisk::new()), clock.clone(), options, &registry).unwrap();
    let mut batch = Batch::default();
    for i in 0..SERIES {
        let pod = format!("pod-{:08x}", i.wrapping_mul(0x9E37_79B1) as u32);
        let labels = Labels::from_pairs([("__name__", "m"), ("half", ["a", "b"][i % 2]), ("pod", &pod)]);
        batch.push(engine.resolve(&labels).unwrap(), START_MS, 1.0);
    }
    engine.append(batch).unwrap();
    (engine, clock)
}

/// Asks once to count the looks, then stops at some of them, which must be the last.
#[track_caller]
fn check(what: &str, looks_min: usize, ask: impl Fn(StopSign<'_>) -> Result<usize, EngineError>) {
    let count = |stop_at: usize| {
        let looked = AtomicUsize::new(0);
        let keep_going = || looked.fetch_add(1, Ordering::Relaxed) + 1 < stop_at;
        let answer = ask(StopSign::new(&keep_going));
        (looked.into_inner(), answer)
    };
    let (looks, answer) = count(usize::MAX);
    answer.unwrap();
    assert!(looks >= looks_min, "{what}: {looks} looks");
    for stop_at in [1, looks / 2] {
        let (looked, answer) = count(stop_at);
        assert!(matches!(answer, Err(EngineError::Canceled)), "{what}: went on at look {stop_at} of {looks}");
        assert_eq!(looked, stop_at, "{what}: looked again after it was stopped");
    }
}

fn lookup<'a>(matchers: &'a [Matcher], stop: StopSign<'a>) -> Lookup<'a> {
    Lookup { stop, ..Lookup::new(AT, matchers) }
}

fn check_all(engine: &Engine, what: &str) {
    let regex = [Matcher::new(MatchOp::Regex, "pod", ".*7.*").unwrap()];
    let half = [Matcher::equal("__name__", "m"), Matcher::equal("half", "a")];
    let none: [Matcher; 0] = [];
    // At least a look for every 4,096 series, or values, that are found; more where one of them costs more.
    let looks_min = SERIES / 4_096;
    check(&format!("{what}, all"), looks_min, |stop| {
        Ok(engine.candidates(&Lookup { any_order: true, ..lookup(&none, stop) })?.len())
    });
    check(&format!("{what}, in order"), looks_min, |stop| Ok(engine.stored(&lookup(&half, stop))?.len()));
    check(&format!("{what}, values"), looks_min, |stop| Ok(engine.label_values("pod", &lookup(&none, stop))?.len()));
    check(&format!("{what}, values by regex"), looks_min, |stop| {
        Ok(engine.label_values("pod", &lookup(&regex, stop))?.len())
    });
    check(&format!("{what}, names by regex"), looks_min, |stop| Ok(engine.label_names(&lookup(&regex, stop))?.len()));
}

#[test]
fn lookups_in_head_and_block_stop_soon_wherever_they_are() {
    let (engine, clock) = engine();
    check_all(&engine, "head");
    clock.set(START_MS + 86_400_000);
    assert_eq!(engine.flush_before(START_MS + 1).unwrap().0, SERIES as u64);
    // The head still has all series, which are looked through for samples in the range.
    check_all(&engine, "block");
}
