//! What compaction remembers from one time to the next.

use mytsdb_blocks::CompactionRecord;
use std::collections::HashSet;

/// What compaction remembers from one time to the next. Locked while a merge runs: there is one at a time.
#[derive(Debug, Default)]
pub(in crate::blocks) struct CompactState {
    /// Blocks that could not be merged and are left alone until the next start.
    pub(super) failed: HashSet<u64>,
}

/// What has been decided and is not yet done on the disk. Who takes blocks out of service holds the lock on it.
#[derive(Debug, Default)]
pub(in crate::blocks) struct Retired {
    /// Done: inputs, or the record itself, may still be there.
    pub(super) record: Option<CompactionRecord>,
}
