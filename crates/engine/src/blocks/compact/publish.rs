//! The exchange of blocks: from step 3 of `docs/compaction.md` on.

use super::state::Retired;
use crate::EngineError;
use crate::blocks::remove::remove_block_files;
use crate::blocks::{Blocks, Served};
use mytsdb_blocks::{Block, CompactionRecord, CompactionState};
use std::sync::Arc;

impl Blocks {
    /// Makes the outputs count, serves them instead of the inputs, and removes the inputs.
    ///
    /// # Errors
    /// Before anything counts, so that the outputs can be discarded. What fails later is tried again by others.
    pub(super) fn publish_outputs(
        &self,
        pending: &CompactionRecord,
        inputs: &[Arc<Served>],
        outputs: &[Arc<Block>],
    ) -> Result<(), EngineError> {
        // Those that were made while the merge was under way hide samples of the outputs too.
        let deletions = self.deletions.lock();
        let mut retired = self.retired.lock();
        let served = self.list();
        let is_served = |input: &Served| served.iter().any(|block| Arc::ptr_eq(block.block(), input.block()));
        if !inputs.iter().all(|input| is_served(input)) {
            // One has expired; what is left is another plan.
            return Err(EngineError::Canceled);
        }
        let new = deletions.served(outputs.iter().cloned(), &self.damages)?;
        let outputs_ids = outputs.iter().map(|block| block.meta().id).collect();
        let record = CompactionRecord { state: CompactionState::Done, outputs: outputs_ids, ..pending.clone() };
        let published = record.publish(&*self.disk, &self.dir());
        if let Err(error) = published {
            // Whether it is on the disk is not known. It must not be there when the outputs go.
            record.remove(&*self.disk, &self.dir())?;
            return Err(error.into());
        }
        self.set.exchange(|block| record.inputs.binary_search(&block.meta().id).is_ok(), new);
        retired.record = Some(record);
        drop((retired, deletions));
        if self.finish_retired().is_err() {
            self.metrics.compaction_failures.inc();
        }
        Ok(())
    }

    /// Removes what no longer counts from the disk, if a merge has left anything.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::Block`]; to be tried again.
    pub(in crate::blocks) fn finish_retired(&self) -> Result<(), EngineError> {
        self.finish_retired_with(&mut self.retired.lock())
    }

    pub(in crate::blocks) fn finish_retired_with(&self, retired: &mut Retired) -> Result<(), EngineError> {
        let Some(record) = &retired.record else { return Ok(()) };
        let dir = self.dir();
        remove_block_files(&*self.disk, &dir, &record.inputs)?;
        record.remove(&*self.disk, &dir)?;
        retired.record = None;
        Ok(())
    }

    /// Removes outputs that do not count, then their record. If the disk refuses, the next start does it.
    pub(super) fn discard(&self, record: &CompactionRecord, outputs: &[Arc<Block>]) {
        let ids: Vec<u64> = outputs.iter().map(|block| block.meta().id).collect();
        let removed = remove_block_files(&*self.disk, &self.dir(), &ids).is_ok()
            && record.remove(&*self.disk, &self.dir()).is_ok();
        if !removed {
            self.metrics.compaction_failures.inc();
        }
    }
}
