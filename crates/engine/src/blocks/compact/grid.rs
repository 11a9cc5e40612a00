//! The grid of times on which blocks are cut and merged.

use mytsdb_model::TimeRange;

/// Spans of a block that make a day.
const BLOCKS_PER_DAY: i64 = 12;

/// Parts of a day that are merged before the day is over.
const PARTS_PER_DAY: i64 = 4;

/// How much longer each level is than the one before.
const LEVEL_FACTOR: i64 = 4;

/// Levels behind the first: 64 days at most.
const LEVELS_MAX: u32 = 3;

/// A block is at most this part of the retention, so that what has expired leaves in time; a day is always allowed.
const RETENTION_PARTS: i64 = 10;

/// Cells of a day, and of several levels of longer spans that are whole numbers of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the unit")]
pub(crate) struct Grid {
    day_ms: i64,
    longest_ms: i64,
    retention_ms: i64,
}

impl Grid {
    pub(crate) fn new(block_ms: i64, retention_ms: i64) -> Self {
        let day_ms = block_ms.saturating_mul(BLOCKS_PER_DAY);
        let mut longest_ms = day_ms;
        for _ in 0..LEVELS_MAX {
            let next_ms = longest_ms.saturating_mul(LEVEL_FACTOR);
            if next_ms > retention_ms / RETENTION_PARTS {
                break;
            }
            longest_ms = next_ms;
        }
        Self { day_ms, longest_ms, retention_ms }
    }

    /// Lengths of cells, the shortest first.
    pub(super) fn levels(self) -> impl Iterator<Item = i64> {
        let next = move |&ms: &i64| ms.checked_mul(LEVEL_FACTOR).filter(|&next_ms| next_ms <= self.longest_ms);
        std::iter::once(self.day_ms / PARTS_PER_DAY).chain(std::iter::successors(Some(self.day_ms), next))
    }

    /// Above this number of blocks even merges that save little are done.
    pub(super) fn blocks_max(self) -> usize {
        let (levels, cells) = (self.levels().count() - 2, self.retention_ms / self.longest_ms + 1);
        // Of the last two days, parts of flushes included, and of each level what is not complete yet, and some late ones.
        14 + levels * (2 * LEVEL_FACTOR as usize - 1) + usize::try_from(cells).unwrap_or(usize::MAX / 2)
    }

    /// The day that has a time.
    pub(crate) fn day(self, timestamp_ms: i64) -> TimeRange {
        cell(self.day_ms, timestamp_ms)
    }

    /// The cell of the last level that has a time.
    pub(super) fn longest(self, timestamp_ms: i64) -> TimeRange {
        cell(self.longest_ms, timestamp_ms)
    }
}

/// The cell of a length that has a time. The first and the last one of all times are as long as there is time.
pub(super) fn cell(length_ms: i64, timestamp_ms: i64) -> TimeRange {
    let mint = timestamp_ms.div_euclid(length_ms).checked_mul(length_ms).unwrap_or(i64::MIN);
    let maxt = timestamp_ms.div_euclid(length_ms).checked_add(1).and_then(|next| next.checked_mul(length_ms));
    TimeRange::new(mint, maxt.map_or(i64::MAX, |end| end - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_follow_each_other_and_long_ones_are_whole_numbers_of_short_ones() {
        const HOUR_MS: i64 = 3_600_000;
        const DAY_MS: i64 = 24 * HOUR_MS;
        let levels =
            |days: i64| Grid::new(2 * HOUR_MS, days * DAY_MS).levels().map(|ms| ms / HOUR_MS).collect::<Vec<_>>();
        assert_eq!(levels(1), [6, 24]);
        assert_eq!(levels(39), [6, 24]);
        assert_eq!(levels(40), [6, 24, 96]);
        assert_eq!(levels(365), [6, 24, 96, 384]);
        assert_eq!(levels(100_000), [6, 24, 96, 384, 1_536]);
        assert_eq!(Grid::new(2 * HOUR_MS, 15 * DAY_MS).blocks_max(), 30);
        for at in [0, 5, -1, -DAY_MS, DAY_MS - 1, i64::MIN, i64::MAX] {
            let cell = cell(DAY_MS, at);
            assert!(cell.contains(at), "{at}: {cell}");
        }
        assert_eq!(cell(10, -1), TimeRange::new(-10, -1));
        assert_eq!(cell(10, 10), TimeRange::new(10, 19));
    }
}
