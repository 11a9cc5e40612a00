//! A tier on the disk of the data folder: its files count for the retention by size, and nothing is demoted into the room that writes need.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use mytsdb_io::Disk;
use mytsdb_model::TimeRange;
use mytsdb_parquet_tier::LiveDay;
use mytsdb_stop::StopSign;
use mytsdb_testkit::{Random, seed};
use std::path::Path;
use world::{DAY_MS, Node, World};

/// A node with samples of some days, all of them old enough.
fn filled(world: &mut World) -> Node {
    let mut random = Random::new(seed(11));
    let node = world.open().unwrap();
    let now_minute = world.now_ms / 60_000;
    world.append(&node, &mut random, 600, now_minute - 8 * 24 * 60..now_minute - 3 * 24 * 60);
    // How old days are is told by the newest sample.
    world.append(&node, &mut random, 1, now_minute - 1..now_minute);
    node.engine.flush_before(world.now_ms - 2 * DAY_MS).unwrap();
    node
}

/// Bytes of live files of the tier, and of blocks and log.
fn bytes(node: &Node) -> (u64, u64) {
    let tier = node.cold.manifest().unwrap().days.iter().map(LiveDay::bytes).sum();
    (tier, node.engine.wal_bytes() + node.engine.stored_blocks().iter().map(|block| block.bytes).sum::<u64>())
}

#[test]
fn the_oldest_days_go_when_tier_blocks_and_log_are_larger_than_allowed() {
    let mut world = World::new();
    let node = filled(&mut world);
    node.settle();
    let (tier, rest) = bytes(&node);
    let days = node.cold.manifest().unwrap().days.len();
    assert!(days >= 4 && tier > 0, "{days} days of {tier} bytes");
    drop(node);
    world.retention_bytes = Some(rest + tier / 2);
    let node = world.open().unwrap();
    node.settle();
    assert_eq!(bytes(&node).0, tier, "a tier elsewhere does not count");
    drop(node);
    world.options.shares_disk = true;
    let node = world.open().unwrap();
    node.settle();
    let (left, rest) = bytes(&node);
    let manifest = node.cold.manifest().unwrap();
    assert!(left + rest <= world.retention_bytes.unwrap(), "{left} bytes are left beside {rest}");
    assert!(!manifest.days.is_empty(), "no more goes than must");
    let oldest_ms = manifest.days.iter().map(|day| day.range.mint).min().unwrap();
    world.model.retain(|(_, time), _| *time >= oldest_ms);
    world.check(&node, "the oldest went");
}

#[test]
fn a_full_disk_keeps_days_in_blocks_until_there_is_room() {
    for shares_disk in [false, true] {
        let mut world = World::new();
        world.options.shares_disk = shares_disk;
        let node = filled(&mut world);
        let (floor, blocks) = (node.engine.disk_floor_bytes(), bytes(&node).1);
        let used =
            world.disk.total_bytes(Path::new("/data")).unwrap() - world.disk.free_bytes(Path::new("/data")).unwrap();
        let enough = if shares_disk { 2 * floor } else { floor / 2 };
        assert!(floor > blocks, "the floor of {floor} bytes is what counts here");
        world.disk.set_capacity(used + enough);
        let done = node.cold.step(StopSign::NEVER).unwrap();
        assert_eq!(
            (done.waits_for_room, done.demoted_blocks, node.metric("mytsdb_cold_waits_for_room")),
            (true, 0, 1.0)
        );
        world.check(&node, "in blocks");
        world.disk.set_capacity(used + enough + 10 * blocks);
        node.settle();
        assert_eq!(node.metric("mytsdb_cold_waits_for_room"), 0.0);
        assert!(node.engine.stored_blocks().is_empty());
        assert_eq!(node.engine.warnings(TimeRange::ALL), [""; 0]);
        world.check(&node, "in the tier");
    }
}
