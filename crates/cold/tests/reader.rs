//! A tier that is only read: the prefix of a node that is gone, or that still writes, on a machine without its data folder.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use faulty::Fault;
use mytsdb_cold::{Cold, ColdError, ColdOptions, Unreachable, nodes};
use mytsdb_engine::{Engine, EngineOptions};
use mytsdb_io::SimDisk;
use mytsdb_model::{FamilyKind, Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{Store, StoreOptions};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed};
use std::sync::Arc;
use std::time::Duration;
use world::{DAY_MS, HOUR_MS, Node, World, faulty};

fn store(world: &World) -> Store {
    let mut options = StoreOptions::default();
    (options.retries, options.timeout) = (0, Duration::from_millis(500));
    Store::new(world.store.clone(), "", options).unwrap()
}

/// A reader on another machine: nothing is shared but the store.
fn read(world: &World, node: &str, unreachable: Unreachable) -> Result<Node, ColdError> {
    let mut options = EngineOptions::new("/");
    options.disk_floor_bytes = Some(0);
    let (engine, _) = Engine::open(Arc::new(SimDisk::new()), world.clock.clone(), options, &Registry::new()).unwrap();
    let engine = Arc::new(engine);
    engine.stop().unwrap();
    let mut options = ColdOptions::new("");
    (options.unreachable, options.open_wait_ms) = (unreachable, 100);
    let registry = Registry::new();
    let cold = Cold::reader(engine.clone(), world.clock.clone(), &store(world), node, options, &registry)?;
    Ok(Node { engine, cold, registry })
}

/// Puts everything into the tier.
fn demote_all(world: &mut World, node: &Node) {
    world.advance(3 * DAY_MS);
    // How old days are is told by the newest sample. This one is gone again at once.
    let newest = node.engine.resolve(&Labels::from_pairs([("__name__", "newest")])).unwrap();
    let mut batch = mytsdb_engine::Batch::default();
    batch.push(newest, world.now_ms, 1.0);
    node.engine.append(batch).unwrap();
    node.engine.delete_series(&[vec![Matcher::metric("newest")]], TimeRange::ALL).unwrap();
    node.engine.flush_before(world.now_ms).unwrap();
    node.settle();
    assert_eq!(node.engine.stored_blocks().len(), 0);
}

fn only(world: &World) -> String {
    let mut found = nodes(&store(world), StopSign::NEVER).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn another_machine_answers_as_the_node_did_and_follows_it() {
    let (mut random, mut world) = (Random::new(seed(3)), World::new());
    let node = world.open().unwrap();
    let minutes = |world: &World, days: i64| world.now_ms / 60_000 - days * 24 * 60..world.now_ms / 60_000;
    let range = minutes(&world, 5);
    world.append(&node, &mut random, 300, range);
    demote_all(&mut world, &node);
    let name = only(&world);
    let reader = read(&world, &name, Unreachable::Error).unwrap();
    assert_eq!(reader.cold.awaited(), None);
    world.check(&reader, "at first");
    (0..20).for_each(|_| world.check_part(&reader, &mut random, "at first"));

    // Late samples, deletions and a new day: days are written anew, and their old files deleted.
    for round in 0..3 {
        let context = format!("round {round}");
        let range = minutes(&world, 7);
        world.append(&node, &mut random, 100, range);
        world.delete(&node, &mut random);
        demote_all(&mut world, &node);
        node.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
        node.cold.clean_tombstones(StopSign::NEVER).unwrap();
        reader.cold.step(StopSign::NEVER).unwrap();
        world.check(&reader, &context);
        (0..20).for_each(|_| world.check_part(&reader, &mut random, &context));
    }
    let paths = faulty_paths(&world);
    drop(node);
    reader.cold.step(StopSign::NEVER).unwrap();
    assert_eq!(faulty_paths(&world), paths, "a reader writes and deletes nothing");
}

#[test]
fn what_the_node_deletes_is_hidden_before_it_has_left_the_files() {
    let seed = seed(8);
    for run in 0..6 {
        let (mut random, mut world) = (Random::of_case(seed, run), World::new());
        let mut node = world.open().unwrap();
        let range = world.now_ms / 60_000 - 6 * 24 * 60..world.now_ms / 60_000;
        world.append(&node, &mut random, 300, range);
        demote_all(&mut world, &node);
        let name = only(&world);
        let reader = read(&world, &name, Unreachable::Error).unwrap();
        for round in 0..6 {
            let context = format!("seed {seed} run {run} round {round}");
            for _ in 0..=random.below(2) {
                world.delete(&node, &mut random);
            }
            if random.one_in(3) {
                // The deletion is in force again after a start, and then in the manifest.
                drop(node);
                node = world.open().unwrap();
            }
            node.cold.step(StopSign::NEVER).unwrap();
            reader.cold.step(StopSign::NEVER).unwrap();
            world.check(&reader, &context);
            (0..5).for_each(|_| world.check_part(&reader, &mut random, &context));
            world.check(&read(&world, &name, Unreachable::Error).unwrap(), &context);
            if random.one_in(3) {
                node.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
                node.cold.clean_tombstones(StopSign::NEVER).unwrap();
            }
        }
        let manifests = node.cold.manifest().unwrap().seq;
        node.cold.step(StopSign::NEVER).unwrap();
        assert_eq!(node.cold.manifest().unwrap().seq, manifests, "what is said already is not said again");
    }
}

fn faulty_paths(world: &World) -> Vec<String> {
    let mut paths = world::faulty_paths(&world.store);
    paths.sort();
    paths
}

#[test]
fn a_reader_that_slept_longer_than_manifests_are_kept_finds_the_newest() {
    let (mut random, mut world) = (Random::new(seed(4)), World::new());
    let node = world.open().unwrap();
    let range = world.now_ms / 60_000 - 24 * 60..world.now_ms / 60_000;
    world.append(&node, &mut random, 40, range);
    demote_all(&mut world, &node);
    let reader = read(&world, &only(&world), Unreachable::Error).unwrap();
    reader.cold.step(StopSign::NEVER).unwrap();
    for _ in 0..12 {
        let range = world.now_ms / 60_000 - 60..world.now_ms / 60_000;
        world.append(&node, &mut random, 10, range);
        demote_all(&mut world, &node);
        world.advance(2 * HOUR_MS);
        node.settle();
    }
    assert!(faulty_paths(&world).iter().all(|path| !path.ends_with("/00000000000000000002.json")), "it is deleted");
    reader.cold.step(StopSign::NEVER).unwrap();
    world.check(&reader, "after the sleep");
}

#[test]
fn types_and_units_come_with_the_files() {
    let mut world = World::new();
    let node = world.open().unwrap();
    node.engine.describe("m1", FamilyKind::Counter, "What it counts.", "bytes");
    node.engine.describe("h", FamilyKind::Histogram, "", "seconds");
    let mut batch = mytsdb_engine::Batch::default();
    for name in ["h_bucket", "h_sum", "h_count"] {
        let series = node.engine.resolve(&Labels::from_pairs([("__name__", name)])).unwrap();
        batch.push(series, world.now_ms - HOUR_MS, 1.0);
    }
    node.engine.append(batch).unwrap();
    let mut random = Random::new(5);
    let range = world.now_ms / 60_000 - 24 * 60..world.now_ms / 60_000;
    world.append(&node, &mut random, 100, range);
    demote_all(&mut world, &node);
    let reader = read(&world, &only(&world), Unreachable::Error).unwrap();
    reader.cold.step(StopSign::NEVER).unwrap();
    let classic = reader.engine.metadata("h").unwrap();
    assert_eq!((classic.kind, &*classic.unit), (FamilyKind::Histogram, "seconds"));
    assert!(reader.engine.metadata("h_bucket").is_none(), "a family is known by its own name");
    let known = reader.engine.metadata("m1").unwrap();
    assert_eq!((known.kind, &*known.unit, &*known.help), (FamilyKind::Counter, "bytes", ""));
    assert_eq!(reader.engine.metadata("m0"), None);
}

#[test]
fn a_store_that_does_not_answer_is_said_and_asked_again() {
    let (mut random, mut world) = (Random::new(seed(6)), World::new());
    let node = world.open().unwrap();
    let range = world.now_ms / 60_000 - 24 * 60..world.now_ms / 60_000;
    world.append(&node, &mut random, 40, range);
    demote_all(&mut world, &node);
    let name = only(&world);
    drop(node);
    world.store.fail_all_after(0, Fault::Error);
    let reader = read(&world, &name, Unreachable::Warn).unwrap();
    assert!(reader.cold.awaited().is_some());
    assert!(reader.engine.select(TimeRange::ALL, &[]).unwrap().is_empty());
    let warnings = reader.engine.warnings(TimeRange::ALL);
    assert!(warnings.len() == 1 && warnings[0].contains("samples may be missing"), "{warnings:?}");
    let strict = read(&world, &name, Unreachable::Error).unwrap();
    assert!(strict.engine.select(TimeRange::ALL, &[]).is_err());
    assert!(strict.cold.step(StopSign::NEVER).is_err());
    assert!(strict.cold.awaited().is_some_and(|reason| reason.contains("as told")));
    world.store.heal();
    for reader in [&reader, &strict] {
        reader.cold.step(StopSign::NEVER).unwrap();
        assert_eq!(reader.cold.awaited(), None);
    }
    world.check(&strict, "after the store came back");
}

#[test]
fn a_name_that_nobody_has_is_an_error() {
    let world = World::new();
    assert_eq!(nodes(&store(&world), StopSign::NEVER).unwrap(), [""; 0]);
    let error = read(&world, "0123456789abcdef", Unreachable::Warn).err().unwrap();
    assert!(error.to_string().contains("0123456789abcdef"), "{error}");
}

#[test]
fn a_reader_takes_no_samples() {
    let mut world = World::new();
    let node = world.open().unwrap();
    let range = world.now_ms / 60_000 - 24 * 60..world.now_ms / 60_000;
    world.append(&node, &mut Random::new(7), 10, range);
    demote_all(&mut world, &node);
    let reader = read(&world, &only(&world), Unreachable::Warn).unwrap();
    let series = reader.engine.resolve(&Labels::from_pairs([("__name__", "new")])).unwrap();
    let mut batch = mytsdb_engine::Batch::default();
    batch.push(series, world.now_ms, 1.0);
    assert!(reader.engine.append(batch).is_err());
    let found = reader.engine.select(TimeRange::ALL, &[Matcher::metric("new")]).unwrap();
    assert!(found.is_empty());
}
