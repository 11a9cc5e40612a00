//! How much memory there is for the process, where the system tells.

use std::path::Path;

/// Most bytes that queries get when nobody says otherwise.
const QUERY_BYTES_MAX: u64 = 4 << 30;

/// Fewest bytes, however small the machine.
const QUERY_BYTES_MIN: u64 = 64 << 20;

/// Bytes that all queries may hold together by default: a quarter of the memory, and not more than 4 GiB.
fn query_bytes_default() -> u64 {
    let limits = [
        read("/proc/meminfo").and_then(|text| mem_total_bytes(&text)),
        // A container's limit; "max" is none.
        read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok()),
    ];
    let memory = limits.into_iter().flatten().min();
    memory.map_or(QUERY_BYTES_MAX, |bytes| (bytes / 4).clamp(QUERY_BYTES_MIN, QUERY_BYTES_MAX))
}

/// The same as text, as a person would write it.
pub(crate) fn query_bytes_text() -> String {
    query_bytes_default().to_string()
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
        assert!((QUERY_BYTES_MIN..=QUERY_BYTES_MAX).contains(&query_bytes_default()));
    }
}
