//! Plans: what is merged, what is left alone, and that planning ends.

use super::grid::Grid;
use super::plan::{Facts, Plan, Situation};
use mytsdb_model::TimeRange;
use std::collections::HashSet;

/// Two hours are 10; so a day is 120.
const BLOCK: i64 = 10;
const DAY: i64 = 120;

fn facts(id: u64, mint: i64, maxt: i64, bytes: u64) -> Facts {
    Facts { id, range: TimeRange::new(mint, maxt), labels: [0, 99], bytes, is_outdated: false }
}

fn plan_of(blocks: &[Facts], days: i64, flushed_until_ms: i64, failed: &[u64]) -> Option<Plan> {
    let grid = Grid::new(BLOCK, days * DAY);
    let failed: HashSet<u64> = failed.iter().copied().collect();
    Situation { blocks, grid, flushed_until_ms, failed: &failed }.plan()
}

#[track_caller]
fn check(blocks: &[Facts], flushed_until_ms: i64, expected: Option<&[u64]>) {
    let found = plan_of(blocks, 15, flushed_until_ms, &[]).map(|plan| plan.inputs);
    assert_eq!(found.as_deref(), expected);
}

fn day_of_blocks(first_id: u64, day: i64) -> Vec<Facts> {
    (0..12).map(|i| facts(first_id + i as u64, day * DAY + i * BLOCK, day * DAY + i * BLOCK + 9, 100)).collect()
}

#[test]
fn parts_of_a_day_are_merged_once_they_are_over_and_then_the_day() {
    let day = day_of_blocks(1, 0);
    check(&day, 29, None);
    check(&day, 30, Some(&[1, 2, 3]));
    let parts: Vec<Facts> = (0..4).map(|i| facts(i as u64 + 13, i * 30, i * 30 + 29, 300)).collect();
    check(&parts, DAY - 1, None);
    check(&parts, DAY, Some(&[13, 14, 15, 16]));
    check(&day[..1], DAY, None);
    check(&[facts(13, 0, 119, 1_000)], 5 * DAY, None);
}

#[test]
fn small_late_blocks_are_merged_with_each_other_before_the_day_is() {
    let day = facts(1, 0, 119, 10_000);
    check(&[day, facts(2, 5, 50, 10)], DAY, None);
    check(&[day, facts(2, 5, 50, 10), facts(3, 60, 70, 30)], DAY, Some(&[2, 3]));
    check(&[day, facts(2, 5, 50, 2_500)], DAY, Some(&[1, 2]));
    let stack: Vec<Facts> =
        [day, facts(2, 0, 9, 2_000), facts(3, 0, 9, 400), facts(4, 0, 9, 80), facts(5, 0, 9, 10)].into();
    check(&stack[..4], DAY, None);
    check(&stack, DAY, Some(&[1, 2, 3, 4, 5]));
}

#[test]
fn nothing_is_merged_around_a_younger_block_that_stays() {
    // 3 overlaps with 2, is younger, crosses the day and is not to be touched: 2 would become younger than 3.
    let blocks = [facts(1, 0, 9, 10), facts(2, 100, 119, 10), facts(3, 110, 119, 10)];
    assert_eq!(plan_of(&blocks, 15, DAY, &[3]), None);
    assert_eq!(plan_of(&blocks, 15, DAY, &[1]).map(|plan| plan.inputs), Some(vec![2, 3]));
    let blocks = [facts(1, 0, 9, 10), facts(2, 80, 119, 10), facts(3, 70, 119, 10)];
    assert_eq!(plan_of(&blocks, 15, DAY, &[]).map(|plan| plan.inputs), Some(vec![1, 2, 3]));
}

#[test]
fn blocks_that_cross_days_are_divided_with_those_above_them() {
    let blocks = [
        facts(1, 0, 20, 10),
        facts(2, 15, 3 * DAY + 5, 10),
        facts(3, 3 * DAY, 3 * DAY + 1, 10),
        facts(4, 2 * DAY, 2 * DAY, 10),
    ];
    let plan = plan_of(&blocks, 15, 0, &[]).unwrap();
    assert_eq!(plan.inputs, [2, 3, 4], "1 is older");
    let days: Vec<TimeRange> = (0..4).map(|day| TimeRange::new(day * DAY, day * DAY + DAY - 1)).collect();
    assert_eq!(plan.ranges, days);
    let far = [facts(1, i64::MIN, i64::MAX, 10)];
    assert_eq!(plan_of(&far, 15, i64::MAX, &[]), None, "into too many");
}

#[test]
fn overlapping_blocks_of_today_are_merged_from_four_on() {
    let chain: Vec<Facts> = (0..4).map(|i| facts(i as u64 + 1, i * 10, i * 10 + 12, 100)).collect();
    check(&chain[..3], 29, None);
    check(&chain, 29, Some(&[1, 2, 3, 4]));
    let apart: Vec<Facts> = (0..4).map(|i| facts(i as u64 + 1, i * 10, i * 10 + 9, 100)).collect();
    check(&apart, 29, None);
}

#[test]
fn parts_of_a_flush_lie_beside_each_other_and_wait_until_their_time_is_over() {
    let part = |id: u64, labels| Facts { labels, ..facts(id, 0, 9, 100) };
    let mut parts: Vec<Facts> = (0..4).map(|i| part(i + 1, [i as u32 * 10, i as u32 * 10 + 9])).collect();
    check(&parts, 29, None);
    check(&parts, 30, Some(&[1, 2, 3, 4]));
    // Late samples, of few series each.
    parts.extend([part(5, [0, 39]), part(6, [5, 25])]);
    check(&parts, 29, None);
    parts.push(part(7, [25, 25]));
    check(&parts, 29, Some(&[1, 2, 3, 4, 5, 6, 7]));
}

#[test]
fn old_versions_are_written_anew_with_what_lies_above_them() {
    let old = Facts { is_outdated: true, ..facts(2, 0, 9, 10) };
    check(&[facts(1, 0, 9, 10_000), old, facts(3, 5, 6, 1), facts(4, 20, 29, 10)], 0, Some(&[2, 3]));
    check(&[old], 0, Some(&[2]));
    assert_eq!(plan_of(&[old], 15, 0, &[2]), None);
}

#[test]
fn months_of_blocks_and_late_samples_settle_and_stay_few() {
    // Small flushes, and large ones in four parts.
    for (days, parts, blocks_max) in [(15, 1, 30), (15, 4, 30), (400, 1, 60), (400, 4, 60)] {
        let grid = Grid::new(BLOCK, days * DAY);
        let (mut blocks, mut next_id) = (Vec::<Facts>::new(), 1);
        let (mut written, mut flushed, mut most) = (0, 0, 0);
        let mut random = mytsdb_testkit::Random::new(7);
        for step in 1..days * 12 {
            let now = step * BLOCK;
            for part in 0..parts {
                let labels = [part * 25, part * 25 + 24];
                blocks.push(Facts { labels, ..facts(next_id, now - BLOCK, now - 1, 1_000 / u64::from(parts)) });
                next_id += 1;
            }
            flushed += 1_000;
            if random.below(10) == 0 {
                // Late samples of any day.
                let at = random.below(now as u64) as i64;
                blocks.push(facts(next_id, at, grid.day(at).maxt.min(at + 5).min(now - 1), 3));
                next_id += 1;
            }
            let mut rounds = 0;
            while let Some(plan) =
                (Situation { blocks: &blocks, grid, flushed_until_ms: now, failed: &HashSet::new() }).plan()
            {
                let inputs: Vec<Facts> = blocks.extract_if(.., |b| plan.inputs.contains(&b.id)).collect();
                assert_eq!((inputs.len(), plan.ranges.len()), (plan.inputs.len(), 1));
                let range = inputs.iter().fold(TimeRange::EMPTY, |range, b| range.cover(b.range));
                assert!(plan.ranges[0].encloses(range));
                let bytes = inputs.iter().map(|b| b.bytes).sum();
                written += bytes;
                blocks.push(facts(next_id, range.mint, range.maxt, bytes));
                next_id += 1;
                rounds += 1;
                assert!(rounds < 10, "does not settle");
            }
            most = most.max(blocks.len());
        }
        assert!(most <= blocks_max, "{days} days, {parts} parts: {most} blocks");
        assert!(written < flushed * 8, "{days} days, {parts} parts: {} times rewritten", written / flushed);
    }
}
