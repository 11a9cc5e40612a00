//! Retention: blocks that are too old, or too much together, are deleted.

use super::Blocks;
use super::remove::remove_block_files;
use super::served::Served;
use crate::EngineError;
use std::sync::Arc;

impl Blocks {
    /// Deletes the blocks that hold nothing within the retention before `now_ms`, and then the oldest while blocks and log
    /// together are larger than allowed; tells their ids to `gone`, one by one.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::Block`]; to be tried again.
    pub(crate) fn expire(&self, now_ms: i64, log_bytes: u64, gone: impl Fn(u64)) -> Result<usize, EngineError> {
        let expired = self.expired(now_ms, log_bytes);
        if expired.is_empty() {
            return Ok(0);
        }
        let mut retired = self.retired.lock();
        // A record on the disk relies on its outputs being there.
        self.finish_retired_with(&mut retired)?;
        let expired = self.expired(now_ms, log_bytes);
        for block in &expired {
            // Removes the file first: if that fails the block stays served, and the next call tries again.
            let id = block.meta().id;
            remove_block_files(&*self.disk, &self.dir(), &[id])?;
            self.set.exchange(|b| b.meta().id == id, Vec::new());
            self.changes.note_range(block.meta().range);
            gone(id);
            self.metrics.blocks_expired.inc();
        }
        self.report();
        Ok(expired.len())
    }

    fn expired(&self, now_ms: i64, log_bytes: u64) -> Vec<Arc<Served>> {
        let blocks = self.list();
        let oldest_ms = now_ms.saturating_sub(self.options.retention_ms);
        let mut by_age: Vec<&Arc<Served>> = blocks.iter().collect();
        by_age.sort_by_key(|block| (block.meta().range.maxt, block.meta().id));
        let mut bytes = blocks.iter().map(|block| block.meta().bytes).sum::<u64>().saturating_add(log_bytes);
        let is_gone = |block: &&Arc<Served>| {
            let too_much = self.options.retention_bytes.is_some_and(|bytes_max| bytes > bytes_max);
            let gone = block.meta().range.maxt < oldest_ms || too_much;
            bytes = bytes.saturating_sub(if gone { block.meta().bytes } else { 0 });
            gone
        };
        by_age.into_iter().take_while(is_gone).cloned().collect()
    }
}
