//! Closed ranges of time.

use std::fmt;

/// `[mint, maxt]` in milliseconds since the Unix epoch, both ends included.
///
/// A range with `mint > maxt` is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First millisecond of the range.
    pub mint: i64,
    /// Last millisecond of the range.
    pub maxt: i64,
}

impl TimeRange {
    /// Every representable time.
    pub const ALL: TimeRange = TimeRange { mint: i64::MIN, maxt: i64::MAX };
    /// A range that holds nothing and is the neutral element of [`TimeRange::cover`].
    pub const EMPTY: TimeRange = TimeRange { mint: i64::MAX, maxt: i64::MIN };

    /// The range from `mint` to `maxt`, both included.
    pub const fn new(mint: i64, maxt: i64) -> Self {
        Self { mint, maxt }
    }

    /// Whether the range holds no time at all.
    pub const fn is_empty(self) -> bool {
        self.mint > self.maxt
    }

    /// Whether `timestamp_ms` lies in the range.
    pub const fn contains(self, timestamp_ms: i64) -> bool {
        self.mint <= timestamp_ms && timestamp_ms <= self.maxt
    }

    /// Whether the two ranges share at least one millisecond.
    pub const fn overlaps(self, other: TimeRange) -> bool {
        !self.is_empty() && !other.is_empty() && self.mint <= other.maxt && other.mint <= self.maxt
    }

    /// Whether nothing of `other` lies outside.
    pub fn encloses(self, other: TimeRange) -> bool {
        other.is_empty() || (self.mint <= other.mint && other.maxt <= self.maxt)
    }

    /// The times in both ranges; empty if there are none.
    #[must_use]
    pub fn intersect(self, other: TimeRange) -> TimeRange {
        TimeRange::new(self.mint.max(other.mint), self.maxt.min(other.maxt))
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn cover(self, other: TimeRange) -> TimeRange {
        TimeRange::new(self.mint.min(other.mint), self.maxt.max(other.maxt))
    }

    /// The range grown, if need be, to hold `timestamp_ms`.
    #[must_use]
    pub fn including(self, timestamp_ms: i64) -> TimeRange {
        self.cover(TimeRange::new(timestamp_ms, timestamp_ms))
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.mint, self.maxt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_share_their_end_points() {
        assert!(TimeRange::new(0, 5).overlaps(TimeRange::new(5, 9)));
        assert!(!TimeRange::new(0, 5).overlaps(TimeRange::new(6, 9)));
        assert!(!TimeRange::EMPTY.overlaps(TimeRange::ALL));
    }

    #[test]
    fn the_empty_range_is_neutral_to_cover() {
        let range = TimeRange::new(-3, 8);
        assert_eq!(TimeRange::EMPTY.cover(range), range);
        assert_eq!(TimeRange::EMPTY.including(4), TimeRange::new(4, 4));
        assert!(range.intersect(TimeRange::new(9, 10)).is_empty());
    }
}
