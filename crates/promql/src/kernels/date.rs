//! Calendar fields of Unix times, UTC, for any year.

/// Go counts days from March 1st of this year on in 64 bits without a sign; earlier ones wrap around.
const FIRST_YEAR: i128 = -292_277_022_400;
/// That day, in seconds since the epoch.
const FIRST_SECOND: i128 = (FIRST_YEAR / 400 * 146_097 - 719_468) * DAY;

/// Seconds to whole seconds as Go converts: what does not fit becomes the smallest integer.
fn whole_seconds(seconds: f64) -> i128 {
    let whole = if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&seconds) {
        seconds as i64
    } else {
        i64::MIN
    };
    let whole = i128::from(whole);
    if whole < FIRST_SECOND { whole + (1 << 64) } else { whole }
}

const DAY: i128 = 86_400;

/// Year, month (1-12) and day (1-31) of a day since the epoch, in the proleptic Gregorian calendar.
fn civil(days: i128) -> (i128, i128, i128) {
    // Years start in March here, so that the leap day is the last one.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i128::from(month <= 2), month, day)
}

fn is_leap(year: i128) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

fn month_days(year: i128, month: i128) -> i128 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn date(seconds: f64) -> (i128, i128, i128) {
    civil(whole_seconds(seconds).div_euclid(DAY))
}

pub(crate) fn minute(seconds: f64) -> f64 {
    (whole_seconds(seconds).rem_euclid(3600) / 60) as f64
}

pub(crate) fn hour(seconds: f64) -> f64 {
    (whole_seconds(seconds).rem_euclid(DAY) / 3600) as f64
}

/// From 0, a Sunday.
pub(crate) fn day_of_week(seconds: f64) -> f64 {
    (whole_seconds(seconds).div_euclid(DAY) + 4).rem_euclid(7) as f64
}

pub(crate) fn day_of_month(seconds: f64) -> f64 {
    date(seconds).2 as f64
}

pub(crate) fn day_of_year(seconds: f64) -> f64 {
    let (year, month, day) = date(seconds);
    ((1..month).map(|m| month_days(year, m)).sum::<i128>() + day) as f64
}

pub(crate) fn days_in_month(seconds: f64) -> f64 {
    let (year, month, _) = date(seconds);
    month_days(year, month) as f64
}

pub(crate) fn month(seconds: f64) -> f64 {
    date(seconds).1 as f64
}

pub(crate) fn year(seconds: f64) -> f64 {
    date(seconds).0 as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_known_days() {
        assert_eq!(year(0.0), 1970.0);
        assert_eq!(day_of_week(0.0), 4.0);
        assert_eq!(day_of_year(1_709_164_800.0), 60.0);
        assert_eq!(days_in_month(1_709_164_800.0), 29.0);
        assert_eq!(month(-1.0), 12.0);
        assert_eq!(year(-62_167_219_201.0), -1.0);
        assert_eq!(hour(3_661.0), 1.0);
        assert_eq!(minute(3_661.0), 1.0);
    }

    #[test]
    fn what_is_no_time_is_the_smallest_integer() {
        assert_eq!(minute(f64::NAN), minute(f64::INFINITY));
        assert_eq!(year(f64::NAN), 292_277_026_596.0);
        assert_eq!(day_of_month(-9_223_372_036_854_774_784.0), 4.0);
    }
}
