//! The deletions in force.

use mytsdb_blocks::Tombstone;

/// The deletions in force.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    pub(crate) tombstones: Vec<Tombstone>,
    /// That of the next one.
    pub(crate) next_id: u64,
}

impl Deletions {
    pub(crate) fn new(tombstones: Vec<Tombstone>) -> Self {
        let next_id = tombstones.last().map_or(1, |last| last.id + 1);
        Self { tombstones, next_id }
    }
}
