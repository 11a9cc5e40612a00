//! Sizes, times and columns as people read them.

use mytsdb_parquet_tier::{DAY_MS, Day};

/// `17 B`, `1.5 KiB`, `2.0 GiB`.
pub(super) fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut amount = bytes as f64;
    while amount >= 1_024.0 && unit < 4 {
        amount /= 1_024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        unit => format!("{amount:.1} {}", ["B", "KiB", "MiB", "GiB", "TiB"][unit]),
    }
}

/// `2026-11-28 23:59:45`, in UTC; ms for times that no calendar has.
pub(super) fn time(timestamp_ms: i64) -> String {
    let Some(day) = Day::of(timestamp_ms) else { return format!("{timestamp_ms} ms") };
    let seconds = timestamp_ms.rem_euclid(DAY_MS) / 1_000;
    format!("{day} {:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `3d 4h`, `4h 12m`, `12m`, `0m`: the two largest units.
pub(super) fn age(ms: i64) -> String {
    let minutes = ms.max(0) / 60_000;
    let (days, hours) = (minutes / 1_440, minutes / 60 % 24);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {hours}h"),
    }
}

/// Rows as text, each column as wide as its widest entry; the columns named in `right` are aligned to the right.
pub(super) fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (text, width)) in row.iter().zip(&widths).enumerate() {
            let spaces = " ".repeat(width.saturating_sub(text.chars().count()));
            let parts = if right.contains(&column) { [&*spaces, text, "  "] } else { [text, &*spaces, "  "] };
            line += &parts.concat();
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_times_and_ages_are_short() {
        assert_eq!([0, 1023, 1024, 1_572_864, 1 << 42].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "4.0 TiB"]);
        assert_eq!(time(1_796_000_000_000), "2026-11-30 00:53:20");
        assert_eq!(time(-1), "1969-12-31 23:59:59");
        assert_eq!(time(i64::MIN), format!("{} ms", i64::MIN));
        assert_eq!([-5, 60_000, 15_120_000, 273_600_000].map(age), ["0m", "1m", "4h 12m", "3d 4h"]);
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let row = |texts: [&str; 3]| texts.map(str::to_owned).to_vec();
        let text = columns(&[row(["a", "1", "x"]), row(["bbb", "22", ""])], &[1]);
        assert_eq!(text, "a     1  x\nbbb  22\n");
    }
}
