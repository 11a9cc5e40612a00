//! What the engine says has changed since a stamp: every event that changes an answer, and none that does not.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_blocks::Block;
use mytsdb_engine::{Batch, Engine, EngineOptions, EngineStamp, ManualClock};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::path::Path;
use std::sync::Arc;

const BLOCK_MS: i64 = 1_000;
const NEVER: i64 = i64::MAX;

struct World {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    engine: Engine,
}

impl World {
    fn new() -> Self {
        let (disk, clock) = (SimDisk::new(), Arc::new(ManualClock::new(100 * BLOCK_MS)));
        let engine = open(&disk, &clock);
        Self { disk, clock, engine }
    }

    fn append(&self, metric: &str, times: &[i64]) {
        let series = self.engine.resolve(&Labels::from_pairs([("__name__", metric)])).unwrap();
        let mut batch = Batch::default();
        for &time in times {
            batch.push(series, time, time as f64);
        }
        self.engine.append(batch).unwrap();
    }

    /// Of metric `a` in all times, and of `b` too.
    fn changed(&self, stamp: EngineStamp) -> [i64; 2] {
        ["a", "b"].map(|metric| self.engine.changed_since(stamp, metric, TimeRange::ALL))
    }
}

fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> Engine {
    let options = EngineOptions { block_ms: BLOCK_MS, retention_ms: 60 * BLOCK_MS, ..EngineOptions::new("/data") };
    Engine::open(Arc::new(disk.clone()), clock.clone(), options, &Registry::new()).unwrap().0
}

#[test]
fn stored_samples_change_their_metric_from_their_earliest_time_on() {
    let world = World::new();
    world.append("a", &[50_000, 51_000]);
    let stamp = world.engine.stamp();
    assert_eq!(world.changed(stamp), [NEVER; 2]);
    world.append("a", &[53_000, 52_000]);
    assert_eq!(world.changed(stamp), [52_000, NEVER]);
    let later = world.engine.stamp();
    world.append("a", &[53_000]);
    world.append("a", &[1_000]);
    assert_eq!(world.changed(later), [NEVER; 2], "stored already, and too old");
    world.append("a", &[45_000]);
    world.append("b", &[60_000]);
    assert_eq!(world.changed(later), [45_000, 60_000]);
    assert_eq!(world.changed(stamp), [45_000, 60_000]);
}

#[test]
fn flushes_merges_and_what_is_removed_after_a_deletion_change_nothing() {
    let world = World::new();
    world.append("a", &[50_000, 51_000, 58_000]);
    world.append("b", &[50_500]);
    world.engine.delete_series(&[vec![Matcher::equal("__name__", "a")]], TimeRange::new(51_000, 51_000)).unwrap();
    let stamp = world.engine.stamp();
    world.engine.flush_before(55_000).unwrap();
    world.engine.flush_before(59_000).unwrap();
    world.engine.maintain().unwrap();
    while world.engine.compact(StopSign::NEVER, &mut |_| ()).unwrap().is_some() {}
    world.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
    assert_eq!(world.changed(stamp), [NEVER; 2]);
}

#[test]
fn a_deletion_changes_its_range_whether_samples_are_in_the_head_or_in_blocks() {
    let world = World::new();
    world.append("a", &[50_000, 51_000, 58_000]);
    world.engine.flush_before(55_000).unwrap();
    for time in [50_000, 58_000] {
        let stamp = world.engine.stamp();
        let range = TimeRange::new(time, time + 10);
        world.engine.delete_series(&[vec![Matcher::equal("__name__", "a")]], range).unwrap();
        assert_eq!(world.changed(stamp), [time; 2]);
        let behind = TimeRange::new(time + 11, NEVER);
        assert_eq!(world.engine.changed_since(stamp, "a", behind), NEVER);
    }
}

#[test]
fn blocks_that_expire_change_their_range() {
    let world = World::new();
    world.append("a", &[50_000, 51_000]);
    world.engine.flush_before(55_000).unwrap();
    let stamp = world.engine.stamp();
    world.clock.set(150_000);
    world.append("a", &[149_000]);
    assert_eq!(world.engine.maintain().unwrap().expired_blocks, 1);
    assert_eq!(world.changed(stamp), [50_000; 2]);
    assert_eq!(world.engine.changed_since(stamp, "a", TimeRange::new(51_001, 140_000)), 149_000);
    assert_eq!(world.engine.changed_since(stamp, "b", TimeRange::new(51_001, 140_000)), NEVER);
}

#[test]
fn damage_changes_its_range_when_it_is_found_and_as_long_as_answers_say_so() {
    let world = World::new();
    world.append("a", &(0..100).map(|i| 50_000 + i * 7).collect::<Vec<_>>());
    world.engine.flush_before(55_000).unwrap();
    let stamp = world.engine.stamp();
    let blocks = Path::new("/data/blocks");
    let path = blocks.join(&world.disk.list(blocks).unwrap()[0]);
    let chunk = {
        let block = Block::open(&world.disk, &path).unwrap();
        let mut chunks = Vec::new();
        block.chunks_into(0, TimeRange::ALL, &mut chunks).unwrap();
        chunks[0].range
    };
    // The first chunk begins behind the header.
    world.disk.open(&path).unwrap().write_at(38, &[0x5a; 4]).unwrap();
    assert_eq!(world.changed(stamp), [NEVER; 2], "nobody has seen it");
    let scrubbed = world.engine.scrub(StopSign::NEVER, &mut |_| ()).unwrap();
    assert_eq!(scrubbed.damaged_chunks as usize + scrubbed.set_aside, 1);
    assert_eq!(world.changed(stamp), [i64::MIN; 2]);
    assert_eq!(world.changed(world.engine.stamp()), [i64::MIN; 2], "answers have a warning");
    let behind = TimeRange::new(chunk.maxt + 1, NEVER);
    assert_eq!(world.engine.changed_since(stamp, "a", behind), NEVER);
}

#[test]
fn another_engine_knows_nothing_of_a_stamp() {
    let World { disk, clock, engine } = World::new();
    let stamp = engine.stamp();
    drop(engine);
    let engine = open(&disk, &clock);
    assert_eq!(World { disk, clock, engine }.changed(stamp), [i64::MIN; 2]);
}
