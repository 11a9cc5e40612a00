//! How much memory there is for the process, where the system tells.

use std::path::Path;

/// Most bytes that queries get when nobody says otherwise, and fewest, however small the machine.
const QUERY_BYTES: std::ops::RangeInclusive<u64> = 64 << 20..=4 << 30;

/// The same for requests that are being worked on.
const IN_FLIGHT_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=256 << 20;

/// The same for samples of the cold tier that are kept decoded.
const CACHE_BYTES: std::ops::RangeInclusive<u64> = 16 << 20..=256 << 20;

/// Memory for each series that there may be: about twice what one takes with its place in the index and some samples.
const SERIES_BYTES: u64 = 3 << 10;

/// Series on a machine that does not tell its memory.
const SERIES_UNKNOWN: u64 = 2_000_000;

/// Fewest series, however small the machine.
const SERIES_MIN: u64 = 10_000;

/// The memory there is, in bytes, if the system tells.
fn memory_bytes() -> Option<u64> {
    let limits = [
        read("/proc/meminfo").and_then(|text| mem_total_bytes(&text)),
        // A container's limit; "max" is none.
        read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok()),
    ];
    limits.into_iter().flatten().min()
}

/// One of so many parts of the memory, within a range; the most of it if the memory is not known.
fn part(memory: Option<u64>, parts: u64, range: &std::ops::RangeInclusive<u64>) -> u64 {
    memory.map_or(*range.end(), |bytes| (bytes / parts).clamp(*range.start(), *range.end()))
}

/// Bytes that all queries may hold together by default, as a person would write them.
pub(crate) fn query_bytes_text() -> String {
    part(memory_bytes(), 4, &QUERY_BYTES).to_string()
}

/// Bytes of all write requests that are being worked on, by default.
pub(crate) fn in_flight_bytes_text() -> String {
    part(memory_bytes(), 10, &IN_FLIGHT_BYTES).to_string()
}

/// Bytes of decoded samples of the cold tier, by default.
pub(crate) fn cache_l1_text() -> String {
    part(memory_bytes(), 20, &CACHE_BYTES).to_string()
}

/// How many series there may be by default.
pub(crate) fn series_text() -> String {
    series(memory_bytes()).to_string()
}

fn series(memory: Option<u64>) -> u64 {
    memory.map_or(SERIES_UNKNOWN, |bytes| (bytes / SERIES_BYTES).max(SERIES_MIN))
}

#[expect(clippy::disallowed_methods, reason = "the kernel's own figures, not stored data")]
fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `MemTotal:  24689744 kB`
fn mem_total_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figure_is_read() {
        assert_eq!(mem_total_bytes("MemFree: 1 kB\nMemTotal:       24689744 kB\n"), Some(24_689_744 << 10));
        assert_eq!(mem_total_bytes("MemFree: 1 kB\n"), None);
        assert!(QUERY_BYTES.contains(&query_bytes_text().parse().unwrap()));
    }

    #[test]
    fn defaults_follow_the_memory_within_bounds() {
        let gib = |n: u64| Some(n << 30);
        assert_eq!([gib(1), gib(8), gib(64), None].map(|m| part(m, 4, &QUERY_BYTES) >> 20), [256, 2048, 4096, 4096]);
        assert_eq!([gib(1), gib(64), None].map(|m| part(m, 10, &IN_FLIGHT_BYTES) >> 20), [102, 256, 256]);
        assert_eq!(part(Some(1 << 20), 10, &IN_FLIGHT_BYTES), 1 << 20);
        assert_eq!([Some(1), gib(1), gib(24), None].map(series), [10_000, 349_525, 8_388_608, 2_000_000]);
    }
}
