//! Settings of the cold tier.

use mytsdb_downsample::Rule;
use std::path::PathBuf;

/// What an answer is over times of files that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// What there is elsewhere, with a warning.
    Warn,
    /// An error.
    Error,
}

/// Who else reads the files of the tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interop {
    /// Whoever reads Parquet: rows of samples, and nothing twice.
    Rows,
    /// Programs with prometheus-community/parquet-common too, which have a file of chunks beside the rows: about twice the size.
    ParquetCommon,
}

/// How the cold tier works.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ColdOptions {
    /// Days whose last sample is older than this, in ms, are demoted; 24 h unless set, at least [`AFTER_MS_MIN`](Self::AFTER_MS_MIN).
    pub after_ms: i64,
    /// What an answer is while the store cannot be reached, [`Unreachable::Warn`] unless set.
    pub unreachable: Unreachable,
    /// Folder on the local disk for files that are not uploaded yet. They have no names: a crash leaves nothing of them.
    pub spool: PathBuf,
    /// Whether the tier is on the disk of the data folder: then its files count for the engine's
    /// [`retention_bytes`](mytsdb_engine::EngineOptions::retention_bytes), and nothing is demoted that would leave less than twice its floor. Not unless set.
    pub shares_disk: bool,
    /// Files that are not live any more are deleted from the store when they are older than this, in ms; one hour unless set.
    pub grace_ms: u64,
    /// Manifests that are kept at least, 8 unless set.
    pub manifests_min: u64,
    /// Label columns of a file, 500 unless set, which is the most; series with more labels go to another file of the day.
    pub label_columns_max: usize,
    /// Who else reads what is written, [`Interop::Rows`] unless set.
    pub interop: Interop,
    /// How long [`Cold::open`](crate::Cold::open) waits for the store, in ms; 5 s unless set. Afterwards the next step tries again.
    pub open_wait_ms: u64,
    /// Series that are kept as buckets, none unless set.
    pub downsample: Vec<Rule>,
    /// Memory for decoded samples of the tier, in bytes, 0 (none) unless set.
    pub cache_l1_bytes: usize,
    /// Files with packed samples of the tier, in `cache/` of the data folder, in bytes, 0 (none) unless set.
    pub cache_l2_bytes: u64,
    /// Samples are read around these caches: nothing is kept in memory, and the files that are there stay as they are. Not unless set;
    /// for who reads everything once.
    pub around_caches: bool,
    /// How many refreshes of a dashboard ahead samples of the tier are put into these caches, 0 (none) unless set.
    pub prefetch_windows: u32,
    /// Bytes a second that are read for that at most, 8 MiB unless set.
    pub prefetch_bytes_per_second: u64,
}

impl ColdOptions {
    /// The least [`after_ms`](Self::after_ms): by then a flush has passed all that is not late.
    pub const AFTER_MS_MIN: i64 = 4 * 3_600_000;

    /// The defaults, with a folder for files that are not uploaded yet.
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        Self {
            after_ms: 24 * 3_600_000,
            unreachable: Unreachable::Warn,
            spool: spool.into(),
            shares_disk: false,
            grace_ms: 3_600_000,
            manifests_min: 8,
            label_columns_max: 500,
            interop: Interop::Rows,
            open_wait_ms: 5_000,
            downsample: Vec::new(),
            cache_l1_bytes: 0,
            cache_l2_bytes: 0,
            around_caches: false,
            prefetch_windows: 0,
            prefetch_bytes_per_second: 8 << 20,
        }
    }
}
