//! A source that is no part of the engine: it is merged, pruned, remembered and missed as the head and blocks are.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_columns::{Columns, Mark};
use mytsdb_engine::{
    Ask, Asked, Batch, Engine, EngineError, EngineOptions, Found, Known, Lookup, ManualClock, Moment, Source, SourceId,
    SourceSeries,
};
use mytsdb_index::TextList;
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

type Samples = BTreeMap<Labels, Vec<(i64, f64)>>;

/// A store far away.
#[derive(Default)]
struct Far {
    number: u64,
    samples: Mutex<Samples>,
    version: AtomicU64,
    is_away: AtomicBool,
    /// What was asked, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Far {
    fn note(&self, what: &str) {
        self.asked.lock().unwrap().push(format!("{what} {}", self.number));
    }

    fn reach(&self) -> Result<std::sync::MutexGuard<'_, Samples>, EngineError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(EngineError::Unavailable { what: format!("store {}", self.number), reason: "it hides".into() });
        }
        Ok(self.samples.lock().unwrap())
    }

    fn matching(&self, matchers: &[Matcher]) -> Result<Vec<Labels>, EngineError> {
        let samples = self.reach()?;
        Ok(samples.keys().filter(|labels| matchers.iter().all(|m| m.matches_labels(labels))).cloned().collect())
    }
}

struct FarSeries(Arc<Far>, Vec<Labels>);

impl Source for Far {
    fn id(&self) -> SourceId {
        SourceId::Outside(self.number)
    }

    fn range(&self) -> TimeRange {
        let samples = self.samples.lock().unwrap();
        samples.values().flatten().fold(TimeRange::EMPTY, |range, (time, _)| range.cover(TimeRange::new(*time, *time)))
    }

    fn version(&self) -> Option<u64> {
        Some(self.version.load(Ordering::SeqCst))
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn prepare(&self, _: &Lookup<'_>) {
        self.note("prepare");
    }

    fn select(self: Arc<Self>, ask: &Ask<'_>) -> Result<Found, EngineError> {
        self.note("select");
        let version = self.version.load(Ordering::SeqCst);
        let known = ask.known.and_then(|known| known.what.clone().downcast::<(u64, Vec<Labels>)>().ok());
        let (list, same_series) = match known {
            Some(known) if known.0 == version => (known, true),
            _ => (Arc::new((version, self.matching(ask.lookup.matchers)?)), false),
        };
        let series = Arc::new(FarSeries(self.clone(), list.1.clone()));
        Ok(Found { series, known: Known { what: list, bytes: 100 }, same_series })
    }

    fn find(self: Arc<Self>, labels: &Labels) -> Result<Option<Arc<dyn SourceSeries>>, EngineError> {
        let has = self.reach()?.contains_key(labels);
        Ok(has.then(|| Arc::new(FarSeries(self, vec![labels.clone()])) as Arc<dyn SourceSeries>))
    }

    fn texts(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        _: Option<&Known>,
    ) -> Result<(TextList, Option<Moment>), EngineError> {
        self.note("texts");
        let series = self.matching(lookup.matchers)?;
        let mut texts = BTreeSet::new();
        for labels in &series {
            match asked {
                Asked::Names => texts.extend(labels.iter().map(|(name, _)| name)),
                Asked::Values(name) => texts.extend(labels.get(name)),
            }
        }
        let mut list = TextList::default();
        for text in texts {
            list.push(text);
        }
        Ok((list, None))
    }

    fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        Ok(self.samples.lock().unwrap().keys().any(|labels| labels.get(name).is_some()))
    }
}

impl SourceSeries for FarSeries {
    fn len(&self) -> usize {
        self.1.len()
    }

    fn labels(&self, place: u32, _: [u32; 2]) -> &Labels {
        &self.1[place as usize]
    }

    fn has(&self, place: u32, range: TimeRange) -> Result<bool, EngineError> {
        Ok(self.0.reach()?[self.labels(place, [0; 2])].iter().any(|(time, _)| range.contains(*time)))
    }

    fn read(&self, place: u32, _: u32, range: TimeRange, out: &mut Columns, from: Mark) -> Result<bool, EngineError> {
        let at = out.mark();
        let labels = self.labels(place, [0; 2]);
        // Half of it is there when it turns out that the rest is not.
        out.push_float(range.mint, 13.0);
        let samples = self.0.reach()?;
        out.truncate(at);
        samples[labels].iter().for_each(|&(time, value)| out.push_float(time, value));
        Ok(out.continues_at(at, from))
    }
}

fn labels(series: &str) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", series)])
}

fn far(number: u64, samples: &[(&str, &[(i64, f64)])]) -> Arc<Far> {
    let samples = samples.iter().map(|(series, samples)| (labels(series), samples.to_vec())).collect();
    Arc::new(Far { number, samples: Mutex::new(samples), ..Far::default() })
}

fn open() -> Engine {
    let clock = Arc::new(ManualClock::new(100_000));
    let options = EngineOptions { block_ms: 1_000, retention_ms: 1_000_000, ..EngineOptions::new("/data") };
    let engine = Engine::open(Arc::new(SimDisk::new()), clock, options, &Registry::new()).unwrap().0;
    for (series, from) in [("a", 0), ("b", 5_000)] {
        let reference = engine.resolve(&labels(series)).unwrap();
        let mut batch = Batch::default();
        (0..10).for_each(|i| batch.push(reference, 10_000 + from + i * 100, i as f64));
        engine.append(batch).unwrap();
    }
    engine.flush_before(10_500).unwrap();
    engine
}

fn read(engine: &Engine, range: TimeRange) -> BTreeMap<String, Vec<(i64, f64)>> {
    let found = engine.candidates(&Lookup::new(range, &[Matcher::metric("m")])).unwrap();
    let series = (0..found.len()).map(|index| {
        let mut columns = Columns::default();
        found.read(index, range, &mut columns).unwrap();
        let samples: Vec<_> = columns.timestamps_ms.into_iter().zip(columns.values).collect();
        (found.labels(index).get("series").unwrap().to_owned(), samples)
    });
    let all: Vec<_> = series.filter(|(_, samples)| !samples.is_empty()).collect();
    assert!(all.is_sorted_by(|a, b| a.0 < b.0), "each label set once, in order");
    all.into_iter().collect()
}

fn values(engine: &Engine) -> Vec<String> {
    engine.label_values("series", &Lookup::new(TimeRange::ALL, &[])).unwrap()
}

#[test]
fn what_a_source_has_is_merged_and_of_one_time_the_lower_id_stays() {
    let engine = open();
    let before = read(&engine, TimeRange::ALL);
    let sources = [
        far(2, &[("a", &[(9_000, 2.0), (9_500, 2.0), (10_100, 2.0)]), ("z", &[(1, 2.0)])]),
        far(1, &[("a", &[(9_000, 1.0), (10_600, 1.0)]), ("0", &[(7, 1.0)])]),
    ];
    for source in &sources {
        engine.serve(source.clone());
    }
    let all = read(&engine, TimeRange::ALL);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["0", "a", "b", "z"]);
    let mut expected = before["a"].clone();
    (expected[1].1, expected[6].1) = (2.0, 1.0);
    expected.splice(0..0, [(9_000, 1.0), (9_500, 2.0)]);
    assert_eq!(all["a"], expected, "in block and head the outside value");
    assert_eq!((&all["b"], &all["z"]), (&before["b"], &vec![(1, 2.0)]));
    assert_eq!(read(&engine, TimeRange::new(0, 9_000)).len(), 3);
    assert_eq!(engine.select(TimeRange::new(9_400, 9_600), &[]).unwrap().len(), 1, "where samples are in the range");
    assert!(engine.has_label_name("series").unwrap() && !engine.has_label_name("none").unwrap());
    // What another one has taken over leaves.
    engine.withdraw(SourceId::Outside(2));
    engine.serve(far(1, &[("y", &[(3, 3.0)])]));
    assert_eq!(read(&engine, TimeRange::ALL).keys().collect::<Vec<_>>(), ["a", "b", "y"]);
    assert_eq!((read(&engine, TimeRange::ALL)["a"].clone(), values(&engine).len()), (before["a"].clone(), 3));
}

#[test]
fn sources_out_of_the_range_are_not_asked_and_all_others_prepare_before_one_is_waited_for() {
    let engine = open();
    let asked = Arc::new(Mutex::new(Vec::new()));
    for (number, time) in [(1, 100), (2, 200), (3, 300)] {
        let samples = Mutex::new(Samples::from([(labels("a"), vec![(time, 1.0)])]));
        engine.serve(Arc::new(Far { number, samples, asked: asked.clone(), ..Far::default() }));
    }
    engine.candidates(&Lookup::new(TimeRange::new(150, 400), &[])).unwrap();
    assert_eq!(*asked.lock().unwrap(), ["prepare 2", "prepare 3", "select 2", "select 3"]);
    asked.lock().unwrap().clear();
    engine.label_names(&Lookup::new(TimeRange::new(0, 200), &[])).unwrap();
    assert_eq!(*asked.lock().unwrap(), ["prepare 1", "prepare 2", "texts 1", "texts 2"]);
    asked.lock().unwrap().clear();
    read(&engine, TimeRange::new(10_000, 20_000));
    assert_eq!(*asked.lock().unwrap(), [""; 0]);
}

#[test]
fn what_is_remembered_of_a_source_is_true_for_its_version_alone() {
    let engine = open();
    let source = far(1, &[("x", &[(1, 1.0)])]);
    engine.serve(source.clone());
    let asks = |what: &str| {
        let mut asked = source.asked.lock().unwrap();
        let count = asked.iter().filter(|asked| asked.starts_with(what)).count();
        asked.clear();
        count
    };
    for _ in 0..3 {
        assert_eq!((values(&engine).len(), read(&engine, TimeRange::ALL).len()), (3, 3));
    }
    assert_eq!(asks("texts"), 1, "of one version");
    source.samples.lock().unwrap().insert(labels("y"), vec![(2, 2.0)]);
    source.version.fetch_add(1, Ordering::SeqCst);
    assert_eq!((values(&engine).len(), read(&engine, TimeRange::ALL).len()), (4, 4));
    assert_eq!(asks("texts"), 1, "of the next");
}

#[test]
fn a_source_that_cannot_be_asked_is_left_out_with_a_warning_over_its_times() {
    let engine = open();
    let before = read(&engine, TimeRange::ALL);
    let source = far(7, &[("a", &[(100, 1.0), (200, 1.0)]), ("x", &[(150, 1.0)])]);
    engine.serve(source.clone());
    let whole = read(&engine, TimeRange::ALL);
    assert_eq!((whole.len(), engine.warnings(TimeRange::ALL)), (3, vec![]));
    // It leaves while a selection is read.
    let found = engine.candidates(&Lookup::new(TimeRange::ALL, &[])).unwrap();
    source.is_away.store(true, Ordering::SeqCst);
    let mut columns = Columns::default();
    found.read(0, TimeRange::ALL, &mut columns).unwrap();
    let left: Vec<_> = columns.timestamps_ms.into_iter().zip(columns.values).collect();
    assert_eq!(left, before["a"], "nothing of what was read in part");
    let warning = ["samples may be missing: store 7 cannot be read: it hides"];
    assert_eq!(engine.warnings(TimeRange::new(0, 100)), warning);
    assert_eq!(engine.warnings(TimeRange::new(201, 20_000)), [""; 0], "not where it has nothing");
    // It is away from the beginning, and what it said before is not forgotten.
    source.version.fetch_add(1, Ordering::SeqCst);
    assert_eq!(read(&engine, TimeRange::ALL), before);
    assert_eq!(values(&engine), ["a", "b"]);
    assert_eq!(engine.warnings(TimeRange::ALL), warning);
    source.is_away.store(false, Ordering::SeqCst);
    assert_eq!(
        (read(&engine, TimeRange::ALL), values(&engine).len()),
        (whole, 3),
        "what was left out is not remembered"
    );
}

#[test]
fn blocks_are_handed_out_in_one_step_and_a_query_that_began_before_their_flush_finds_their_samples() {
    let engine = open();
    let before = read(&engine, TimeRange::ALL);
    // Its head has what is in no block yet.
    let found = engine.candidates(&Lookup::new(TimeRange::ALL, &[])).unwrap();
    engine.flush_before(50_000).unwrap();
    engine.delete_series(&[vec![Matcher::equal("series", "b")]], TimeRange::ALL).unwrap();
    let taken = engine.take_out(|blocks| blocks.iter().map(|block| block.id).collect());
    let mut samples: Vec<(String, Vec<(i64, f64)>)> = Vec::new();
    for series in taken.series(&[], StopSign::NEVER).unwrap() {
        let mut columns = Columns::default();
        taken.read(&series, TimeRange::ALL, &mut columns).unwrap();
        let read = columns.timestamps_ms.into_iter().zip(columns.values).collect();
        samples.push((series.labels.get("series").unwrap().to_owned(), read));
    }
    assert_eq!(
        samples,
        [("a".to_owned(), before["a"].clone()), ("b".to_owned(), vec![])],
        "what is deleted is left out"
    );
    engine.hand_out(&taken.ids(), &[], vec![far(taken.numbers().start, &[("a", &before["a"])])]);
    engine.remove_handed_out(&taken.ids()).unwrap();
    assert_eq!(engine.stored_blocks(), []);
    assert_eq!(read(&engine, TimeRange::ALL), BTreeMap::from([("a".to_owned(), before["a"].clone())]));
    let mut columns = Columns::default();
    found.read(0, TimeRange::ALL, &mut columns).unwrap();
    let late: Vec<_> = columns.timestamps_ms.into_iter().zip(columns.values).collect();
    assert_eq!(late, before["a"], "by the query that began before");
    // The next block is younger than what was handed out.
    let reference = engine.resolve(&labels("a")).unwrap();
    let mut batch = Batch::default();
    batch.push(reference, 60_000, 1.0);
    engine.append(batch).unwrap();
    engine.flush_before(70_000).unwrap();
    assert!(engine.stored_blocks()[0].id >= taken.numbers().end);
}

#[test]
fn times_that_a_source_outside_reaches_into_count_as_changed() {
    let engine = open();
    let stamp = engine.stamp();
    let changed = |stamp, mint, maxt| engine.changed_since(stamp, "m", TimeRange::new(mint, maxt));
    assert_eq!(changed(stamp, 0, 100), i64::MAX);
    engine.serve(far(1, &[("a", &[(10, 1.0), (20, 2.0)])]));
    assert_eq!([changed(stamp, 15, 30), changed(engine.stamp(), 15, 30)], [i64::MIN; 2]);
    assert_eq!(changed(stamp, 21, 30), i64::MAX);
    let stamp = engine.stamp();
    engine.withdraw(SourceId::Outside(1));
    assert_eq!([changed(stamp, 15, 30), changed(stamp, 21, 30)], [10, i64::MAX]);
    assert_eq!(changed(engine.stamp(), 0, 100), i64::MAX);
}
