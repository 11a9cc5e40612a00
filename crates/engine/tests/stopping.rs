//! How soon long lookups notice that nobody waits for the answer: counted, not timed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../stop/tests/stop_looks/mod.rs"]
mod stop_looks;

use mytsdb_engine::{Batch, Engine, EngineError, EngineOptions, Lookup, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_stop::{Looks, StopSign};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SERIES: usize = 100_000;
const START_MS: i64 = 1_700_000_000_000;
const AT: TimeRange = TimeRange { mint: START_MS, maxt: START_MS };

fn engine(selection_cache_bytes: usize) -> (Engine, Arc<ManualClock>) {
    let options = EngineOptions { selection_cache_bytes, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(START_MS));
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, _) = Engine::open(Arc::new(SimDisk::new()), clock.clone(), options, &registry).unwrap();
    append(&engine, START_MS, |_| true);
    (engine, clock)
}

fn append(engine: &Engine, at_ms: i64, chosen: impl Fn(usize) -> bool) {
    let mut batch = Batch::default();
    for i in (0..SERIES).filter(|&i| chosen(i)) {
        let pod = format!("pod-{:08x}", i.wrapping_mul(0x9E37_79B1) as u32);
        let labels = Labels::from_pairs([("__name__", "m"), ("half", ["a", "b"][i % 2]), ("pod", &pod)]);
        batch.push(engine.resolve(&labels).unwrap(), at_ms, 1.0);
    }
    engine.append(batch).unwrap();
}

fn check(what: &str, looks_min: usize, ask: impl Fn(StopSign<'_>) -> Result<usize, EngineError>) {
    stop_looks::check(what, looks_min, ask, |error| matches!(error, EngineError::Canceled));
}

fn lookup<'a>(range: TimeRange, matchers: &'a [Matcher], stop: StopSign<'a>) -> Lookup<'a> {
    Lookup { stop, ..Lookup::new(range, matchers) }
}

fn check_all(engine: &Engine, what: &str, range: TimeRange) {
    let regex = [Matcher::new(MatchOp::Regex, "pod", ".*7.*").unwrap()];
    let half = [Matcher::equal("__name__", "m"), Matcher::equal("half", "a")];
    let none: [Matcher; 0] = [];
    // At least a look for every 4,096 series, or values, that are found; more where one of them costs more.
    let looks_min = SERIES / Looks::STEPS;
    check(&format!("{what}, all"), looks_min, |stop| {
        Ok(engine.candidates(&Lookup { any_order: true, ..lookup(range, &none, stop) })?.len())
    });
    // Half of them: fetched, numbered, compared ten times, looked at for samples.
    check(&format!("{what}, in order"), 6 * looks_min, |stop| Ok(engine.stored(&lookup(range, &half, stop))?.len()));
    // Found, and put into a list for the caller.
    check(&format!("{what}, values"), 2 * looks_min, |stop| {
        Ok(engine.label_values("pod", &lookup(range, &none, stop))?.len())
    });
    check(&format!("{what}, values by regex"), 2 * looks_min, |stop| {
        Ok(engine.label_values("pod", &lookup(range, &regex, stop))?.len())
    });
    check(&format!("{what}, names by regex"), looks_min, |stop| {
        Ok(engine.label_names(&lookup(range, &regex, stop))?.len())
    });
}

#[test]
fn lookups_in_head_and_blocks_stop_soon_wherever_they_are() {
    let (engine, clock) = engine(0);
    check_all(&engine, "head", AT);
    clock.set(START_MS + 86_400_000);
    assert_eq!(engine.flush_before(START_MS + 1).unwrap().0, SERIES as u64);
    // The head still has all series, which are looked through for samples in the range.
    check_all(&engine, "block", AT);
    append(&engine, START_MS + 1, |i| i % 3 > 0);
    engine.flush_before(START_MS + 2).unwrap();
    append(&engine, START_MS + 2, |i| i % 3 > 1);
    check_all(&engine, "blocks that overlap, and head", TimeRange::new(START_MS, START_MS + 2));
}

#[test]
fn what_is_remembered_is_brought_up_to_date_with_looks_in_between() {
    // Once the new series are some of those asked for, once they are not.
    for (name, copied) in [("m", true), ("other", false)] {
        let (engine, _) = engine(1 << 30);
        let (metric, none) = ([Matcher::equal("__name__", "m")], []);
        let looks_min = |new: usize| (new + if copied { SERIES } else { 0 }) / Looks::STEPS;
        let any_order = Lookup { any_order: true, ..Lookup::new(AT, &metric) };
        let new = 20_000;
        // What is asked after a stop finds the same: nothing is remembered of a lookup that was stopped.
        let add = |run: &str| {
            for i in 0..new {
                let labels = Labels::from_pairs([("__name__", name), ("pod", &format!("{run}-{i}"))]);
                engine.resolve(&labels).unwrap();
            }
        };
        assert_eq!(engine.candidates(&any_order).unwrap().len(), SERIES);
        engine.label_values("pod", &Lookup::new(AT, &none)).unwrap();
        add("a");
        check_once("series", looks_min(new), |stop| Ok(engine.candidates(&Lookup { stop, ..any_order })?.len()));
        check_once("values", (SERIES + new) / Looks::STEPS, |stop| {
            Ok(engine.label_values("pod", &Lookup { stop, ..Lookup::new(AT, &none) })?.len())
        });
    }
}

/// Stops at the first looks, one after the other, until the answer comes.
fn check_once(what: &str, looks_min: usize, ask: impl Fn(StopSign<'_>) -> Result<usize, EngineError>) {
    let looked = AtomicUsize::new(0);
    let stop_at = |looks: usize| {
        looked.store(0, Ordering::Relaxed);
        ask(StopSign::new(&|| looked.fetch_add(1, Ordering::Relaxed) + 1 < looks))
    };
    for looks in [1, 2, 3, looks_min] {
        assert!(matches!(stop_at(looks), Err(EngineError::Canceled)), "{what}: went on at look {looks}");
        assert_eq!(looked.load(Ordering::Relaxed), looks, "{what}: looked again after it was stopped");
    }
    stop_at(usize::MAX).unwrap();
    assert!(looked.into_inner() >= looks_min, "{what}");
}
