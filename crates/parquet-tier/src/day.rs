//! Days: the partitions of the tier.

use mytsdb_model::TimeRange;
use std::fmt;
use std::str::FromStr;

/// Length of a day in ms.
pub const DAY_MS: i64 = 86_400_000;

/// First and last day, counted from 1970-01-01, that have a four-digit year.
const FIRST: i64 = -719_528;
const LAST: i64 = 2_932_896;

/// A day of the calendar in UTC, years 0000 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(i64);

impl Day {
    /// The day of a time; `None` outside of the years 0000 to 9999.
    ///
    /// ```
    /// assert_eq!(mytsdb_parquet_tier::Day::of(1_796_000_000_000).unwrap().to_string(), "2026-11-30");
    /// ```
    pub fn of(timestamp_ms: i64) -> Option<Self> {
        let day = timestamp_ms.div_euclid(DAY_MS);
        (FIRST..=LAST).contains(&day).then_some(Self(day))
    }

    /// Its first and last ms.
    pub fn range(self) -> TimeRange {
        TimeRange::new(self.0 * DAY_MS, (self.0 + 1) * DAY_MS - 1)
    }
}

impl fmt::Display for Day {
    /// `YYYY-MM-DD`. The way from a count of days to a date is Howard Hinnant's `civil_from_days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 - FIRST + 306 - 366; // since 0000-03-01
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Day {
    type Err = ();

    /// Reads exactly what [`Display`](fmt::Display) writes; anything else is an error.
    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| -> Option<i64> {
            let part = bytes.get(range)?;
            part.iter().all(u8::is_ascii_digit).then(|| part.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
        };
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return Err(());
        }
        let (year, month, day) = (digits(0..4).ok_or(())?, digits(5..7).ok_or(())?, digits(8..10).ok_or(())?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(());
        }
        let shifted = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        let found = Self(era * 146_097 + of_era - 719_468);
        // A date that does not exist, as the 31st of February, comes back as another.
        if found.to_string() == text { Ok(found) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_dates_of_the_calendar() {
        for (timestamp_ms, date) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400_000, "2000-02-29"),
            (1_709_251_199_999, "2024-02-29"),
            (1_709_251_200_000, "2024-03-01"),
            (FIRST * DAY_MS, "0000-01-01"),
            (LAST * DAY_MS, "9999-12-31"),
        ] {
            let day = Day::of(timestamp_ms).unwrap();
            assert_eq!(day.to_string(), date);
            assert_eq!(date.parse(), Ok(day));
            assert!(day.range().contains(timestamp_ms));
        }
        assert_eq!(Day::of(i64::MIN), None);
        assert_eq!(Day::of((LAST + 1) * DAY_MS), None);
    }

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for day in (FIRST..=LAST).step_by(37) {
            assert_eq!(Day(day).to_string().parse(), Ok(Day(day)));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026-02-30",
            "2026-13-01",
            "2026-00-10",
            "2026-1-01",
            "2026-01-01 ",
            "+026-01-01",
            "2026/01/01",
            "2026-01-00",
        ] {
            assert_eq!(text.parse::<Day>(), Err(()), "{text}");
        }
    }
}
