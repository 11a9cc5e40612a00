//! Days that become buckets: at every place where the power may fail, with late samples, deletions, rules and restarts. Each sample counts
//! once, as a sample or in a bucket, and no more than once.
//!
//! `MYTSDB_SEED` sets the seed of what a power cut leaves on the disk, `MYTSDB_CUT_STRIDE` the distance of cuts: 1 for every place.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use mytsdb_columns::Columns;
use mytsdb_downsample::{Bucket, Buckets, Resolution, Rule, Stored};
use mytsdb_engine::Lookup;
use mytsdb_model::{MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_testkit::{Random, setting};
use std::collections::{BTreeMap, BTreeSet};
use world::{Cut, DAY_MS, HOUR_MS, Node, World, labels};

/// What is under way when the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Buckets are made of two days.
    Make,
    /// A day is written anew with what came late, and its buckets with it.
    MakeAgain,
    /// The samples expire.
    Expire,
    /// Buckets are written anew without what is deleted.
    Clean,
}

/// Days with samples end before this.
const OLD: TimeRange = TimeRange { mint: i64::MIN, maxt: 20_000 * DAY_MS - DAY_MS };

/// All series but the fifth.
fn rules() -> Vec<Rule> {
    let selector = vec![Matcher::new(MatchOp::NotEqual, "series", "5").unwrap()];
    let keep_ms = vec![(Resolution::FiveMinutes, 2_000 * DAY_MS), (Resolution::Hour, 5_000 * DAY_MS)];
    vec![Rule { selector, keep_ms }]
}

fn play(node: &Node) -> Result<(), mytsdb_cold::ColdError> {
    loop {
        let done = node.cold.step(StopSign::NEVER)?;
        if done.demoted_blocks + done.downsampled_days == 0 {
            return Ok(());
        }
    }
}

/// A world just before the act.
fn before(act: Act) -> (World, Node) {
    let mut world = World::new();
    world.options.label_columns_max = 500;
    let mut random = Random::new(5);
    let today = world.now_ms / 60_000;
    let node = world.open().unwrap();
    for days in [4, 3] {
        world.append(&node, &mut random, 60, today - days * 1_440..today - days * 1_440 + 600);
    }
    // What is new tells that the clock is right.
    world.append(&node, &mut random, 5, today - 60..today);
    node.engine.flush_before(world.now_ms - DAY_MS).unwrap();
    node.settle();
    drop(node);
    world.options.downsample = rules();
    let node = world.open().unwrap();
    if act == Act::Make {
        return (world, node);
    }
    play(&node).unwrap();
    if act == Act::MakeAgain {
        world.advance(30 * HOUR_MS);
        let now = world.now_ms / 60_000;
        world.append(&node, &mut random, 5, now - 60..now);
        world.append(&node, &mut random, 30, today - 4 * 1_440..today - 3 * 1_440);
        node.engine.flush_before(world.now_ms - DAY_MS).unwrap();
        return (world, node);
    }
    world.advance(world.retention_ms);
    let now = world.now_ms / 60_000;
    world.append(&node, &mut random, 5, now - 60..now);
    if act == Act::Clean {
        play(&node).unwrap();
        node.engine.delete_series(&[vec![Matcher::equal("series", "2")]], TimeRange::ALL).unwrap();
        world.model.retain(|(series, _), _| *series != 2);
    }
    (world, node)
}

fn act_out(act: Act, node: &Node) -> Result<(), mytsdb_cold::ColdError> {
    if act == Act::Clean {
        return node.cold.clean_tombstones(StopSign::NEVER).map(drop);
    }
    play(node)
}

/// The floats of a series in old days, as the model has them.
fn floats(world: &World, series: usize) -> Columns {
    let mut columns = Columns::default();
    let own = world.model.iter().filter(|((of, time), _)| *of == series && OLD.contains(*time));
    for ((_, time), number) in own.filter(|(_, number)| **number < world::kinds::HISTOGRAM) {
        columns.push_float(*time, *number);
    }
    columns
}

/// What there is of a series in old days, with the number of floats: no buckets if there are only samples, no number if there are
/// histograms beside buckets.
fn buckets(node: &Node, series: usize, resolution: Resolution) -> (Option<Buckets>, Option<usize>) {
    let matchers = [Matcher::equal("series", series.to_string())];
    let found = node.engine.candidates(&Lookup { resolution, ..Lookup::new(OLD, &matchers) }).unwrap();
    let (mut buckets, mut columns) = (Buckets::default(), Columns::default());
    for index in 0..found.len() {
        assert_eq!(*found.labels(index), labels(series));
        match found.read_buckets(index, OLD, &mut buckets).unwrap() {
            Stored::Buckets => {
                let count = buckets.counts.iter().sum::<u32>() as usize;
                return (Some(buckets), Some(count));
            }
            Stored::Mixed => return (None, None),
            Stored::Samples => found.read(index, OLD, &mut columns).unwrap(),
        }
    }
    (None, Some(columns.values.len()))
}

/// Every sample of a series with a rule is there once.
fn check(world: &World, node: &Node, context: &str) {
    for series in 0..world::SERIES {
        let expected = floats(world, series).values.len();
        for resolution in Resolution::ALL {
            let (found, count) = buckets(node, series, resolution);
            if series == 5 {
                // No rule is about it.
                assert!(count.is_none_or(|count| count <= expected), "{context}: {series} {resolution}");
                continue;
            }
            assert_eq!(count.unwrap_or(expected), expected, "{context}: series {series} {resolution} {found:?}");
            // Series of an odd number are floats alone.
            assert!(count.is_some() || series % 2 == 0, "{context}: series {series}");
        }
    }
    assert_eq!(node.engine.warnings(TimeRange::ALL), [""; 0], "{context}");
}

fn rows(buckets: &Buckets) -> Vec<Bucket> {
    buckets.iter().collect()
}

/// What must hold at the end: the buckets are those of the samples, bit for bit.
fn finished(act: Act, world: &mut World, node: &Node, random: &mut Random, context: &str) {
    let manifest = node.cold.manifest().unwrap();
    let mut folders: BTreeMap<_, usize> = BTreeMap::new();
    for live in &manifest.days {
        *folders.entry((live.day, live.resolution)).or_default() += 1;
    }
    assert!(folders.values().all(|count| *count == 1), "{context}: {folders:?}");
    let widths = if matches!(act, Act::Make | Act::MakeAgain) { 3 } else { 2 };
    let days: BTreeSet<_> = folders.keys().map(|(day, _)| *day).collect();
    assert_eq!((folders.len(), days.len() >= 2), (days.len() * widths, true), "{context}: {folders:?}");
    world.advance(world.retention_ms);
    let now = world.now_ms / 60_000;
    world.append(node, random, 5, now - 60..now);
    play(node).unwrap();
    node.cold.verify(StopSign::NEVER).unwrap();
    let manifest = node.cold.manifest().unwrap();
    assert!(manifest.days.iter().all(|live| live.resolution.is_some()), "{context}: samples have not expired");
    // Those of five minutes are gone where the clock went on twice.
    let resolution = Resolution::Hour;
    for series in 0..world::SERIES {
        let (found, _) = buckets(node, series, resolution);
        let mut expected = Buckets::default();
        let all = floats(world, series);
        for day in 20_000 - 5..20_000 {
            let mut part = Columns::default();
            part.extend_from(&all, TimeRange::new(day * DAY_MS, (day + 1) * DAY_MS - 1));
            expected.append_floats(&part.timestamps_ms, &part.values, resolution);
        }
        if series == 5 {
            expected.clear();
        }
        assert_eq!(rows(&found.unwrap_or_default()), rows(&expected), "{context}: series {series}");
    }
}

/// Plays an act until a cut, restarts, and compares; tells whether the cut came before the end of the act.
fn run(act: Act, cut: Cut, random: &mut Random) -> bool {
    let context = format!("{act:?} {cut:?}");
    let (mut world, node) = before(act);
    cut.set(&world);
    let failed = act_out(act, &node).is_err();
    if let Cut::Store(..) = cut {
        // Also without a crash all goes on when the store is back.
        world.store.heal();
        if random.one_in(2) {
            check(&world, &node, &format!("{context} healed"));
        }
    }
    drop(node);
    world.disk = world.disk.crash(random.bits());
    let node = world.open().unwrap();
    check(&world, &node, &format!("{context} opened"));
    act_out(act, &node).unwrap_or_else(|error| panic!("{context}: {error}"));
    check(&world, &node, &format!("{context} finished"));
    finished(act, &mut world, &node, random, &context);
    failed
}

/// Cuts at every place, or, in the short form, at some, until the act ends before the cut.
fn enumerate(act: Act) {
    world::enumerate(act, setting("MYTSDB_CUT_STRIDE", 11), |cut, random| run(act, cut, random));
}

#[test]
fn no_crash_of_making_buckets_loses_or_doubles_a_sample() {
    enumerate(Act::Make);
}

#[test]
fn no_crash_of_making_buckets_anew_loses_or_doubles_a_sample() {
    enumerate(Act::MakeAgain);
}

#[test]
fn no_crash_while_samples_expire_loses_or_doubles_what_buckets_have() {
    enumerate(Act::Expire);
}

#[test]
fn no_crash_of_a_deletion_of_buckets_loses_one_or_brings_one_back() {
    enumerate(Act::Clean);
}

#[test]
fn a_deletion_hides_buckets_at_once_and_buckets_go_when_rules_say_so() {
    let (mut world, node) = before(Act::Expire);
    play(&node).unwrap();
    let (before, _) = buckets(&node, 1, Resolution::Hour);
    let before = rows(&before.unwrap());
    let first = before[0];
    let range = TimeRange::new(first.first_ms, first.first_ms);
    node.engine.delete_series(&[vec![Matcher::equal("series", "1")]], range).unwrap();
    for _ in 0..2 {
        let (after, _) = buckets(&node, 1, Resolution::Hour);
        assert_eq!(rows(&after.unwrap()), before[1..], "a part of a bucket cannot stay");
        assert!(node.cold.clean_tombstones(StopSign::NEVER).unwrap() < 3);
    }
    node.cold.verify(StopSign::NEVER).unwrap();
    drop(node);
    // Without a rule nothing expires.
    world.options.downsample = Vec::new();
    world.advance(6_000 * DAY_MS);
    let node = world.open().unwrap();
    let now = world.now_ms / 60_000;
    world.append(&node, &mut Random::new(2), 5, now - 60..now);
    play(&node).unwrap();
    assert_eq!(node.cold.manifest().unwrap().days.len(), 4);
    drop(node);
    world.options.downsample = rules();
    let node = world.open().unwrap();
    play(&node).unwrap();
    assert_eq!(node.cold.manifest().unwrap().days, []);
}

#[test]
fn of_several_widths_one_is_read_and_what_comes_after_the_samples_went_is_added() {
    // Folders with samples of old days.
    let samples = |node: &Node| {
        let manifest = node.cold.manifest().unwrap();
        manifest.days.iter().filter(|live| live.resolution.is_none() && live.range.overlaps(OLD)).count()
    };
    let (mut world, node) = before(Act::Expire);
    play(&node).unwrap();
    let (fine, count) = buckets(&node, 1, Resolution::FiveMinutes);
    let (coarse, same) = buckets(&node, 1, Resolution::Hour);
    assert!(count > Some(3) && count == same && fine.unwrap().len() >= coarse.unwrap().len());
    drop(node);
    // A longer retention from now on: what comes late for these days is taken.
    world.retention_ms = 3_000 * DAY_MS;
    let node = world.open().unwrap();
    let late_minute = (20_000 - 4) * 1_440 + 700;
    world.append(&node, &mut Random::new(9), 40, late_minute..late_minute + 60);
    check(&world, &node, "in the head");
    node.engine.flush_before(world.now_ms - DAY_MS).unwrap();
    play(&node).unwrap();
    check(&world, &node, "in a file of samples");
    assert_eq!(samples(&node), 1);
    drop(node);
    let node = world.open().unwrap();
    check(&world, &node, "after a restart");
    drop(node);
    world.retention_ms = 500 * DAY_MS;
    let node = world.open().unwrap();
    play(&node).unwrap();
    check(&world, &node, "in buckets");
    assert_eq!(samples(&node), 0);
}
