//! The deletions in force.

use super::damage::Damages;
use super::served::Served;
use crate::EngineError;
use mytsdb_blocks::{Block, Tombstone};
use std::sync::Arc;

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

    /// Blocks as they are to be served, with what is deleted of them.
    ///
    /// # Errors
    /// [`EngineError::Block`].
    pub(super) fn served(
        &self,
        blocks: impl IntoIterator<Item = Arc<Block>>,
        damages: &Arc<Damages>,
    ) -> Result<Vec<Arc<Served>>, EngineError> {
        let serve = |block| Served::new(block, damages.clone(), &self.tombstones).map(Arc::new);
        blocks.into_iter().map(serve).collect()
    }
}
