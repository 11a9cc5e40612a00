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
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed, setting};
use std::collections::BTreeMap;
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
}

impl Model {
    fn delete(&mut self, series: Option<usize>, range: TimeRange) {
        self.stored.retain(|(of, time), _| series.is_some_and(|series| series != *of) || !range.contains(*time));
    }
}

struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    now_ms: i64,
    model: Model,
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn options() -> EngineOptions {
    EngineOptions {
        block_ms: BLOCK_MS,
        flush_delay_ms: BLOCK_MS / 8,
        retention_ms: 1_000_000_000,
        segment_bytes_max: 4_096,
        late_samples_max: 200,
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

/// Compares, and takes over what turned out to be there of the uncertain.
fn verify(world: &mut World, engine: &Engine) {
    let read = read_all(engine);
    if let Some((series, range)) = world.model.maybe_deleted.take() {
        let before = world.model.clone();
        world.model.delete(series, range);
        if read != world.model.stored {
            world.model = before;
        }
    }
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
    world.model = Model { stored: read, ..Model::default() };
}

/// One batch; false when the disk has stopped.
fn append(world: &mut World, engine: &Engine, random: &mut Random) -> bool {
    let mut batch = Batch::default();
    let (mut rows, mut points) = (Vec::new(), Vec::new());
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
        points.push(first..rows.len());
        world.now_ms += random.below(3) as i64 * STEP_MS;
    }
    world.clock.set(world.now_ms);
    let Ok(outcome) = engine.append(batch) else {
        world.model.maybe.extend(points.into_iter().map(|point| rows[point].to_vec()));
        return false;
    };
    let refused: BTreeMap<u32, Refusal> = outcome.refused.iter().copied().collect();
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
        let mut world =
            World { disk: SimDisk::new(), clock: Arc::new(ManualClock::new(now_ms)), now_ms, model: Model::default() };
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
        }
    }
    println!("{taken} images opened and compared, {nested} of them taken from images");
}
