//! Lookups against a model, while series come, go and move to blocks; with the selection cache and without.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, Lookup, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_testkit::{Random, seed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_700_000_000_000 / (2 * HOUR_MS) * (2 * HOUR_MS);

fn open(cache_bytes: usize) -> (Engine, Arc<ManualClock>) {
    let options = EngineOptions { selection_cache_bytes: cache_bytes, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(START_MS));
    let registry = mytsdb_telemetry::Registry::new();
    (Engine::open(Arc::new(SimDisk::new()), clock.clone(), options, &registry).unwrap().0, clock)
}

fn labels(series: u64) -> Labels {
    let name = ["a", "b"][(series % 2) as usize];
    Labels::from_pairs([("__name__", name), ("host", &format!("h{}", series % 7)), ("n", &series.to_string())])
}

fn matchers(random: &mut Random) -> Vec<Matcher> {
    let all = [
        Matcher::equal("__name__", "a"),
        Matcher::equal("host", "h3"),
        Matcher::new(MatchOp::Regex, "host", "h[1-4]").unwrap(),
        Matcher::new(MatchOp::NotEqual, "__name__", "b").unwrap(),
        Matcher::new(MatchOp::NotRegex, "n", "1.*").unwrap(),
    ];
    all.into_iter().filter(|_| random.below(3) == 0).collect()
}

type Model = BTreeMap<Labels, BTreeMap<i64, f64>>;

/// What a selection holds, in its order, read in full; series without samples in the range left out.
fn contents(engine: &Engine, lookup: &Lookup<'_>) -> Vec<(Labels, Vec<(i64, u64)>)> {
    let found = engine.candidates(lookup).unwrap();
    let read = (0..found.len()).map(|i| {
        let mut columns = Columns::default();
        found.read(i, lookup.range, &mut columns).unwrap();
        let Columns { timestamps_ms: timestamps, values, .. } = columns;
        (found.labels(i).clone(), timestamps.into_iter().zip(values.into_iter().map(f64::to_bits)).collect::<Vec<_>>())
    });
    read.filter(|(_, samples)| !samples.is_empty()).collect()
}

/// What is remembered about a selection is true for the next one like it. Returns how much was.
fn check_findings(engine: &Engine, lookup: &Lookup<'_>) -> u64 {
    let found = engine.candidates(lookup).unwrap();
    let labels: Vec<Labels> = (0..found.len()).map(|i| found.labels(i).clone()).collect();
    let known = found.recall(b"labels").map(|known| known.downcast::<Vec<Labels>>().unwrap());
    if let Some(known) = &known {
        assert_eq!(**known, labels, "{:?}", lookup.matchers);
    } else {
        found.remember(b"labels", Arc::new(labels), 4);
    }
    found.remember(b"too much", Arc::new(()), 1 << 40);
    assert!(found.recall(b"too much").is_none() && found.recall(b"other").is_none());
    u64::from(known.is_some())
}

/// Returns the names and values of labels that were found.
fn check(engine: &Engine, model: &Model, range: TimeRange, matchers: &[Matcher], what: &str) -> [Vec<String>; 2] {
    let expected: Vec<_> = model
        .iter()
        .filter(|(labels, _)| matchers.iter().all(|m| m.matches_labels(labels)))
        .map(|(l, samples)| {
            let inside = samples.range(range.mint..=range.maxt).map(|(&t, v)| (t, v.to_bits())).collect::<Vec<_>>();
            (l.clone(), inside)
        })
        .filter(|(_, samples)| !samples.is_empty())
        .collect();
    let lookup = Lookup::new(range, matchers);
    assert_eq!(contents(engine, &lookup), expected, "{what}: {matchers:?} in {range:?}");
    let mut any_order = contents(engine, &Lookup { any_order: true, ..lookup });
    any_order.sort();
    assert_eq!(any_order, expected, "{what}, in any order");
    let stored = engine.select(range, matchers).unwrap();
    let stored: Vec<Labels> = (0..stored.len()).map(|i| stored.labels(i).clone()).collect();
    assert!(stored.is_sorted_by(|a, b| a < b), "{what}");
    assert!(expected.iter().all(|(l, _)| stored.contains(l)), "{what}: {stored:?} lacks some of {expected:?}");
    // A gap within a chunk, or between a late sample and the others, is not looked into.
    let around = |l: &Labels| {
        let times = &model[l];
        let extent = times.first_key_value().zip(times.last_key_value());
        extent.is_some_and(|(first, last)| TimeRange::new(*first.0, *last.0).overlaps(range))
    };
    assert!(stored.iter().all(|l| around(l) && matchers.iter().all(|m| m.matches_labels(l))), "{what}: {stored:?}");
    // The values of a label may come from series of a block that has them at other times.
    let hosts: BTreeSet<&str> = expected.iter().filter_map(|(l, _)| l.get("host")).collect();
    let found = engine.label_values("host", &lookup).unwrap();
    assert!(found.is_sorted() && hosts.iter().all(|h| found.iter().any(|f| f == h)), "{what}: {found:?} for {hosts:?}");
    let possible = |v: &String| {
        let has = |l: &&Labels| l.get("host") == Some(v) && matchers.iter().all(|m| m.matches_labels(l));
        model.keys().any(|l| has(&l))
    };
    assert!(found.iter().all(possible), "{what}: {found:?}");
    let some = if matchers.is_empty() { 3 } else { usize::from(!expected.is_empty()) * 3 };
    let names = engine.label_names(&lookup).unwrap();
    assert!(names.len() >= some.min(expected.len() * 3), "{what}");
    // Asked again at once: what has been remembered is what was found.
    assert_eq!(engine.label_names(&lookup).unwrap(), names);
    assert_eq!(engine.label_values("host", &lookup).unwrap(), found);
    [names, engine.label_values("n", &lookup).unwrap()]
}

#[test]
fn what_is_found_is_what_was_stored_with_the_cache_and_without() {
    let seed = seed(7);
    let mut labels_found: Vec<Vec<[Vec<String>; 2]>> = Vec::new();
    for cache_bytes in [0, 4_000, 64 << 20] {
        let mut found = Vec::new();
        let (mut asked, mut recalled) = (0, 0);
        let mut random = Random::new(seed);
        let (engine, clock) = open(cache_bytes);
        let mut model = Model::new();
        for round in 0..120i64 {
            let now_ms = START_MS + round * HOUR_MS / 4;
            clock.set(now_ms);
            // Series of an age: old ones fall silent, so that they leave the head at a flush.
            let newest = 10 + round as u64;
            let mut batch = Batch::default();
            for series in newest.saturating_sub(12)..newest {
                let late_ms = if random.below(10) == 0 { random.below(5 * HOUR_MS as u64) as i64 } else { 0 };
                let (timestamp_ms, value) = (now_ms - late_ms, random.below(100) as f64);
                let stored = model.entry(labels(series)).or_default();
                if timestamp_ms >= START_MS && !stored.contains_key(&timestamp_ms) {
                    stored.insert(timestamp_ms, value);
                    batch.push(engine.resolve(&labels(series)).unwrap(), timestamp_ms, value);
                }
            }
            assert!(engine.append(batch).unwrap().refused.is_empty());
            engine.maintain().unwrap();
            for _ in 0..4 {
                let mint = START_MS + random.below((now_ms - START_MS) as u64 + 1) as i64;
                let range = TimeRange::new(mint, mint + random.below(4 * HOUR_MS as u64) as i64);
                let what = format!("round {round}, cache {cache_bytes}");
                let matchers = matchers(&mut random);
                found.push(check(&engine, &model, range, &matchers, &what));
                for any_order in [false, true, true] {
                    let lookup = Lookup { any_order, ..Lookup::new(range, &matchers) };
                    asked += 1;
                    recalled += check_findings(&engine, &lookup);
                }
            }
        }
        assert!(engine.head_series_count() < 60, "series have left the head");
        found.push(check(&engine, &model, TimeRange::ALL, &[], "at the end"));
        labels_found.push(found);
        println!("cache {cache_bytes}: {recalled} of {asked} findings recalled");
        assert!(if cache_bytes == 0 { recalled == 0 } else { recalled > 0 }, "cache {cache_bytes}: {recalled}");
    }
    let same = |pair: &[Vec<[Vec<String>; 2]>]| pair[0] == pair[1];
    assert!(labels_found.windows(2).all(same), "labels do not depend on the cache");
}

#[test]
fn a_lookup_stops_when_told() {
    let (engine, _) = open(0);
    let mut batch = Batch::default();
    for series in 0..100 {
        batch.push(engine.resolve(&labels(series)).unwrap(), START_MS, 1.0);
    }
    engine.append(batch).unwrap();
    let lookup = Lookup { stop: StopSign::new(&|| false), ..Lookup::new(TimeRange::ALL, &[]) };
    assert_eq!(engine.candidates(&lookup).err().unwrap().to_string(), "canceled");
    assert_eq!(engine.label_names(&lookup).err().unwrap().to_string(), "canceled");
    assert_eq!(engine.label_values("host", &lookup).err().unwrap().to_string(), "canceled");
}

#[test]
fn what_is_in_memory_and_what_new_series_waited_for_are_metrics() {
    let registry = mytsdb_telemetry::Registry::new();
    let clock = Arc::new(ManualClock::new(START_MS));
    let options = EngineOptions::new("/data");
    let (engine, _) = Engine::open(Arc::new(SimDisk::new()), clock, options, &registry).unwrap();
    let mut batch = Batch::default();
    for series in 0..3 {
        batch.push(engine.resolve(&labels(series)).unwrap(), START_MS, 1.0);
    }
    engine.append(batch).unwrap();
    let value = |name: &str, suffix: &str| {
        engine.maintain().unwrap();
        let families = registry.gather();
        let family = families.iter().find(|family| family.name == name).unwrap();
        family.samples.iter().find(|sample| sample.suffix == suffix).unwrap().value
    };
    assert_eq!(value("mytsdb_engine_catalog_wait_seconds", "_count"), 3.0);
    assert_eq!(value("mytsdb_engine_selection_cache_entries", ""), 0.0);
    assert_eq!(engine.select(TimeRange::ALL, &[Matcher::equal("host", "h1")]).unwrap().len(), 1);
    assert_eq!(value("mytsdb_engine_selection_cache_entries", ""), 1.0);
    assert!(value("mytsdb_engine_selection_cache_bytes", "") > 0.0);
    assert_eq!(engine.select(TimeRange::ALL, &[Matcher::equal("host", "h1")]).unwrap().len(), 1);
    // By result: a hit and a miss.
    let asked = "mytsdb_engine_selection_cache_requests_total";
    let families = registry.gather();
    let asked = &families.iter().find(|family| family.name == asked).unwrap().samples;
    let of = |result: &str| asked.iter().find(|s| s.labels.iter().any(|(_, value)| value == result)).unwrap().value;
    assert_eq!((of("hit"), of("miss")), (1.0, 1.0));
    assert_eq!(value("mytsdb_engine_head_bytes", ""), engine.head_chunk_bytes() as f64);
    assert!(engine.head_chunk_bytes() > 0);
}
