//! Crash enumeration of the cold tier: the power fails at every call to the disk, and at every request to the store, of a demotion,
//! of a day that is written anew, of a deletion and of an expiry. Nothing is lost, nothing is doubled, nothing comes back.
//!
//! `MYTSDB_SEED` sets the seed of what a power cut leaves on the disk.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_testkit::Random;
use std::collections::BTreeSet;
use world::faulty::Fault;
use world::{Cut, DAY_MS, HOUR_MS, Node, World, labels};

/// What is under way when the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Blocks become files for the first time.
    Demote,
    /// A day that has files is written anew with what came late.
    DemoteAgain,
    /// A day is written anew without what is deleted.
    Clean,
    /// All that there is has expired.
    Expire,
}

/// A world just before the act.
fn before(act: Act) -> (World, Node) {
    let mut world = World::new();
    let mut random = Random::new(5);
    let today = world.now_ms / 60_000;
    let node = world.open().unwrap();
    for days in [3, 2] {
        world.append(&node, &mut random, 40, today - days * 1_440..today - days * 1_440 + 600);
    }
    world.append(&node, &mut random, 20, today - 60..today);
    node.engine.flush_before(world.now_ms - 2 * DAY_MS + 6 * HOUR_MS).unwrap();
    if act == Act::Demote {
        return (world, node);
    }
    node.settle();
    world.advance(30 * HOUR_MS);
    let now = world.now_ms / 60_000;
    world.append(&node, &mut random, 20, now - 60..now);
    match act {
        Act::Demote => {}
        Act::DemoteAgain => {
            world.append(&node, &mut random, 30, today - 3 * 1_440..today - 2 * 1_440);
            node.engine.flush_before(world.now_ms - 2 * DAY_MS).unwrap();
        }
        Act::Clean => {
            let one = vec![Matcher::equal("series", "2")];
            node.engine.delete_series(&[one], TimeRange::ALL).unwrap();
            world.model.retain(|(series, _), _| *series != 2);
        }
        Act::Expire => {
            world.advance(world.retention_ms);
            let now = world.now_ms / 60_000;
            world.model.clear();
            world.append(&node, &mut random, 5, now - 60..now);
            // The head and the blocks have nothing that has expired left.
            node.engine.flush_before(world.now_ms - HOUR_MS * 2).unwrap();
            node.engine.maintain().unwrap();
        }
    }
    (world, node)
}

fn play(act: Act, node: &Node) -> Result<(), mytsdb_cold::ColdError> {
    if act == Act::Clean {
        return node.cold.clean_tombstones(StopSign::NEVER).map(drop);
    }
    while node.cold.step(StopSign::NEVER)?.demoted_blocks > 0 {}
    Ok(())
}

/// Plays an act until a cut, restarts, and compares; tells whether the cut came before the end of the act.
fn run(act: Act, cut: Cut, random: &mut Random) -> bool {
    let context = format!("{act:?} {cut:?}");
    let (mut world, node) = before(act);
    cut.set(&world);
    let failed = play(act, &node).is_err();
    if let Cut::Store(..) = cut {
        // Also without a crash all goes on when the store is back.
        world.store.heal();
        if act != Act::Expire && random.one_in(2) {
            world.check(&node, &format!("{context} healed"));
        }
    }
    drop(node);
    world.disk = world.disk.crash(random.bits());
    let node = world.open().unwrap();
    if act != Act::Expire {
        world.check(&node, &format!("{context} opened"));
    }
    play(act, &node).unwrap_or_else(|error| panic!("{context}: {error}"));
    world.check(&node, &format!("{context} finished"));
    finished(act, &mut world, node, &context);
    failed
}

/// What must hold at the end, however it came about.
fn finished(act: Act, world: &mut World, node: Node, context: &str) {
    let old = world.now_ms - 2 * DAY_MS;
    if act == Act::Demote {
        let left = node.engine.stored_blocks().into_iter().filter(|block| block.range.maxt < old).count();
        assert_eq!(left, 0, "{context}: blocks stayed");
    }
    if act == Act::Expire {
        assert_eq!(node.cold.manifest().unwrap().days, [], "{context}");
    }
    // By and by nothing is in the store but what is live. Its clock is the machine's.
    drop(node);
    let real_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    world.now_ms = world.now_ms.max(real_ms) + 2 * DAY_MS;
    world.clock.set(world.now_ms);
    (world.options.manifests_min, world.options.grace_ms) = (1, 1);
    let node = world.open().unwrap();
    node.settle();
    world.advance(DAY_MS);
    node.cold.step(StopSign::NEVER).unwrap();
    let live: BTreeSet<String> = node.cold.manifest().unwrap().days.iter().map(|day| day.id.to_string()).collect();
    let paths = world::faulty_paths(&world.store);
    let kept: BTreeSet<String> = paths
        .iter()
        .filter(|path| path.contains("/day="))
        .map(|path| path.rsplit('/').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(kept, live, "{context}: {paths:?}");
    let files = node.cold.manifest().unwrap().days.iter().map(|day| day.files.len()).sum::<usize>();
    assert_eq!(paths.iter().filter(|path| path.contains("/day=")).count(), files, "{context}");
}

/// Cuts at every place, until the act ends before the cut.
fn enumerate(act: Act) {
    world::enumerate(act, 1, |cut, random| run(act, cut, random));
}

#[test]
fn no_crash_of_a_demotion_loses_or_doubles_a_sample() {
    enumerate(Act::Demote);
}

#[test]
fn no_crash_of_writing_a_day_anew_loses_or_doubles_a_sample() {
    enumerate(Act::DemoteAgain);
}

#[test]
fn no_crash_of_a_deletion_loses_a_sample_or_brings_one_back() {
    enumerate(Act::Clean);
}

#[test]
fn no_crash_of_an_expiry_leaves_the_manifest_in_doubt() {
    enumerate(Act::Expire);
}

#[test]
fn a_store_that_is_away_is_told_and_ingest_and_hot_answers_go_on() {
    let (mut world, node) = before(Act::DemoteAgain);
    world.store.fail_all_after(0, Fault::Error);
    let mut random = Random::new(9);
    let now = world.now_ms / 60_000;
    world.append(&node, &mut random, 10, now - 10..now);
    assert!(node.cold.step(StopSign::NEVER).is_err());
    let hot = TimeRange::new(world.now_ms - HOUR_MS, world.now_ms);
    assert!(!node.engine.select(hot, &[]).unwrap().is_empty());
    assert_eq!(node.engine.warnings(hot), [""; 0]);
    drop(node);
    // After a restart it is not known what is there.
    let node = world.open().unwrap();
    assert!(node.engine.select(TimeRange::ALL, &[Matcher::metric("m1")]).is_ok());
    let warnings = node.engine.warnings(TimeRange::ALL);
    assert!(warnings.iter().any(|text| text.contains("the cold tier cannot be read")), "{warnings:?}");
    // A deletion meanwhile is heeded when it is back.
    node.engine.delete_series(&[vec![Matcher::equal("series", "1")]], TimeRange::ALL).unwrap();
    world.model.retain(|(series, _), _| *series != 1);
    node.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
    node.engine.flush_before(world.now_ms).unwrap();
    node.engine.maintain().unwrap();
    drop(node);
    let node = world.open().unwrap();
    world.store.heal();
    node.settle();
    let found = node.engine.select(TimeRange::ALL, &[Matcher::equal("series", "1")]).unwrap();
    for index in 0..found.len() {
        assert_eq!(world::kinds::read(&found, index, 1), [], "a deleted sample of {} is back", labels(1));
    }
    drop(found);
    drop(node);
    world.check(&world.open().unwrap(), "at last");
}

#[test]
fn answers_without_the_store_are_errors_if_they_are_to_be() {
    let (mut world, node) = before(Act::DemoteAgain);
    node.settle();
    drop(node);
    world.options.unreachable = mytsdb_cold::Unreachable::Error;
    let node = world.open().unwrap();
    world.check(&node, "while it is there");
    drop(node);
    let node = world.open().unwrap();
    world.store.fail_all_after(0, Fault::Error);
    let error = node.engine.select(TimeRange::ALL, &[]).err().unwrap().to_string();
    assert!(error.contains("of the cold tier cannot be read"), "{error}");
    let hot = TimeRange::new(world.now_ms - HOUR_MS, world.now_ms);
    assert!(!node.engine.select(hot, &[]).unwrap().is_empty());
}
