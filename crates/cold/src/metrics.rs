//! The metrics of the cold tier.

use mytsdb_parquet_tier::{LiveDay, Manifest};
use mytsdb_telemetry::{Counter, Description, Gauge, Registry};

const BYTES: Description = Description::new("mytsdb_cold_bytes", "Size of all live files of the cold tier.");
const FILES: Description = Description::new("mytsdb_cold_files", "Live files of the cold tier.");
const DAYS: Description = Description::new("mytsdb_cold_days", "Days that have files in the cold tier.");
const SAMPLES: Description = Description::new("mytsdb_cold_samples", "Samples in the cold tier, histograms included.");
const DEMOTED: Description =
    Description::new("mytsdb_cold_samples_demoted_total", "Samples of blocks that became files of the cold tier.");
const WRITTEN: Description = Description::new("mytsdb_cold_bytes_written_total", "Bytes uploaded to the cold tier.");
const DEMOTIONS: Description = Description::new("mytsdb_cold_demotions_total", "Demotions of blocks that were done.");
const FAILURES: Description =
    Description::new("mytsdb_cold_failures_total", "Steps of the cold tier that failed; each is tried again.");
const EXPIRED: Description = Description::new(
    "mytsdb_cold_days_expired_total",
    "Days removed because the retention had passed, or for want of room within it.",
);
const DELETED: Description =
    Description::new("mytsdb_cold_files_deleted_total", "Files deleted that no manifest names any more.");
const DOWNSAMPLED: Description =
    Description::new("mytsdb_cold_days_downsampled_total", "Days of the cold tier of which buckets were made.");
const DELETIONS_LEFT_OUT: Description = Description::new(
    "mytsdb_cold_deletions_left_out",
    "Deletions for which the manifest has no room: servers that only read show what they hide.",
);
const WAITS_FOR_ROOM: Description = Description::new(
    "mytsdb_cold_waits_for_room",
    "1 if days stay in blocks because the disk has too little room for their files.",
);
const READ_FAILURES: Description = Description::new(
    "mytsdb_cold_read_failures_total",
    "Reads for queries that failed: the store was not there, or damage.",
);
const REACHABLE: Description =
    Description::new("mytsdb_cold_reachable", "1 if the last step of the cold tier reached its store.");

/// Handles of all metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    bytes: Gauge,
    files: Gauge,
    days: Gauge,
    samples: Gauge,
    pub(crate) demoted: Counter,
    pub(crate) written: Counter,
    pub(crate) demotions: Counter,
    pub(crate) failures: Counter,
    pub(crate) expired: Counter,
    pub(crate) deleted: Counter,
    pub(crate) downsampled: Counter,
    pub(crate) deletions_left_out: Gauge,
    pub(crate) waits_for_room: Gauge,
    pub(crate) read_failures: Counter,
    pub(crate) reachable: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            bytes: registry.gauge(&BYTES, &[]),
            files: registry.gauge(&FILES, &[]),
            days: registry.gauge(&DAYS, &[]),
            samples: registry.gauge(&SAMPLES, &[]),
            demoted: registry.counter(&DEMOTED, &[]),
            written: registry.counter(&WRITTEN, &[]),
            demotions: registry.counter(&DEMOTIONS, &[]),
            failures: registry.counter(&FAILURES, &[]),
            expired: registry.counter(&EXPIRED, &[]),
            deleted: registry.counter(&DELETED, &[]),
            downsampled: registry.counter(&DOWNSAMPLED, &[]),
            deletions_left_out: registry.gauge(&DELETIONS_LEFT_OUT, &[]),
            waits_for_room: registry.gauge(&WAITS_FOR_ROOM, &[]),
            read_failures: registry.counter(&READ_FAILURES, &[]),
            reachable: registry.gauge(&REACHABLE, &[]),
        }
    }

    /// Says what is live.
    pub(crate) fn report(&self, manifest: &Manifest) {
        let days = &manifest.days;
        self.bytes.set(days.iter().map(LiveDay::bytes).sum::<u64>() as f64);
        self.files.set(days.iter().map(|day| day.files.len()).sum::<usize>() as f64);
        let mut distinct: Vec<_> = days.iter().map(|day| day.day).collect();
        distinct.dedup();
        self.days.set(distinct.len() as f64);
        self.samples.set(days.iter().map(|day| day.samples + day.histograms).sum::<u64>() as f64);
    }
}
