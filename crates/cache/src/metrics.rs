//! The metrics of the caches, by level.

use mytsdb_telemetry::{Counter, Description, Gauge, Registry};

const HITS: Description =
    Description::new("mytsdb_cache_hits_total", "Series of a file that a level of the cache had when it was asked.");
const MISSES: Description = Description::new(
    "mytsdb_cache_misses_total",
    "Series of a file that a level of the cache did not have; l2 is asked for what l1 does not have.",
);
const BYTES: Description =
    Description::new("mytsdb_cache_bytes", "Size of a level of the cache: memory of l1, files of l2.");
const ENTRIES: Description =
    Description::new("mytsdb_cache_entries", "Series of a file that a level of the cache has.");
const EVICTIONS: Description =
    Description::new("mytsdb_cache_evictions_total", "Series of a file that had to make room in a level of the cache.");
const REFUSED: Description =
    Description::new("mytsdb_cache_refused_total", "Series of a file that were too large for a level of the cache.");
const DAMAGED: Description = Description::new(
    "mytsdb_cache_damaged_total",
    "Entries and files of the cache that did not verify and were dropped.",
);
const WRITE_FAILURES: Description = Description::new(
    "mytsdb_cache_write_failures_total",
    "Files of the cache that could not be written, or for which the disk had too little room.",
);
const AHEAD_ENTRIES: Description = Description::new(
    "mytsdb_cache_prefetched_total",
    "Series of a file that were put into the cache ahead of a question.",
);
const AHEAD_HITS: Description =
    Description::new("mytsdb_cache_prefetch_hits_total", "Of those, the ones that a question then found there.");
const AHEAD_WASTED: Description = Description::new(
    "mytsdb_cache_prefetch_wasted_bytes_total",
    "Bytes of those that left the memory before a question came.",
);

/// Handles of one level.
#[derive(Debug, Clone)]
pub(crate) struct LevelMetrics {
    pub hits: Counter,
    pub misses: Counter,
    pub bytes: Gauge,
    pub entries: Gauge,
    pub evictions: Counter,
    pub refused: Counter,
}

impl LevelMetrics {
    fn new(registry: &Registry, level: &str) -> Self {
        let level = &[("level", level)];
        Self {
            hits: registry.counter(&HITS, level),
            misses: registry.counter(&MISSES, level),
            bytes: registry.gauge(&BYTES, level),
            entries: registry.gauge(&ENTRIES, level),
            evictions: registry.counter(&EVICTIONS, level),
            refused: registry.counter(&REFUSED, level),
        }
    }

    /// Says how much there is.
    pub fn report(&self, bytes: u64, entries: usize) {
        self.bytes.set(bytes as f64);
        self.entries.set(entries as f64);
    }
}

/// Handles of all metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub l1: LevelMetrics,
    pub l2: LevelMetrics,
    pub damaged: Counter,
    pub write_failures: Counter,
    pub ahead_entries: Counter,
    pub ahead_hits: Counter,
    pub ahead_wasted_bytes: Counter,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            l1: LevelMetrics::new(registry, "l1"),
            l2: LevelMetrics::new(registry, "l2"),
            damaged: registry.counter(&DAMAGED, &[]),
            write_failures: registry.counter(&WRITE_FAILURES, &[]),
            ahead_entries: registry.counter(&AHEAD_ENTRIES, &[]),
            ahead_hits: registry.counter(&AHEAD_HITS, &[]),
            ahead_wasted_bytes: registry.counter(&AHEAD_WASTED, &[]),
        }
    }
}
