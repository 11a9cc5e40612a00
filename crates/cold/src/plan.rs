//! Which days are written next, and from which blocks. No disk, no store: facts in, a plan out.

use mytsdb_engine::StoredBlock;
use mytsdb_model::TimeRange;
use mytsdb_parquet_tier::Day;
use std::collections::{BTreeMap, HashSet};

/// Most days of one demotion.
const DAYS_MAX: i64 = 512;

/// Days to write, and what goes into them beside the files that they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Ascending.
    pub days: Vec<Day>,
    /// All blocks that have samples of these days, ascending; none has samples of another day.
    pub blocks: Vec<u64>,
}

/// What there is.
pub(crate) struct Situation<'a> {
    /// Ascending by id.
    pub blocks: &'a [StoredBlock],
    /// When the files of each day were written, by the clock.
    pub written_ms: &'a BTreeMap<Day, u64>,
    /// Days that end before this are old enough.
    pub before_ms: i64,
    /// Days whose files were written after this are left alone: what comes late is collected first.
    pub quiet_since_ms: u64,
    /// Blocks that are left alone.
    pub failed: &'a HashSet<u64>,
}

impl Situation<'_> {
    /// What to demote next: the oldest that there is.
    pub fn plan(&self) -> Option<Plan> {
        let mut by_age: Vec<&StoredBlock> = self.blocks.iter().filter(|block| !block.range.is_empty()).collect();
        by_age.sort_by_key(|block| (block.range.mint, block.id));
        by_age.iter().find_map(|block| self.around(block.range))
    }

    /// Whole days around a range, widened until no block crosses their ends.
    ///
    /// A block that stayed behind while a younger one of its times is demoted would lose against it: of two samples with one
    /// time those of the tier stay.
    fn around(&self, range: TimeRange) -> Option<Plan> {
        let mut span = days_of(range)?;
        let members = loop {
            if span.maxt >= self.before_ms || (span.maxt - span.mint) / mytsdb_parquet_tier::DAY_MS >= DAYS_MAX {
                return None;
            }
            let inside = |block: &&StoredBlock| !block.range.is_empty() && block.range.overlaps(span);
            let members: Vec<&StoredBlock> = self.blocks.iter().filter(inside).collect();
            let mut wider = span;
            for member in &members {
                wider = wider.cover(days_of(member.range)?);
            }
            if wider == span {
                break members;
            }
            span = wider;
        };
        if members.iter().any(|block| self.failed.contains(&block.id)) {
            return None;
        }
        let days: Vec<Day> =
            days_in(span).filter(|day| members.iter().any(|b| b.range.overlaps(day.range()))).collect();
        let is_quiet = |day: &Day| self.written_ms.get(day).is_none_or(|written| *written <= self.quiet_since_ms);
        let blocks = members.iter().map(|block| block.id).collect();
        days.iter().all(is_quiet).then_some(Plan { days, blocks })
    }
}

/// The whole days that have a range; `None` if a calendar does not have them.
fn days_of(range: TimeRange) -> Option<TimeRange> {
    Some(Day::of(range.mint)?.range().cover(Day::of(range.maxt)?.range()))
}

fn days_in(span: TimeRange) -> impl Iterator<Item = Day> {
    let first = Day::of(span.mint);
    std::iter::successors(first, |day| Day::of(day.range().maxt + 1))
        .take_while(move |day| day.range().mint <= span.maxt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Blocks from hours to hours (ends excluded), and the days that are planned with their blocks.
    fn plan(
        blocks: &[(i64, i64)],
        before_hours: i64,
        written: &[(i64, u64)],
        failed: &[u64],
    ) -> Option<(Vec<String>, Vec<u64>)> {
        let stored = |(id, &(from, to)): (u64, &(i64, i64))| {
            let range = TimeRange::new(from * HOUR_MS, to * HOUR_MS - 1);
            StoredBlock { id, range, bytes: 1, samples: 1 }
        };
        let blocks: Vec<StoredBlock> = (1..).zip(blocks).map(stored).collect();
        let written_ms = written.iter().map(|&(hour, at)| (Day::of(hour * HOUR_MS).unwrap(), at)).collect();
        let failed = failed.iter().copied().collect();
        let before_ms = before_hours * HOUR_MS;
        let situation =
            Situation { blocks: &blocks, written_ms: &written_ms, before_ms, quiet_since_ms: 100, failed: &failed };
        situation.plan().map(|plan| (plan.days.iter().map(Day::to_string).collect(), plan.blocks))
    }

    fn days(days: &[i64], blocks: &[u64]) -> (Vec<String>, Vec<u64>) {
        (days.iter().map(|day| format!("1970-01-{:02}", day + 1)).collect(), blocks.to_vec())
    }

    #[test]
    fn a_day_goes_when_all_of_it_is_old_enough_and_with_all_of_its_blocks() {
        let blocks = [(0, 2), (2, 4), (5, 6), (24, 26)];
        assert_eq!(plan(&blocks, 23, &[], &[]), None, "the day is not over");
        assert_eq!(plan(&blocks, 24, &[], &[]), Some(days(&[0], &[1, 2, 3])));
        assert_eq!(plan(&[], 25, &[], &[]), None);
    }

    #[test]
    fn a_block_of_several_days_goes_when_all_of_them_may_and_takes_what_overlaps_along() {
        let blocks = [(0, 48), (50, 52), (30, 31)];
        assert_eq!(plan(&blocks, 25, &[], &[]), None);
        assert_eq!(plan(&blocks, 49, &[], &[]), Some(days(&[0, 1], &[1, 3])));
        // The second begins where the first ends, in the same day.
        let chain = [(0, 30), (30, 60), (96, 97)];
        assert_eq!(plan(&chain, 49, &[], &[]), None);
        assert_eq!(plan(&chain, 200, &[], &[]), Some(days(&[0, 1, 2], &[1, 2])));
    }

    #[test]
    fn the_oldest_goes_first_and_days_without_blocks_between_are_not_written() {
        assert_eq!(plan(&[(24, 25), (0, 1)], 100, &[], &[]), Some(days(&[0], &[2])));
        assert_eq!(plan(&[(-30, -29)], 0, &[], &[]).unwrap().0, ["1969-12-30"]);
    }

    #[test]
    fn days_that_were_written_lately_and_blocks_that_failed_are_left_alone() {
        let blocks = [(0, 1), (24, 25), (48, 49)];
        assert_eq!(plan(&blocks, 100, &[(0, 101)], &[]), Some(days(&[1], &[2])));
        assert_eq!(plan(&blocks, 100, &[(0, 100)], &[]), Some(days(&[0], &[1])));
        assert_eq!(plan(&blocks, 100, &[(0, 101)], &[2]), Some(days(&[2], &[3])));
    }

    #[test]
    fn times_that_no_calendar_has_stay_where_they_are() {
        let far = StoredBlock { id: 1, range: TimeRange::new(i64::MIN, 5), bytes: 1, samples: 1 };
        let near = StoredBlock { id: 2, range: TimeRange::new(0, 5), ..far };
        let (written_ms, failed) = (BTreeMap::new(), HashSet::new());
        let (both, one) = ([far, near], [near]);
        let situation = |blocks| Situation {
            blocks,
            written_ms: &written_ms,
            before_ms: i64::MAX,
            quiet_since_ms: 0,
            failed: &failed,
        };
        assert_eq!(situation(&both).plan(), None, "they overlap");
        assert_eq!(situation(&one).plan().unwrap().blocks, [2]);
    }
}
