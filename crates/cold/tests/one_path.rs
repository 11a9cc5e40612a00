//! One read path: random samples over head, blocks and cold tier, late ones, deletions, merges and restarts, against a model.
//!
//! `MYTSDB_COLD_RUNS` sets the number of runs, `MYTSDB_SEED` the seed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use mytsdb_stop::StopSign;
use mytsdb_testkit::{Random, seed, setting};
use world::{DAY_MS, HOUR_MS, World};

#[test]
fn head_blocks_and_cold_tier_answer_as_one() {
    let (seed, runs) = (seed(1), setting("MYTSDB_COLD_RUNS", 12));
    let mut demoted = 0;
    for run in 0..runs {
        let mut random = Random::of_case(seed, run);
        let context = format!("seed {seed} run {run}");
        demoted += play(&mut random, &context);
    }
    assert!(demoted > runs, "{demoted} blocks were demoted in {runs} runs");
}

fn play(random: &mut Random, context: &str) -> u64 {
    let mut world = World::new();
    // The tier is as old as the samples are, so that random ages meet it.
    world.advance(-10 * DAY_MS);
    let mut node = world.open().unwrap();
    let mut demoted = 0;
    for step in 0..40 + random.below(40) {
        let context = format!("{context} step {step}");
        let now_minute = world.now_ms / 60_000;
        match random.below(24) {
            0..7 => {
                let count = 1 + random.below(60);
                world.append(&node, random, count, now_minute - 120..now_minute);
                world.advance(random.below(8) as i64 * HOUR_MS);
            }
            7..10 => {
                let (count, days) = (1 + random.below(30), 1 + random.below(6) as i64);
                world.append(&node, random, count, now_minute - days * 24 * 60..now_minute);
            }
            10..13 => drop(node.engine.flush_before(world.now_ms - random.below(5) as i64 * HOUR_MS).unwrap()),
            13 => while node.engine.compact(StopSign::NEVER, &mut |_| ()).unwrap().is_some() {},
            14 => drop(node.engine.maintain().unwrap()),
            15..18 => demoted += node.cold.step(StopSign::NEVER).unwrap().demoted_blocks as u64,
            18 => node.settle(),
            19 => world.delete(&node, random),
            20 if random.one_in(3) => {
                node.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
                node.cold.clean_tombstones(StopSign::NEVER).unwrap();
                node.engine.maintain().unwrap();
            }
            21 => {
                drop(node);
                world.disk = world.disk.crash(random.bits());
                node = world.open().unwrap();
            }
            _ => world.check_part(&node, random, &context),
        }
        if random.one_in(3) {
            world.check(&node, &context);
        }
    }
    world.check(&node, context);
    node.settle();
    world.check(&node, context);
    node.cold.verify(StopSign::NEVER).unwrap();
    demoted
}
