//! Deletion: samples of some series and times are hidden at once, and leave the disk when their blocks are written anew.
//!
//! Invariant D: what is hidden is what was there when [`Engine::delete_series`] was called. The tombstone says so by two
//! numbers: blocks below one, segments of the log below the other. `docs/compaction.md` has the rest.

use crate::chunk::Sealer;
use crate::deletions::Deletions;
use crate::served::Served;
use crate::{Engine, EngineError};
use mytsdb_blocks::Tombstone;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_wal::SegmentId;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Most deletions whose samples are still on the disk.
const TOMBSTONES_MAX: usize = 1_000;

impl Engine {
    /// Deletes the samples that series satisfying all matchers of any of the selectors have in a range now, those of batches
    /// acknowledged before included. They are gone from every answer when this returns, and stay so; a sample that is
    /// appended later is stored, whatever was there. Space is freed by [`compact`](Engine::compact) or
    /// [`clean_tombstones`](Engine::clean_tombstones).
    ///
    /// Cost: a sync, and a selection in every block. Waits for a flush that is under way; commits wait while the head's
    /// chunks are cut, some microseconds for a series that has samples there.
    ///
    /// # Errors
    /// [`EngineError::Deletions`] if there are too many; [`EngineError::Block`], [`EngineError::Wal`]: nothing is deleted,
    /// unless the disk fails to take a tombstone back; then the next start may apply it.
    pub fn delete_series(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), EngineError> {
        if selectors.is_empty() || range.is_empty() {
            return Ok(());
        }
        let mut deletions = self.deletions.lock();
        if deletions.tombstones.len() >= TOMBSTONES_MAX {
            return Err(EngineError::Deletions { limit: TOMBSTONES_MAX });
        }
        let mut flushing = self.flushing.lock();
        let mut tombstone = Tombstone {
            id: deletions.next_id,
            blocks_below: flushing.next_block_id(),
            segments_below: 0,
            range,
            selectors: selectors.to_vec(),
        };
        // No block leaves or comes until the new list is there.
        let _retired = self.retired.lock();
        let mut hit = Vec::new();
        for block in self.blocks.list().iter() {
            hit.extend(block.without(&tombstone)?.map(Arc::new));
        }
        // Between two groups: what is logged so far is deleted, what comes is not.
        let mut committer = self.committer.lock();
        let SegmentId(segment) = committer.wal.rotate()?;
        self.report_log(&committer.wal);
        tombstone.segments_below = segment;
        tombstone.publish(&*self.disk, &self.tombstones_dir())?;
        deletions.next_id += 1;
        flushing.note(&tombstone);
        let cut = self.delete_from_head(&tombstone);
        let ids: Vec<u64> = hit.iter().map(|block| block.meta().id).collect();
        self.blocks.exchange(|block| ids.binary_search(&block.meta().id).is_ok(), hit);
        deletions.tombstones.push(tombstone);
        self.metrics.tombstones.set(deletions.tombstones.len() as f64);
        self.metrics.deletions.inc();
        // Pairs with the Acquire of those who remember names and values.
        self.deletion_count.fetch_add(1, Ordering::Release);
        drop(committer);
        self.selections.forget_all();
        cut
    }

    /// Cuts the deleted samples out of all series of the head; a chunk that does not decode keeps no other from being cut.
    fn delete_from_head(&self, tombstone: &Tombstone) -> Result<(), EngineError> {
        let mut sealer = Sealer::default();
        let mut result = Ok(());
        for matchers in &tombstone.selectors {
            for series in self.ask_head(|view| view.select(matchers, StopSign::NEVER))? {
                if let Err(source) = series.delete(tombstone.range, &mut sealer) {
                    result = Err(EngineError::Chunk { series: series.labels.to_string(), source });
                }
            }
        }
        result
    }

    /// Writes all blocks anew of which something is deleted, and forgets deletions that hide nothing any more; tells how many
    /// blocks it wrote. Blocks until that is done.
    ///
    /// # Errors
    /// As [`compact`](Engine::compact).
    pub fn clean_tombstones(&self, stop: StopSign<'_>, pace: &mut dyn FnMut(u64)) -> Result<usize, EngineError> {
        let mut count = 0;
        while let Some(done) = self.compact_deleted(stop, pace)? {
            count += done.blocks_out;
        }
        self.retire_tombstones()?;
        Ok(count)
    }

    /// Removes the tombstones that hide nothing any more: no block has anything of theirs, and the log begins behind them.
    pub(crate) fn retire_tombstones(&self) -> Result<(), EngineError> {
        let mut deletions = self.deletions.lock();
        if deletions.tombstones.is_empty() {
            return Ok(());
        }
        let flushing = self.flushing.lock();
        let blocks = self.blocks.list();
        let is_done = |tombstone: &Tombstone| {
            flushing.is_behind(tombstone) && !blocks.iter().any(|block| block.is_hit_by(tombstone.id))
        };
        // A merge that has been decided on keeps blocks on the disk until its record is gone.
        self.finish_retired()?;
        while let Some(at) = deletions.tombstones.iter().position(is_done) {
            deletions.tombstones[at].remove(&*self.disk, &self.tombstones_dir())?;
            deletions.tombstones.remove(at);
        }
        self.metrics.tombstones.set(deletions.tombstones.len() as f64);
        Ok(())
    }

    /// Blocks as they are to be served, with what is deleted of them; to be called with the lock held that guards the deletions.
    pub(crate) fn served(
        deletions: &Deletions,
        blocks: impl IntoIterator<Item = Arc<mytsdb_blocks::Block>>,
    ) -> Result<Vec<Arc<Served>>, EngineError> {
        let serve = |block| Served::new(block, &deletions.tombstones).map(Arc::new);
        blocks.into_iter().map(serve).collect()
    }

    pub(crate) fn tombstones_dir(&self) -> PathBuf {
        self.options.data_dir.join("tombstones")
    }
}
