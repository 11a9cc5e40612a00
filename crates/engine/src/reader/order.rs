//! The order in which the sources of a selection are read.

use mytsdb_model::TimeRange;

/// An order of sources, which are given in that of their ids, in which samples mostly come in the order of time when one source is read behind
/// the other; `None` if they stand in such an order.
///
/// Of two sources that lie over each other in time the one with the lower id comes first: of two samples with one time its one stays. Of the others the
/// earlier one comes first, where the first rule leaves that open. So a block that was merged later than the blocks behind it were written comes before them.
///
/// Cost: a comparison of each two, if there is anything to do.
pub(super) fn reading_order(ranges: &[TimeRange]) -> Option<Vec<usize>> {
    if ranges.is_sorted_by_key(|range| range.mint) {
        return None;
    }
    let overlap = |older: usize, newer: usize| ranges[older].overlaps(ranges[newer]);
    // How many sources must come first that have not come yet.
    let mut waits: Vec<usize> =
        (0..ranges.len()).map(|newer| (0..newer).filter(|&older| overlap(older, newer)).count()).collect();
    let mut left: Vec<usize> = (0..ranges.len()).collect();
    let mut order = Vec::with_capacity(ranges.len());
    // The oldest one that is left waits for none, so there always is a next one.
    while let Some(at) = (0..left.len()).filter(|&at| waits[left[at]] == 0).min_by_key(|&at| ranges[left[at]].mint) {
        let next = left.remove(at);
        for &newer in left.iter().filter(|&&other| other > next && overlap(next, other)) {
            waits[newer] -= 1;
        }
        order.push(next);
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_testkit::{Random, seed};

    fn order(ranges: &[(i64, i64)]) -> Option<Vec<usize>> {
        let ranges: Vec<TimeRange> = ranges.iter().map(|&(mint, maxt)| TimeRange::new(mint, maxt)).collect();
        reading_order(&ranges)
    }

    #[test]
    fn a_merged_day_comes_before_younger_blocks_of_lower_ids() {
        assert_eq!(order(&[]), None);
        assert_eq!(order(&[(0, 9), (10, 19), (10, 19), (20, 29)]), None);
        assert_eq!(order(&[(10, 11), (12, 13), (0, 9)]), Some(vec![2, 0, 1]));
        assert_eq!(order(&[(10, 11), (8, 13), (0, 9)]), Some(vec![0, 1, 2]), "late samples in the second one");
        assert_eq!(order(&[(10, 11), (8, 13), (0, 7)]), Some(vec![2, 0, 1]));
    }

    #[test]
    fn lower_ids_come_first_wherever_ranges_lie_over_each_other() {
        let mut random = Random::new(seed(1));
        for _ in 0..500 {
            let count = random.index(12);
            let ranges: Vec<TimeRange> = (0..count)
                .map(|_| {
                    let mint = random.below(40) as i64;
                    TimeRange::new(mint, mint + random.below(12) as i64)
                })
                .collect();
            let order = reading_order(&ranges).unwrap_or_else(|| (0..count).collect());
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..count), "{ranges:?}");
            let are_apart = (0..count).all(|a| (0..a).all(|b| !ranges[a].overlaps(ranges[b])));
            for (at, &first) in order.iter().enumerate() {
                for &second in &order[at + 1..] {
                    assert!(first < second || !ranges[first].overlaps(ranges[second]), "{ranges:?}");
                    assert!(!are_apart || ranges[first].maxt < ranges[second].mint, "{ranges:?}");
                }
            }
        }
    }
}
