//! Settings of an engine.

use std::path::PathBuf;

pub use mytsdb_wal::Durability;

/// How an engine stores and for how long. The defaults are the server's.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Folder that holds the lock, the log and the blocks. Created if missing.
    pub data_dir: PathBuf,
    /// When an append counts as done.
    pub durability: Durability,
    /// Samples older than this, in ms, are refused, and blocks that hold nothing newer are deleted.
    pub retention_ms: i64,
    /// Size of blocks and log above which the oldest blocks are deleted, in bytes.
    pub retention_bytes: Option<u64>,
    /// Free space on the disk below which writes are refused, in bytes; 0 for none, `None` for the lesser of 1 GiB and 5 % of
    /// the disk.
    pub disk_floor_bytes: Option<u64>,
    /// Room on the disk that is set aside for flushes when other programs have filled the disk, in bytes; 0 for none, which is
    /// the default here, unlike the server's.
    pub disk_ballast_bytes: u64,
    /// Span of a block, and of the grid that blocks are cut on, in ms.
    pub block_ms: i64,
    /// How long after the end of a block's span its samples stay in the head, in ms, so that slightly
    /// late samples still find their neighbours there.
    pub flush_delay_ms: i64,
    /// Bytes of chunks in the head above which a flush goes in parts: as many as there are times this number of bytes, at most 4. Each
    /// leaves the head before the next one is written.
    pub flush_part_bytes: u64,
    /// Samples further ahead of the clock than this, in ms, are refused.
    pub future_tolerance_ms: i64,
    /// Most series in the head. Known series are accepted past it, new ones refused.
    pub series_max: usize,
    /// Most samples staged and not yet durable; past it appends are refused and the sender retries.
    pub staged_samples_max: usize,
    /// Samples behind the last flush that the head collects before they are flushed on their own.
    pub late_samples_max: u64,
    /// Bytes of samples that are not packed yet, full runs of histograms and closed chunks of floats, that may wait in the head until [`Engine::run_sealer`](crate::Engine::run_sealer) or
    /// [`Engine::maintain`](crate::Engine::maintain) packs them; past it whoever commits does. 0 lets none wait.
    pub unsealed_bytes_max: usize,
    /// Size at which a log segment is closed, in bytes.
    pub segment_bytes_max: u64,
    /// Memory for remembering which series satisfy the matchers of earlier queries, in bytes; 0 turns it off.
    pub selection_cache_bytes: usize,
    /// Most metrics whose metadata is kept; further ones have none.
    pub metadata_families_max: usize,
    /// Bytes of a metric's help that are kept, at most [`HELP_BYTES_MAX`](Self::HELP_BYTES_MAX).
    pub metadata_help_bytes_max: usize,
    /// Exemplars that a series keeps, the newest; 0 for none.
    pub exemplars_per_series_max: usize,
    /// Memory for all exemplars in bytes, about; past it those go that came first. 0 for none.
    pub exemplar_bytes_max: usize,
}

impl EngineOptions {
    /// The longest help that the log has room for, in bytes.
    pub const HELP_BYTES_MAX: usize = 1 << 20;

    /// The defaults, for a data folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        const MINUTE_MS: i64 = 60_000;
        const HOUR_MS: i64 = 60 * MINUTE_MS;
        Self {
            data_dir: data_dir.into(),
            durability: Durability::Fsync,
            retention_ms: 15 * 24 * HOUR_MS,
            retention_bytes: None,
            disk_floor_bytes: None,
            disk_ballast_bytes: 0,
            block_ms: 2 * HOUR_MS,
            flush_delay_ms: 15 * MINUTE_MS,
            flush_part_bytes: 48 << 20,
            future_tolerance_ms: 10 * MINUTE_MS,
            series_max: 2_000_000,
            staged_samples_max: 8_000_000,
            late_samples_max: 4_000_000,
            unsealed_bytes_max: 256 << 20,
            segment_bytes_max: 64 << 20,
            selection_cache_bytes: 64 << 20,
            metadata_families_max: 50_000,
            metadata_help_bytes_max: 1 << 10,
            exemplars_per_series_max: 100,
            exemplar_bytes_max: 64 << 20,
        }
    }
}
