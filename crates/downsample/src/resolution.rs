//! How wide buckets are, and which width a query is best served with.

use std::fmt;
use std::str::FromStr;

/// The width of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Five minutes.
    FiveMinutes,
    /// An hour.
    Hour,
}

impl Resolution {
    /// All of them, the finest first.
    pub const ALL: [Self; 2] = [Self::FiveMinutes, Self::Hour];

    /// The width in ms.
    pub const fn ms(self) -> i64 {
        match self {
            Self::FiveMinutes => 300_000,
            Self::Hour => 3_600_000,
        }
    }

    /// The resolution of this width, if there is one.
    pub fn of_ms(ms: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|resolution| resolution.ms() == ms)
    }

    /// The end of the bucket that a time belongs to, which belongs to it too. Buckets lie at multiples of their width since the epoch.
    pub const fn end_of(self, time_ms: i64) -> i64 {
        // Times within a width of the last one there is belong together.
        time_ms.saturating_sub(1).div_euclid(self.ms()).saturating_add(1).saturating_mul(self.ms())
    }

    /// The coarsest resolution of which steps and windows are whole buckets; the finest if there is none. 0 for a single step, and for
    /// no window.
    pub fn of_query(step_ms: i64, range_ms: i64) -> Self {
        let fits = |resolution: &Self| step_ms % resolution.ms() == 0 && range_ms % resolution.ms() == 0;
        let asked = step_ms > 0 || range_ms > 0;
        Self::ALL.into_iter().rev().filter(|_| asked).find(fits).unwrap_or(Self::FiveMinutes)
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        })
    }
}

impl FromStr for Resolution {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|resolution| resolution.to_string() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_with_its_last_time_and_begins_behind_the_end_of_the_one_before() {
        let hour = Resolution::Hour;
        for (time, end) in [(0, 0), (1, 3_600_000), (3_600_000, 3_600_000), (3_600_001, 7_200_000), (-1, 0)] {
            assert_eq!(hour.end_of(time), end, "{time}");
        }
        assert_eq!(hour.end_of(-3_600_000), -3_600_000);
        for time in [i64::MIN, i64::MAX] {
            // No calendar has them; they need not be right, and nothing fails.
            let _ = hour.end_of(time);
        }
    }

    #[test]
    fn a_query_gets_the_coarsest_buckets_that_its_steps_and_windows_are_made_of() {
        const MINUTE: i64 = 60_000;
        const HOUR: i64 = 60 * MINUTE;
        for (step, range, expected) in [
            (HOUR, 0, Resolution::Hour),
            (HOUR, HOUR, Resolution::Hour),
            (2 * HOUR, 24 * HOUR, Resolution::Hour),
            (HOUR, 5 * MINUTE, Resolution::FiveMinutes),
            (90 * MINUTE, 90 * MINUTE, Resolution::FiveMinutes),
            (15_000, HOUR, Resolution::FiveMinutes),
            (0, 30 * 24 * HOUR, Resolution::Hour),
            (0, 0, Resolution::FiveMinutes),
            (7, 7, Resolution::FiveMinutes),
        ] {
            assert_eq!(Resolution::of_query(step, range), expected, "step {step} range {range}");
        }
    }

    #[test]
    fn resolutions_have_names() {
        for resolution in Resolution::ALL {
            assert_eq!(resolution.to_string().parse(), Ok(resolution));
            assert_eq!(Resolution::of_ms(resolution.ms()), Some(resolution));
        }
        assert_eq!("2h".parse::<Resolution>(), Err(()));
    }
}
