//! Retention: blocks that are too old, or too much together, are deleted.

use crate::served::Served;
use crate::{Engine, EngineError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Engine {
    /// Deletes the blocks that hold nothing within the retention, and then the oldest while blocks and log together are larger
    /// than allowed.
    pub(crate) fn expire(&self) -> Result<usize, EngineError> {
        let expired = self.expired(&self.blocks.list());
        if expired.is_empty() {
            return Ok(0);
        }
        let mut retired = self.retired.lock();
        // A record on the disk counts on its outputs being there.
        self.finish_retired_with(&mut retired)?;
        let expired = self.expired(&self.blocks.list());
        for block in &expired {
            // The file first: one that cannot be removed stays served, and the next call tries again.
            let path = block.path();
            self.disk.remove(path).map_err(|e| EngineError::io("remove", path, e))?;
            self.blocks.exchange(|b| b.meta().id == block.meta().id, Vec::new());
            self.selections.forget_block(block.meta().id);
        }
        let dir = self.blocks_dir();
        self.disk.sync_dir(&dir).map_err(|e| EngineError::io("sync", &dir, e))?;
        self.metrics.blocks_expired.add(expired.len() as u64);
        self.report_blocks();
        Ok(expired.len())
    }

    fn expired(&self, blocks: &[Arc<Served>]) -> Vec<Arc<Served>> {
        // The clock alone must not decide: a jump ahead would delete what is not old.
        let now_ms = self.clock.now_ms().min(self.newest_ms.load(Ordering::Relaxed));
        let oldest_ms = now_ms.saturating_sub(self.options.retention_ms);
        let mut by_age: Vec<&Arc<Served>> = blocks.iter().collect();
        by_age.sort_by_key(|block| (block.meta().range.maxt, block.meta().id));
        let mut bytes = blocks.iter().map(|block| block.meta().bytes).sum::<u64>().saturating_add(self.wal_bytes());
        let is_gone = |block: &&Arc<Served>| {
            let too_much = self.options.retention_bytes.is_some_and(|bytes_max| bytes > bytes_max);
            let gone = block.meta().range.maxt < oldest_ms || too_much;
            bytes = bytes.saturating_sub(if gone { block.meta().bytes } else { 0 });
            gone
        };
        by_age.into_iter().take_while(is_gone).cloned().collect()
    }
}
