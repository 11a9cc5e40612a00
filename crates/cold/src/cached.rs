//! What was read of the files of a day before, in the caches.

use mytsdb_cache::{Caches, ChunkKey, Origin};
use mytsdb_columns::Columns;
use mytsdb_parquet_tier::{FileKind, LiveDay, Series};
use std::sync::Arc;

/// The caches, asked for series of one day's files. Files are never changed, and a day that is written anew has other ones, so whatever
/// is found is what the files have: late samples, deletions and new versions of a day cannot make it wrong.
pub(crate) struct Cached {
    caches: Arc<Caches>,
    file: u128,
    checksum: u64,
}

impl Cached {
    pub fn new(caches: Arc<Caches>, live: &LiveDay) -> Self {
        let checksum_of = |kind: FileKind| {
            live.files.iter().find(|(other, _)| *other == kind).map_or(0, |(_, digest)| u64::from(digest.whole.crc32c))
        };
        let checksum = checksum_of(FileKind::Samples) << 32 | checksum_of(FileKind::Histograms);
        Self { caches, file: live.id.number(), checksum }
    }

    fn key(&self, series: &Series) -> ChunkKey {
        ChunkKey { file: self.file, checksum: self.checksum, row: series.row() }
    }

    /// Calls `use_it` with all samples of a series, if they are there.
    pub fn read<R>(&self, series: &Series, use_it: impl FnOnce(&Columns) -> R) -> Option<R> {
        self.caches.read(&self.key(series), series.sample_count(), use_it)
    }

    /// Whether the samples of a series are there.
    pub fn has(&self, series: &Series) -> bool {
        self.caches.has(&self.key(series))
    }

    /// Keeps all samples of a series.
    pub fn put(&self, series: &Series, columns: &Arc<Columns>, origin: Origin) {
        self.caches.put(&self.key(series), columns, origin);
    }
}
