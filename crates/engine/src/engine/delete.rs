//! Deletion: samples of some series and times are hidden at once, and leave the disk when their blocks are written anew.
//!
//! Invariant D: what is hidden is what was there when [`Engine::delete_series`] was called. The tombstone says so by two
//! numbers: blocks below one, segments of the log below the other. `docs/compaction.md` has the rest.

use super::Engine;
use crate::EngineError;
use crate::blocks::Wanted;
use crate::exemplars::Evicted;
use mytsdb_blocks::Tombstone;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_wal::{SegmentId, Wal};

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
        let mut deletions = self.blocks.deletions();
        if deletions.tombstones.len() >= TOMBSTONES_MAX {
            return Err(EngineError::Deletions { limit: TOMBSTONES_MAX });
        }
        let mut flushing = self.flushing.lock();
        let ids = self.blocks.ids();
        let mut tombstone = Tombstone {
            id: deletions.next_id,
            blocks_below: ids.next(),
            segments_below: 0,
            range,
            selectors: selectors.to_vec(),
        };
        let hiding = self.blocks.hiding(&tombstone)?;
        // Between two groups: what is logged so far is deleted, what comes is not.
        let mut writer = self.log.writer();
        let SegmentId(segment) = self.log.with_writer(&mut writer, Wal::rotate)?;
        tombstone.segments_below = segment;
        self.blocks.publish_tombstone(&tombstone)?;
        deletions.next_id += 1;
        flushing.note(&tombstone);
        let mut cut = Ok(());
        for matchers in &tombstone.selectors {
            cut = cut.and(self.head.delete(matchers, range));
        }
        self.exemplars.delete(&tombstone);
        self.report_exemplars(Evicted::default());
        hiding.hide();
        deletions.tombstones.push(tombstone);
        self.metrics.tombstones.set(deletions.tombstones.len() as f64);
        self.metrics.deletions.inc();
        drop(writer);
        cut
    }

    /// Writes all blocks anew of which something is deleted, and forgets deletions that hide nothing any more; tells how many
    /// blocks it wrote. Blocks until that is done.
    ///
    /// # Errors
    /// As [`compact`](Engine::compact).
    pub fn clean_tombstones(&self, stop: StopSign<'_>, pace: &mut dyn FnMut(u64)) -> Result<usize, EngineError> {
        let mut count = 0;
        while let Some(done) = self.merge(Wanted::Deleted, stop, pace)? {
            count += done.blocks_out;
        }
        self.retire_tombstones()?;
        Ok(count)
    }

    /// Removes the tombstones that hide nothing any more: no block has anything of theirs, and the log begins behind them.
    pub(super) fn retire_tombstones(&self) -> Result<(), EngineError> {
        let mut deletions = self.blocks.deletions();
        if deletions.tombstones.is_empty() {
            return Ok(());
        }
        let flushing = self.flushing.lock();
        self.blocks.retire_tombstones(&mut deletions, |tombstone| flushing.is_behind(tombstone))
    }
}
