//! Dashboards whose windows slide over days of the cold tier find what was read ahead, and the same samples as ever.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use mytsdb_columns::Columns;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_testkit::{Random, seed};
use world::{DAY_MS, HOUR_MS, Node, World};

/// A world whose last days are all in the tier, but for the youngest.
fn world(prefetch_windows: u32) -> (World, Node) {
    let mut world = World::new();
    world.options.prefetch_windows = prefetch_windows;
    world.options.cache_l1_bytes = 16 << 20;
    let node = world.open().unwrap();
    let mut random = Random::new(seed(3));
    let now = world.now_ms / 60_000;
    world.append(&node, &mut random, 3_000, now - 8 * 1_440..now - 2 * 1_440);
    world.append(&node, &mut random, 10, now - 60..now);
    node.engine.flush_before(world.now_ms - DAY_MS).unwrap();
    node.settle();
    assert!(node.cold.manifest().unwrap().days.len() >= 6);
    (world, node)
}

/// Asks as a panel does; tells the number of samples.
fn ask(node: &Node, range: TimeRange) -> usize {
    let found = node.engine.select(range, &[Matcher::metric("m1")]).unwrap();
    let mut columns = Columns::default();
    let mut samples = 0;
    for index in 0..found.len() {
        columns.clear();
        found.read(index, range, &mut columns).unwrap();
        samples += columns.len();
    }
    samples
}

/// Waits for the threads of the tier, which do what is read ahead.
fn wait_for(node: &Node, name: &str, least: f64) {
    let begun = std::time::Instant::now();
    while node.metric(name) < least {
        assert!(begun.elapsed().as_secs() < 60, "{name} is {}", node.metric(name));
        std::thread::yield_now();
    }
}

#[test]
fn a_window_that_is_moved_back_finds_the_days_before_it_read() {
    let (world, node) = world(4);
    let window = |moved: i64| {
        let end = world.now_ms - 2 * DAY_MS - moved * 6 * HOUR_MS;
        TimeRange::new(end - 6 * HOUR_MS, end)
    };
    let asked: usize = (0..3).map(|moved| ask(&node, window(moved))).sum();
    assert!(asked > 0);
    // Three series of the metric, in one day before at least.
    wait_for(&node, "mytsdb_cache_prefetched_total", 1.0);
    assert_eq!(node.metric("mytsdb_cache_prefetch_hits_total"), 0.0);
    for moved in 3..12 {
        ask(&node, window(moved));
    }
    assert!(node.metric("mytsdb_cache_prefetch_hits_total") > 0.0);
    world.check(&node, "after reading ahead");
}

#[test]
fn a_day_that_is_demoted_is_read_for_the_windows_that_show_it() {
    let (mut world, node) = world(4);
    // Later by a day and a half, the day before yesterday goes to the tier.
    let mut random = Random::new(seed(4));
    let now = world.now_ms / 60_000;
    world.append(&node, &mut random, 200, now - 1_440..now);
    world.advance(36 * HOUR_MS);
    let now = world.now_ms / 60_000;
    world.append(&node, &mut random, 10, now - 60..now);
    let range =
        |refresh: i64| TimeRange::new(world.now_ms - 7 * DAY_MS + refresh * 15_000, world.now_ms + refresh * 15_000);
    let before: Vec<usize> = (0..3).map(|refresh| ask(&node, range(refresh))).collect();
    let read_ahead = node.metric("mytsdb_cache_prefetched_total");
    node.engine.flush_before(world.now_ms - HOUR_MS).unwrap();
    let days = node.cold.manifest().unwrap().days.len();
    node.settle();
    assert!(node.cold.manifest().unwrap().days.len() > days, "no day was demoted");
    wait_for(&node, "mytsdb_cache_prefetched_total", read_ahead + 1.0);
    assert_eq!(ask(&node, range(2)), before[2]);
    world.check(&node, "after the demotion");
}

#[test]
fn nothing_is_read_ahead_if_it_is_not_to_be() {
    let (world, node) = world(0);
    for moved in 0..10 {
        let end = world.now_ms - 2 * DAY_MS - moved * 6 * HOUR_MS;
        ask(&node, TimeRange::new(end - 6 * HOUR_MS, end));
    }
    assert_eq!(node.metric("mytsdb_cache_prefetched_total"), 0.0);
}
