//! Points of several rows against a model: refused whole or stored whole, in one group or many, before and after a restart.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod kinds;

use mytsdb_engine::{
    Batch, COMPANION_FILL_MIN, Companion, Engine, EngineError, EngineOptions, ManualClock, Outcome, Refusal,
};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange, companion_times};
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed, setting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

const SERIES: u64 = 12;
const NOW_MS: i64 = 1_000_000;
const RETENTION_MS: i64 = 100_000;
const STEP_MS: i64 = 50;

type Key = (u64, i64);
type Model = BTreeMap<Key, f64>;

fn labels(series: u64) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn open(disk: &SimDisk) -> Engine {
    let options = EngineOptions { block_ms: 1_000, retention_ms: RETENTION_MS, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let (engine, recovery) = Engine::open(Arc::new(disk.clone()), clock, options, &Registry::new()).unwrap();
    assert_eq!(recovery.unknown_samples, 0);
    engine
}

fn stored(engine: &Engine) -> Model {
    let mut all = Model::new();
    let found = engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).unwrap();
    for index in 0..found.len() {
        let series = found.labels(index).get("series").unwrap().parse().unwrap();
        all.extend(kinds::read(&found, index, series).into_iter().map(|(t, v)| ((series, t), v)));
    }
    all
}

/// A batch as the test sees it: points of rows, and the points that a companion describes.
struct Sent {
    points: Vec<Vec<(Key, f64)>>,
    companion: Option<(u64, std::ops::Range<usize>)>,
}

impl Sent {
    fn random(random: &mut Random) -> Self {
        let mut point = |_| {
            let timestamp_ms = match random.below(12) {
                0 => NOW_MS - RETENTION_MS - 1 - random.below(3) as i64,
                1 => NOW_MS + 1_000_000,
                2..5 => NOW_MS - 5_000 - random.below(9) as i64 * 10,
                _ => NOW_MS - random.below(20) as i64 * 10,
            };
            let rows = if random.below(3) == 0 { 1 } else { 1 + random.below(5) };
            let of_other_time = random.below(20) == 0;
            (0..rows)
                .map(|row| {
                    let time = if of_other_time { timestamp_ms + row as i64 } else { timestamp_ms };
                    let kind = if random.below(4) == 0 { kinds::HISTOGRAM } else { 0.0 };
                    ((random.below(SERIES), time), kind + random.below(100).min(2) as f64)
                })
                .collect()
        };
        let points: Vec<_> = (0..8).map(&mut point).collect();
        let companion = (random.below(2) == 0).then(|| {
            let from = random.below(8) as usize;
            (SERIES + random.below(2), from..from + random.below(9 - from as u64) as usize)
        });
        Self { points, companion }
    }

    fn batch(&self, engine: &Engine) -> Batch {
        let mut batch = Batch::default();
        let mut starts = vec![0];
        for point in &self.points {
            let first = batch.len() as u32;
            for &((series, timestamp_ms), value) in point {
                let reference = engine.resolve(&labels(series)).unwrap();
                kinds::push(&mut batch, reference, series, timestamp_ms, value);
            }
            batch.end_point_of(first);
            starts.push(batch.len() as u32);
        }
        if let Some((series, points)) = &self.companion {
            let series = engine.resolve(&labels(*series)).unwrap();
            let rows = starts[points.start]..starts[points.end];
            batch.companions.push(Companion { series, value: 1.0, step_ms: STEP_MS, rows });
        }
        batch
    }

    /// What the model says of it: one point after the other, each whole.
    fn expect(&self, model: &mut Model) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut row, mut accepted) = (0u32, Vec::new());
        let put = |model: &mut Model, outcome: &mut Outcome, key, value| match model.insert(key, value) {
            Some(_) => outcome.duplicates += 1,
            None => outcome.stored += 1,
        };
        for point in &self.points {
            let time = |times: &dyn Fn(i64) -> bool| point.iter().any(|row| times(row.0.1));
            let mut with_point = model.clone();
            let agrees = point.iter().all(|&(key, value)| *with_point.entry(key).or_insert(value) == value);
            // The first row that is not acceptable gives the reason.
            let refusal = if time(&|t| !(NOW_MS - RETENTION_MS..=NOW_MS + 600_000).contains(&t)) {
                let old = point.iter().any(|row| row.0.1 < NOW_MS - RETENTION_MS);
                Some(if old { Refusal::TooOld } else { Refusal::TooFarAhead })
            } else {
                (!agrees).then_some(Refusal::Conflict)
            };
            match refusal {
                Some(why) => outcome.refused.extend((0..point.len() as u32).map(|i| (row + i, why))),
                None => point.iter().for_each(|&(key, value)| put(model, &mut outcome, key, value)),
            }
            accepted.push(refusal.is_none());
            row += point.len() as u32;
        }
        if let Some((series, points)) = &self.companion {
            let described = |wanted: bool| {
                let chosen = points.clone().filter(|&at| !wanted || accepted[at]);
                chosen.flat_map(|at| self.points[at].iter().map(|row| row.0.1)).collect::<BTreeSet<i64>>()
            };
            let (all, good): (Vec<i64>, _) = (described(false).into_iter().collect(), described(true));
            let (mut fill, mut times) = (COMPANION_FILL_MIN, Vec::new());
            companion_times(&all, STEP_MS, &mut fill, |at| good.contains(&all[at]), |time| times.push(time));
            for time in times {
                put(model, &mut outcome, (*series, time), 1.0);
            }
        }
        outcome
    }
}

fn submit(engine: &Engine, batch: Batch) -> Receiver<Result<Outcome, EngineError>> {
    let (tell, hear) = channel();
    engine.submit(batch, Box::new(move |outcome| tell.send(outcome).unwrap()));
    hear
}

#[test]
fn points_are_stored_or_refused_whole_in_groups_of_any_size_and_replay_alike() {
    let mut random = Random::new(seed(20_261_129));
    let mut refused_points = 0;
    for _ in 0..setting("MYTSDB_POINT_HISTORIES", 60) {
        let (disk, mut model) = (SimDisk::new(), Model::new());
        let mut engine = open(&disk);
        for _ in 0..12 {
            // All batches of a group are there before it is committed.
            let sent: Vec<Sent> = (0..=random.below(4)).map(|_| Sent::random(&mut random)).collect();
            let batches: Vec<Batch> = sent.iter().map(|s| s.batch(&engine)).collect();
            let series: Vec<Vec<SeriesRef>> = batches.iter().map(|batch| batch.refs.clone()).collect();
            let answers: Vec<_> = batches.into_iter().map(|batch| submit(&engine, batch)).collect();
            engine.commit_pending();
            for ((sent, series), answer) in sent.iter().zip(series).zip(answers) {
                let mut expected = sent.expect(&mut model);
                expected.refused_series = expected.refused.iter().map(|(row, _)| series[*row as usize]).collect();
                refused_points += expected.refused.len();
                assert_eq!(answer.recv().unwrap().unwrap(), expected);
            }
            assert_eq!(stored(&engine), model);
            match random.below(6) {
                0 => drop(engine.flush_before(NOW_MS - random.below(6_000) as i64).unwrap()),
                1 => {
                    drop(engine);
                    engine = open(&disk);
                    assert_eq!(stored(&engine), model, "after a restart");
                }
                _ => {}
            }
        }
    }
    assert!(refused_points > 1_000, "{refused_points}");
}

#[test]
fn a_resend_of_points_is_a_duplicate_and_a_point_may_not_contradict_itself() {
    let engine = open(&SimDisk::new());
    let refs: Vec<_> = (0..3).map(|s| engine.resolve(&labels(s)).unwrap()).collect();
    let point = |values: &[(usize, f64)]| {
        let mut batch = Batch::default();
        for &(series, value) in values {
            batch.push(refs[series], NOW_MS, value);
        }
        batch.end_point_of(0);
        engine.append(batch).unwrap()
    };
    assert_eq!(point(&[(0, 1.0), (1, 1.0), (0, 2.0)]).refused.len(), 3, "two values of one series");
    assert!(stored(&engine).is_empty());
    assert_eq!(point(&[(0, 1.0), (1, 1.0), (0, 1.0)]).stored, 2, "one value twice");
    assert_eq!(point(&[(0, 1.0), (1, 1.0), (0, 1.0)]).duplicates, 3);
    assert_eq!(point(&[(1, 1.0), (2, 7.0)]), Outcome { stored: 1, duplicates: 1, ..Outcome::default() });
}

#[test]
fn a_companion_of_many_batches_in_one_group_sees_what_came_before() {
    // So many companions that going through the rows would take long: the judge makes its table on the way.
    let engine = open(&SimDisk::new());
    let (a, info) = (engine.resolve(&labels(0)).unwrap(), engine.resolve(&labels(1)).unwrap());
    let batch = |value: f64| {
        let mut batch = Batch::default();
        for i in 0..200u32 {
            batch.push(a, NOW_MS - i64::from(i), value);
            batch.companions.push(Companion { series: info, value: 1.0, step_ms: STEP_MS, rows: i..i + 1 });
        }
        batch
    };
    let answers: Vec<_> = [1.0, 2.0].map(|value| submit(&engine, batch(value))).into();
    engine.commit_pending();
    let outcomes: Vec<_> = answers.iter().map(|answer| answer.recv().unwrap().unwrap()).collect();
    assert_eq!((outcomes[0].stored, outcomes[0].refused.len()), (400, 0));
    assert_eq!((outcomes[1].stored, outcomes[1].duplicates, outcomes[1].refused.len()), (0, 0, 200));
}
