//! Crash enumeration: the machine loses power at any call to the disk, and nothing acknowledged is gone afterwards.
//!
//! Each run plays random operations (batches of both kinds, in order, late, repeated and conflicting; flushes; compactions;
//! deletions; clean restarts) on
//! a simulated disk that stops at a random call, takes an image of what a power cut may leave, opens it, and
//! compares with a model. Then it goes on from there, so crashes hit recovery and crashed recoveries too.
//!
//! `MYTSDB_CRASH_IMAGES` sets the number of images, `MYTSDB_SEED` the seed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod kinds;

use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock, Refusal};
use mytsdb_io::SimDisk;
use mytsdb_model::{Exemplar, FamilyKind, Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed, setting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SERIES: usize = 7;
const BLOCK_MS: i64 = 1_000;
const STEP_MS: i64 = 10;

/// What must be stored, and what may be, because its append failed half-way.
#[derive(Default, Clone)]
struct Model {
    stored: BTreeMap<(usize, i64), f64>,
    /// A deletion of which it is not known whether it has happened: a series, or all, and times.
    maybe_deleted: Option<(Option<usize>, TimeRange)>,
    /// Points, each there as a whole or not at all.
    maybe: Vec<Vec<((usize, i64), f64)>>,
    exemplars: BTreeSet<ExemplarKey>,
    maybe_exemplars: BTreeSet<ExemplarKey>,
    /// What was said last of the metric when a batch was acknowledged.
    help: u64,
}

/// Series, time, and a number that no other exemplar has.
type ExemplarKey = (usize, i64, u64);

impl Model {
    fn delete(&mut self, series: Option<usize>, range: TimeRange) {
        let stays = |of, time| series.is_some_and(|series| series != of) || !range.contains(time);
        self.stored.retain(|(of, time), _| stays(*of, *time));
        self.exemplars.retain(|(of, time, _)| stays(*of, *time));
    }
}

struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    now_ms: i64,
    model: Model,
    /// Counts what was said of the metric, and exemplars.
    said: u64,
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn options() -> EngineOptions {
    EngineOptions {
        block_ms: BLOCK_MS,
        flush_delay_ms: BLOCK_MS / 8,
        flush_part_bytes: 300,
        retention_ms: 1_000_000_000,
        segment_bytes_max: 4_096,
        late_samples_max: 200,
        exemplars_per_series_max: usize::MAX,
        ..EngineOptions::new("/data")
    }
}

fn open(world: &World) -> Result<Engine, mytsdb_engine::EngineError> {
    let (engine, recovery) =
        Engine::open(Arc::new(world.disk.clone()), world.clock.clone(), options(), &Registry::new())?;
    assert_eq!(recovery.unknown_samples, 0, "a sample in the log lost its series");
    assert!(recovery.quarantined.is_empty(), "{:?}", recovery.quarantined);
    Ok(engine)
}

fn read_all(engine: &Engine) -> BTreeMap<(usize, i64), f64> {
    let mut all = BTreeMap::new();
    let found = engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).unwrap();
    for index in 0..found.len() {
        let series: usize = found.labels(index).get("series").unwrap().parse().unwrap();
        all.extend(kinds::read(&found, index, series as u64).into_iter().map(|(t, v)| ((series, t), v)));
    }
    all
}

fn read_exemplars(engine: &Engine) -> BTreeSet<ExemplarKey> {
    let all = [vec![Matcher::equal("__name__", "m")]];
    let mut read = BTreeSet::new();
    for (labels, exemplars) in engine.exemplars(TimeRange::ALL, &all, StopSign::NEVER).unwrap() {
        let series = labels.get("series").unwrap().parse().unwrap();
        for exemplar in exemplars {
            let number = exemplar.labels.get("trace_id").unwrap().parse().unwrap();
            assert_eq!(exemplar.value.to_bits(), number, "an exemplar of another value");
            assert!(read.insert((series, exemplar.timestamp_ms, number)), "an exemplar twice");
        }
    }
    read
}

/// Compares, and takes over what turned out to be there of the uncertain.
fn verify(world: &mut World, engine: &Engine) {
    let read = read_all(engine);
    if let Some((series, range)) = world.model.maybe_deleted.take() {
        let mut before = world.model.clone();
        world.model.delete(series, range);
        // It may be that there was no sample to delete, so that samples do not tell whether it has happened.
        let uncertain: Vec<_> = before.exemplars.difference(&world.model.exemplars).copied().collect();
        if read != world.model.stored {
            before.exemplars.clone_from(&world.model.exemplars);
            world.model = before;
        }
        world.model.maybe_exemplars.extend(uncertain);
    }
    let exemplars = read_exemplars(engine);
    let lost: Vec<_> = world.model.exemplars.difference(&exemplars).collect();
    assert!(lost.is_empty(), "acknowledged exemplars {lost:?} are lost");
    let phantoms: Vec<_> = exemplars.difference(&world.model.exemplars).collect();
    assert!(phantoms.iter().all(|phantom| world.model.maybe_exemplars.contains(phantom)), "phantoms {phantoms:?}");
    let help = engine.metadata("m").map_or(0, |metadata| metadata.help.parse().unwrap());
    assert!((world.model.help..=world.said).contains(&help), "{help} is known, {} was acknowledged", world.model.help);
    for (key, value) in &world.model.stored {
        assert_eq!(read.get(key), Some(value), "acknowledged sample {key:?} is lost or changed");
    }
    // Point by point in the order of the batch: each that does not contradict is there, up to some point.
    let mut possible = world.model.stored.clone();
    for point in &world.model.maybe {
        if read == possible {
            break;
        }
        if point.iter().all(|(key, value)| possible.get(key).is_none_or(|known| known == value)) {
            possible.extend(point.iter().copied());
        }
    }
    let phantoms: Vec<_> = read.iter().filter(|(key, value)| possible.get(key) != Some(value)).collect();
    assert!(read == possible, "phantoms {phantoms:?}, or a point in part: {:?}", world.model.maybe);
    world.model = Model { stored: read, exemplars, help, ..Model::default() };
}

/// Where no block is left, head and log have nothing that the model does not have: what was refused for a block is in neither.
fn verify_without_blocks(world: &World, seed: u64) {
    let disk = Arc::new(world.disk.crash(seed));
    let options = EngineOptions { flush_delay_ms: i64::MAX, retention_bytes: Some(0), ..options() };
    let (engine, _) = Engine::open(disk, world.clock.clone(), options, &Registry::new()).unwrap();
    engine.maintain().unwrap();
    for (key, value) in read_all(&engine) {
        assert_eq!(world.model.stored.get(&key), Some(&value), "{key:?} was refused and is back");
    }
}

/// One batch; false when the disk has stopped.
fn append(world: &mut World, engine: &Engine, random: &mut Random) -> bool {
    let mut batch = Batch::default();
    let (mut rows, mut points, mut exemplars) = (Vec::new(), Vec::new(), Vec::new());
    if random.one_in(3) {
        world.said += 1;
        engine.describe("m", FamilyKind::Gauge, &world.said.to_string(), "seconds");
        batch.describes = true;
    }
    while rows.len() <= random.below(40) as usize {
        let series = random.below(SERIES as u64) as usize;
        let age = match random.below(10) {
            0 => random.below(400),
            1 => random.below(40),
            _ => 0,
        };
        let timestamp_ms = world.now_ms - age as i64 * STEP_MS;
        // Few values, so that repeats and conflicts both happen.
        let value = if random.one_in(4) { kinds::HISTOGRAM + random.below(4) as f64 } else { random.below(3) as f64 };
        let first = rows.len();
        // A point of several rows is one of neighbouring series, which stand or fall together.
        for series in (series..SERIES).take(1 + random.below(6).saturating_sub(2) as usize) {
            match engine.resolve(&labels(series)) {
                Ok(reference) => kinds::push(&mut batch, reference, series as u64, timestamp_ms, value),
                Err(error) => panic!("{error}"),
            }
            rows.push(((series, timestamp_ms), value));
        }
        batch.end_point_of(first as u32);
        if random.one_in(4) {
            world.said += 1;
            let labels = Labels::from_pairs([("trace_id", &world.said.to_string())]);
            let exemplar = Exemplar { timestamp_ms, value: f64::from_bits(world.said), labels };
            let reference = *batch.refs.last().unwrap();
            batch.push_exemplar_of_last(reference, exemplar);
            exemplars.push((first, (rows.last().unwrap().0.0, timestamp_ms, world.said)));
        }
        points.push(first..rows.len());
        world.now_ms += random.below(3) as i64 * STEP_MS;
    }
    world.clock.set(world.now_ms);
    let Ok(outcome) = engine.append(batch) else {
        world.model.maybe.extend(points.into_iter().map(|point| rows[point].to_vec()));
        world.model.maybe_exemplars.extend(exemplars.into_iter().map(|(_, key)| key));
        return false;
    };
    let refused: BTreeMap<u32, Refusal> = outcome.refused.iter().copied().collect();
    world.model.help = engine.metadata("m").map_or(0, |metadata| metadata.help.parse().unwrap());
    exemplars.retain(|(row, _)| !refused.contains_key(&(*row as u32)));
    assert_eq!(outcome.exemplars as usize, exemplars.len(), "exemplars of the points that are stored");
    world.model.exemplars.extend(exemplars.into_iter().map(|(_, key)| key));
    let mut duplicates = 0;
    for point in points {
        let conflicts = rows[point.clone()].iter().any(|(key, v)| world.model.stored.get(key).is_some_and(|s| s != v));
        for row in point {
            let (key, value) = rows[row];
            let refusal = refused.get(&(row as u32));
            assert_eq!(refusal, conflicts.then_some(&Refusal::Conflict), "{key:?} = {value}");
            if !conflicts {
                duplicates += u32::from(world.model.stored.insert(key, value).is_some());
            }
        }
    }
    assert_eq!(outcome.duplicates, duplicates);
    true
}

/// Plays operations until the disk stops; true if it did.
fn play(world: &mut World, random: &mut Random, operations: usize) -> bool {
    let Ok(mut engine) = open(world) else { return true };
    verify(world, &engine);
    for _ in 0..operations {
        match random.below(20) {
            0 => {
                if engine.stop().is_err() {
                    return true;
                }
                drop(engine);
                let Ok(reopened) = open(world) else { return true };
                engine = reopened;
                verify(world, &engine);
            }
            1 => {
                let cut_ms = (world.now_ms - random.below(300) as i64).div_euclid(50) * 50;
                if engine.flush_before(cut_ms).is_err() {
                    return true;
                }
            }
            2..6 => {
                if engine.maintain().is_err() {
                    return true;
                }
            }
            7 => {
                let series = (!random.one_in(4)).then(|| random.below(SERIES as u64) as usize);
                let from_ms = world.now_ms - random.below(600) as i64 * STEP_MS;
                let range = TimeRange::new(from_ms, from_ms + random.below(300) as i64 * STEP_MS);
                let all = [Matcher::equal("__name__", "m")];
                let one = series.map(|series| Matcher::equal("series", series.to_string()));
                let selector: Vec<Matcher> = all.into_iter().chain(one).collect();
                if engine.delete_series(&[selector], range).is_err() {
                    world.model.maybe_deleted = Some((series, range));
                    return true;
                }
                world.model.delete(series, range);
                verify(world, &engine);
            }
            8 if random.one_in(3) => match engine.clean_tombstones(StopSign::NEVER, &mut |_| ()) {
                Ok(_) => verify(world, &engine),
                Err(_) => return true,
            },
            6 => loop {
                match engine.compact(StopSign::NEVER, &mut |_| ()) {
                    Ok(Some(_)) => verify(world, &engine),
                    Ok(None) => break,
                    Err(_) => return true,
                }
            },
            _ => {
                if !append(world, &engine, random) {
                    return true;
                }
            }
        }
    }
    verify(world, &engine);
    false
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_wherever_the_power_goes() {
    let images = setting("MYTSDB_CRASH_IMAGES", 2_500);
    let mut random = Random::new(seed(20_261_121));
    let (mut taken, mut nested) = (0, 0);
    while taken < images {
        let now_ms = 1_000_000;
        let mut world = World {
            disk: SimDisk::new(),
            clock: Arc::new(ManualClock::new(now_ms)),
            now_ms,
            model: Model::default(),
            said: 0,
        };
        // A history of up to six crashes, each on the image the last one left.
        for depth in 0..6 {
            let operations = 10 + random.below(60) as usize;
            let calls = 1 + random.below(if depth % 2 == 1 { 30 } else { 400 });
            world.disk.stop_after(calls);
            if !play(&mut world, &mut random, operations) {
                // The disk outlived the operations: the power goes between two of them.
                world.disk.stop_after(0);
            }
            world.disk = world.disk.crash(random.bits());
            taken += 1;
            nested += u64::from(depth > 0);
            let engine = open(&world).expect("an image of a power cut opens");
            verify(&mut world, &engine);
            if random.one_in(4) {
                verify_without_blocks(&world, random.bits());
            }
        }
    }
    println!("{taken} images opened and compared, {nested} of them taken from images");
}
