//! The engine's own metrics.

use crate::reader::Asks;
use mytsdb_telemetry::{Counter, Description, Gauge, Histogram, LATENCY_SECONDS, Registry};

const STORED: Description = Description::new("mytsdb_engine_samples_stored_total", "Samples stored.");
const DUPLICATES: Description =
    Description::new("mytsdb_engine_samples_duplicate_total", "Samples that were stored already, with the same value.");
const REFUSED: Description = Description::new("mytsdb_engine_samples_refused_total", "Samples refused, by reason.");
const LATE: Description =
    Description::new("mytsdb_engine_samples_late_total", "Samples stored behind the end of the last flush.");
const SERIES: Description = Description::new("mytsdb_engine_head_series", "Series in the head.");
const SERIES_CREATED: Description =
    Description::new("mytsdb_engine_head_series_created_total", "Series that came into the head.");
const SERIES_REMOVED: Description =
    Description::new("mytsdb_engine_head_series_removed_total", "Series that left the head for want of samples.");
const GROUPS: Description = Description::new("mytsdb_engine_commit_groups_total", "Groups of batches committed.");
const COMMIT_FAILURES: Description =
    Description::new("mytsdb_engine_commit_failures_total", "Groups that could not be written to the log.");
const COMMIT_SECONDS: Description =
    Description::new("mytsdb_engine_commit_seconds", "Time to write and sync one group to the log.");
const STAGE_SECONDS: Description = Description::new(
    "mytsdb_engine_commit_stage_seconds",
    "Time of one group in the stages beside its commit: judge against what is stored, apply to the head.",
);
const SYNC_SECONDS: Description =
    Description::new("mytsdb_engine_sync_seconds", "Time that the disk took for one sync of the log.");
const WRITER_WAIT_SECONDS: Description = Description::new(
    "mytsdb_engine_writer_wait_seconds",
    "Time that a group or a flush waited for the log's one writer.",
);
const CATALOG_WAIT_SECONDS: Description = Description::new(
    "mytsdb_engine_catalog_wait_seconds",
    "Time that a new series waited for the catalog of series, which lookups hold meanwhile.",
);
const SELECTION_CACHE_BYTES: Description = Description::new(
    "mytsdb_engine_selection_cache_bytes",
    "Memory that remembered lists of series and of labels take, at the last look for something to flush.",
);
const SELECTION_CACHE_ENTRIES: Description = Description::new(
    "mytsdb_engine_selection_cache_entries",
    "Lists of series and of labels that are remembered, at the last look for something to flush.",
);
const SELECTION_CACHE_REQUESTS: Description = Description::new(
    "mytsdb_engine_selection_cache_requests_total",
    "Lists of series and of labels that were asked for, by whether they were remembered.",
);
const HEAD_BYTES: Description =
    Description::new("mytsdb_engine_head_bytes", "Size of the samples in memory, at the last look, once a minute.");
const UNSEALED_BYTES: Description = Description::new(
    "mytsdb_engine_unsealed_bytes",
    "Size of the samples that waited to be packed, at the last look for something to flush.",
);
const STAGED_SAMPLES: Description =
    Description::new("mytsdb_engine_staged_samples", "Samples that waited for the log when the last group was taken.");
const WAL_BYTES: Description = Description::new("mytsdb_engine_wal_bytes", "Size of the write-ahead log.");
const BLOCKS: Description = Description::new("mytsdb_engine_blocks", "Blocks being served.");
const BLOCK_BYTES: Description = Description::new("mytsdb_engine_block_bytes", "Size of all blocks being served.");
const FLUSHES: Description = Description::new("mytsdb_engine_flushes_total", "Flushes of the head into a block.");
const FLUSH_FAILURES: Description = Description::new("mytsdb_engine_flush_failures_total", "Flushes that failed.");
const FLUSH_SECONDS: Description = Description::new("mytsdb_engine_flush_seconds", "Time of one flush.");
const BLOCKS_EXPIRED: Description =
    Description::new("mytsdb_engine_blocks_expired_total", "Blocks deleted because the retention had passed.");
const DISK_FREE_BYTES: Description =
    Description::new("mytsdb_engine_disk_free_bytes", "Free space on the disk of the data folder.");
const DISK_FLOOR_BYTES: Description =
    Description::new("mytsdb_engine_disk_floor_bytes", "Free space below which writes are refused.");
const DISK_BALLAST_BYTES: Description =
    Description::new("mytsdb_engine_disk_ballast_bytes", "Room that is set aside for flushes on a full disk.");
const DISK_BALLAST_FAILURES: Description =
    Description::new("mytsdb_engine_disk_ballast_failures_total", "Attempts to set room aside that the disk refused.");
const DISK_LOW: Description =
    Description::new("mytsdb_engine_disk_low", "1 while writes are refused because the disk has hardly any room left.");
const DELETIONS: Description = Description::new("mytsdb_engine_deletions_total", "Deletions of samples by selector.");
const TOMBSTONES: Description =
    Description::new("mytsdb_engine_tombstones", "Deletions whose samples are still on the disk, hidden.");
const COMPACTIONS: Description = Description::new("mytsdb_engine_compactions_total", "Merges of blocks.");
const COMPACTION_FAILURES: Description =
    Description::new("mytsdb_engine_compaction_failures_total", "Merges of blocks that failed.");
const COMPACTIONS_POSTPONED: Description = Description::new(
    "mytsdb_engine_compactions_postponed_total",
    "Times that a merge of blocks was put off because the disk had no room for it.",
);
const COMPACTION_RUNNING: Description =
    Description::new("mytsdb_engine_compaction_running", "1 while blocks are being merged.");
const COMPACTION_SECONDS: Description = Description::new("mytsdb_engine_compaction_seconds", "Time of one merge.");
const COMPACTION_BLOCKS: Description =
    Description::new("mytsdb_engine_compaction_blocks_total", "Blocks that merges read (in) and wrote (out).");
const COMPACTION_BYTES: Description = Description::new(
    "mytsdb_engine_compaction_bytes_total",
    "Size of the blocks that merges read (in) and wrote (out).",
);
const SCRUBBED_BLOCKS: Description =
    Description::new("mytsdb_engine_scrubbed_blocks_total", "Blocks that the scrub has read and checked.");
const METADATA_FAMILIES: Description =
    Description::new("mytsdb_engine_metadata_metrics", "Metrics whose type, unit and help are kept.");
const METADATA_REFUSED: Description = Description::new(
    "mytsdb_engine_metadata_refused_total",
    "Times that metadata of a metric was not kept: there is no room for another one, or its name is too long.",
);
const EXEMPLARS: Description = Description::new("mytsdb_engine_exemplars", "Exemplars kept.");
const EXEMPLAR_BYTES: Description =
    Description::new("mytsdb_engine_exemplar_bytes", "Memory that exemplars take, about.");
const EXEMPLARS_STORED: Description =
    Description::new("mytsdb_engine_exemplars_stored_total", "Exemplars stored, those that were there already too.");
const EXEMPLARS_REFUSED: Description =
    Description::new("mytsdb_engine_exemplars_refused_total", "Exemplars refused, by reason.");
const EXEMPLARS_EVICTED: Description = Description::new(
    "mytsdb_engine_exemplars_evicted_total",
    "Exemplars that made room for others, by the limit: of their series, or of the bytes of all.",
);
const CORRUPTIONS: Description =
    Description::new("mytsdb_corruptions_total", "Damaged files or parts of files found, by kind.");

/// Bounds for what takes seconds to minutes.
const LONG_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0];

/// Handles to the metrics of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) stored: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) refused_too_old: Counter,
    pub(crate) refused_too_far_ahead: Counter,
    pub(crate) refused_conflict: Counter,
    pub(crate) refused_counted: Counter,
    pub(crate) late: Counter,
    pub(crate) series: Gauge,
    pub(crate) series_created: Counter,
    pub(crate) series_removed: Counter,
    pub(crate) groups: Counter,
    pub(crate) commit_failures: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) judge_seconds: Histogram,
    pub(crate) apply_seconds: Histogram,
    pub(crate) sync_seconds: Histogram,
    pub(crate) writer_wait_seconds: Histogram,
    pub(crate) catalog_wait_seconds: Histogram,
    pub(crate) selection_cache_bytes: Gauge,
    pub(crate) selection_cache_entries: Gauge,
    pub(crate) selection_cache_asks: Asks,
    pub(crate) head_bytes: Gauge,
    pub(crate) unsealed_bytes: Gauge,
    pub(crate) staged_samples: Gauge,
    pub(crate) wal_bytes: Gauge,
    pub(crate) blocks: Gauge,
    pub(crate) block_bytes: Gauge,
    pub(crate) flushes: Counter,
    pub(crate) flush_failures: Counter,
    pub(crate) flush_seconds: Histogram,
    pub(crate) blocks_expired: Counter,
    pub(crate) disk_free_bytes: Gauge,
    pub(crate) disk_floor_bytes: Gauge,
    pub(crate) disk_ballast_bytes: Gauge,
    pub(crate) disk_ballast_failures: Counter,
    pub(crate) disk_low: Gauge,
    pub(crate) deletions: Counter,
    pub(crate) tombstones: Gauge,
    pub(crate) compactions: Counter,
    pub(crate) compaction_failures: Counter,
    pub(crate) compactions_postponed: Counter,
    pub(crate) compaction_running: Gauge,
    pub(crate) compaction_seconds: Histogram,
    pub(crate) compaction_blocks_in: Counter,
    pub(crate) compaction_blocks_out: Counter,
    pub(crate) compaction_bytes_in: Counter,
    pub(crate) compaction_bytes_out: Counter,
    pub(crate) scrubbed_blocks: Counter,
    pub(crate) metadata_families: Gauge,
    pub(crate) metadata_refused: Counter,
    pub(crate) exemplars: Gauge,
    pub(crate) exemplar_bytes: Gauge,
    pub(crate) exemplars_stored: Counter,
    pub(crate) exemplars_refused_time: Counter,
    pub(crate) exemplars_refused_labels: Counter,
    pub(crate) exemplars_refused_point: Counter,
    pub(crate) exemplars_evicted_series: Counter,
    pub(crate) exemplars_evicted_bytes: Counter,
    pub(crate) corrupt_blocks: Counter,
    pub(crate) corrupt_wal: Counter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let refused = |reason| registry.counter(&REFUSED, &[("reason", reason)]);
        let stage = |stage| registry.histogram(&STAGE_SECONDS, LATENCY_SECONDS, &[("stage", stage)]);
        let corrupt = |kind| registry.counter(&CORRUPTIONS, &[("kind", kind)]);
        Self {
            stored: registry.counter(&STORED, &[]),
            duplicates: registry.counter(&DUPLICATES, &[]),
            refused_too_old: refused("too_old"),
            refused_too_far_ahead: refused("too_far_ahead"),
            refused_conflict: refused("conflict"),
            refused_counted: refused("counted"),
            late: registry.counter(&LATE, &[]),
            series: registry.gauge(&SERIES, &[]),
            series_created: registry.counter(&SERIES_CREATED, &[]),
            series_removed: registry.counter(&SERIES_REMOVED, &[]),
            groups: registry.counter(&GROUPS, &[]),
            commit_failures: registry.counter(&COMMIT_FAILURES, &[]),
            commit_seconds: registry.histogram(&COMMIT_SECONDS, LATENCY_SECONDS, &[]),
            judge_seconds: stage("judge"),
            apply_seconds: stage("apply"),
            sync_seconds: registry.histogram(&SYNC_SECONDS, LATENCY_SECONDS, &[]),
            writer_wait_seconds: registry.histogram(&WRITER_WAIT_SECONDS, LATENCY_SECONDS, &[]),
            catalog_wait_seconds: registry.histogram(&CATALOG_WAIT_SECONDS, LATENCY_SECONDS, &[]),
            selection_cache_bytes: registry.gauge(&SELECTION_CACHE_BYTES, &[]),
            selection_cache_entries: registry.gauge(&SELECTION_CACHE_ENTRIES, &[]),
            selection_cache_asks: Asks {
                hits: registry.counter(&SELECTION_CACHE_REQUESTS, &[("result", "hit")]),
                misses: registry.counter(&SELECTION_CACHE_REQUESTS, &[("result", "miss")]),
            },
            head_bytes: registry.gauge(&HEAD_BYTES, &[]),
            unsealed_bytes: registry.gauge(&UNSEALED_BYTES, &[]),
            staged_samples: registry.gauge(&STAGED_SAMPLES, &[]),
            wal_bytes: registry.gauge(&WAL_BYTES, &[]),
            blocks: registry.gauge(&BLOCKS, &[]),
            block_bytes: registry.gauge(&BLOCK_BYTES, &[]),
            flushes: registry.counter(&FLUSHES, &[]),
            flush_failures: registry.counter(&FLUSH_FAILURES, &[]),
            flush_seconds: registry.histogram(&FLUSH_SECONDS, LATENCY_SECONDS, &[]),
            blocks_expired: registry.counter(&BLOCKS_EXPIRED, &[]),
            disk_free_bytes: registry.gauge(&DISK_FREE_BYTES, &[]),
            disk_floor_bytes: registry.gauge(&DISK_FLOOR_BYTES, &[]),
            disk_ballast_bytes: registry.gauge(&DISK_BALLAST_BYTES, &[]),
            disk_ballast_failures: registry.counter(&DISK_BALLAST_FAILURES, &[]),
            disk_low: registry.gauge(&DISK_LOW, &[]),
            deletions: registry.counter(&DELETIONS, &[]),
            tombstones: registry.gauge(&TOMBSTONES, &[]),
            compactions: registry.counter(&COMPACTIONS, &[]),
            compaction_failures: registry.counter(&COMPACTION_FAILURES, &[]),
            compactions_postponed: registry.counter(&COMPACTIONS_POSTPONED, &[]),
            compaction_running: registry.gauge(&COMPACTION_RUNNING, &[]),
            compaction_seconds: registry.histogram(&COMPACTION_SECONDS, LONG_SECONDS, &[]),
            compaction_blocks_in: registry.counter(&COMPACTION_BLOCKS, &[("side", "in")]),
            compaction_blocks_out: registry.counter(&COMPACTION_BLOCKS, &[("side", "out")]),
            compaction_bytes_in: registry.counter(&COMPACTION_BYTES, &[("side", "in")]),
            compaction_bytes_out: registry.counter(&COMPACTION_BYTES, &[("side", "out")]),
            scrubbed_blocks: registry.counter(&SCRUBBED_BLOCKS, &[]),
            metadata_families: registry.gauge(&METADATA_FAMILIES, &[]),
            metadata_refused: registry.counter(&METADATA_REFUSED, &[]),
            exemplars: registry.gauge(&EXEMPLARS, &[]),
            exemplar_bytes: registry.gauge(&EXEMPLAR_BYTES, &[]),
            exemplars_stored: registry.counter(&EXEMPLARS_STORED, &[]),
            exemplars_refused_time: registry.counter(&EXEMPLARS_REFUSED, &[("reason", "time")]),
            exemplars_refused_labels: registry.counter(&EXEMPLARS_REFUSED, &[("reason", "labels_too_long")]),
            exemplars_refused_point: registry.counter(&EXEMPLARS_REFUSED, &[("reason", "point_refused")]),
            exemplars_evicted_series: registry.counter(&EXEMPLARS_EVICTED, &[("limit", "series")]),
            exemplars_evicted_bytes: registry.counter(&EXEMPLARS_EVICTED, &[("limit", "bytes")]),
            corrupt_blocks: corrupt("block"),
            corrupt_wal: corrupt("wal"),
        }
    }
}
