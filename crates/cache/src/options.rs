//! Settings of the caches.

use std::path::PathBuf;

/// How large the caches are. A level of 0 bytes is off.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CacheOptions {
    /// Memory for decoded columns (L1), in bytes, what is needed to find them included.
    pub l1_bytes: usize,
    /// Files of packed chunks (L2), in bytes on the disk. They take memory too: what waits to be written, at most 8 MiB, and some 120 bytes
    /// for each series and file.
    pub l2_bytes: u64,
    /// Folder of these files, created if missing. With [`l2_bytes`](Self::l2_bytes) 0 those that are there are removed, unless they stay.
    pub dir: PathBuf,
    /// With [`l2_bytes`](Self::l2_bytes) 0 the files that are there are left as they are, for somebody who comes later; not unless set.
    pub files_stay: bool,
    /// Nothing is written to the files while the disk has less room than this, in bytes.
    pub disk_free_min: u64,
}

impl CacheOptions {
    /// Both levels off.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { l1_bytes: 0, l2_bytes: 0, dir: dir.into(), files_stay: false, disk_free_min: 0 }
    }
}
