//! One read path: random samples over head, blocks and cold tier, late ones, deletions, merges and restarts, against a model; with the
//! caches on, off and tiny, which must give the same answers bit for bit.
//!
//! `MYTSDB_COLD_RUNS` sets the number of runs, `MYTSDB_SEED` the seed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use mytsdb_model::TimeRange;
use mytsdb_stop::StopSign;
use mytsdb_testkit::{Random, seed, setting};
use world::{DAY_MS, HOUR_MS, World};

/// What a play comes to.
#[derive(Default)]
struct Played {
    demoted: u64,
    /// Hashes of what was read.
    answers: Vec<u64>,
    cache_hits: f64,
}

/// Sizes of L1 and L2: on, off, and so tiny that most of what is put there has to go.
const CACHES: [(usize, u64); 3] = [(64 << 20, 64 << 20), (0, 0), (4_000, 8_000)];

#[test]
fn head_blocks_and_cold_tier_answer_as_one_whatever_is_cached() {
    let (seed, runs) = (seed(1), setting("MYTSDB_COLD_RUNS", 6));
    let mut demoted = 0;
    let mut hits = [0.0; CACHES.len()];
    for run in 0..runs {
        let mut answers = None;
        for (caches, hits) in CACHES.iter().zip(&mut hits) {
            let context = format!("seed {seed} run {run} caches {caches:?}");
            let played = play(&mut Random::of_case(seed, run), *caches, &context);
            demoted += played.demoted;
            *hits += played.cache_hits;
            let first = answers.get_or_insert_with(|| played.answers.clone());
            assert_eq!(*first, played.answers, "{context}: other answers than with other caches");
        }
    }
    println!("{demoted} blocks demoted, hits of the caches: {hits:?}");
    assert!(demoted > runs, "{demoted} blocks were demoted in {runs} runs");
    assert!(hits[0] > hits[2] && hits[2] > 0.0 && hits[1] == 0.0, "hits of the caches {CACHES:?}: {hits:?}");
}

fn play(random: &mut Random, caches: (usize, u64), context: &str) -> Played {
    let mut world = World::new();
    (world.options.cache_l1_bytes, world.options.cache_l2_bytes) = caches;
    world.options.prefetch_windows = 2;
    let mut played = Played::default();
    // The tier is as old as the samples are, so that random ages meet it.
    world.advance(-10 * DAY_MS);
    let mut node = world.open().unwrap();
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
            15..18 => played.demoted += node.cold.step(StopSign::NEVER).unwrap().demoted_blocks as u64,
            18 => node.settle(),
            19 => world.delete(&node, random),
            20 if random.one_in(3) => {
                node.engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap();
                node.cold.clean_tombstones(StopSign::NEVER).unwrap();
                node.engine.maintain().unwrap();
            }
            21 => {
                played.cache_hits += node.metric("mytsdb_cache_hits_total");
                drop(node);
                world.disk = world.disk.crash(random.bits());
                node = world.open().unwrap();
            }
            22 => {
                // Killed, not without power: what was written is there.
                played.cache_hits += node.metric("mytsdb_cache_hits_total");
                if random.one_in(2) {
                    node.cold.persist_cache();
                }
                drop(node);
                node = world.open().unwrap();
            }
            _ => world.check_part(&node, random, &context),
        }
        if random.one_in(3) {
            world.check(&node, &context);
            let from = (20_000 - 12) * DAY_MS + random.below(14 * 24) as i64 * HOUR_MS;
            let part = TimeRange::new(from, from + random.below(50) as i64 * HOUR_MS);
            played.answers.extend([node.answer(TimeRange::ALL), node.answer(part)]);
        }
    }
    world.check(&node, context);
    node.settle();
    world.check(&node, context);
    played.answers.push(node.answer(TimeRange::ALL));
    played.cache_hits += node.metric("mytsdb_cache_hits_total");
    node.cold.verify(StopSign::NEVER).unwrap();
    played
}
