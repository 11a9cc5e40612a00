//! Deletion: samples of some series and times are hidden at once, and leave the disk when their blocks are written anew.
//!
//! Invariant D: what is hidden is what was there when [`Engine::delete_series`] was called. The tombstone says so by two
//! numbers: blocks below one, segments of the log below the other. `docs/compaction.md` has the rest.

use super::Engine;
use crate::EngineError;
use crate::blocks::Wanted;
use crate::exemplars::Evicted;
use crate::log::Writer;
use mytsdb_blocks::Tombstone;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_wal::{SegmentId, Wal};
use parking_lot::MutexGuard;

/// How often a tombstone is published beside commits before they wait for it.
const PUBLISH_BESIDE_MAX: usize = 3;

/// Most deletions whose samples are still on the disk.
const TOMBSTONES_MAX: usize = 1_000;

impl Engine {
    /// Deletes the samples that series satisfying all matchers of any of the selectors have in a range now, those of batches
    /// acknowledged before included. They are gone from every answer when this returns, and stay so; a sample that is
    /// appended later is stored, whatever was there. Space is freed by [`compact`](Engine::compact) or
    /// [`clean_tombstones`](Engine::clean_tombstones).
    ///
    /// Cost: a sync, a selection in every block, and some microseconds for a series that has samples in the head. Waits for the
    /// part of a flush that is being written. Commits wait for the log to begin a new segment, and for those of their own series that are to be cut.
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
        let doomed = self.head.doomed(&tombstone)?;
        let writer = self.publish_and_cut_log(&mut tombstone)?;
        // Between two groups: what is logged so far is deleted, what comes is not. All of it takes some microseconds.
        let next_exemplar = self.exemplars.next_arrival();
        let begun = self.head.begin_cut(doomed, &tombstone);
        hiding.hide();
        drop(writer);
        // From here on the tombstone is in force, whatever fails.
        let cut = begun.and_then(|()| self.head.finish_cut());
        self.changes.note_range(tombstone.range);
        self.exemplars.delete(&tombstone, next_exemplar);
        self.report_exemplars(Evicted::default());
        deletions.next_id += 1;
        flushing.note(&tombstone);
        deletions.tombstones.push(tombstone);
        self.metrics.tombstones.set(deletions.tombstones.len() as f64);
        self.metrics.deletions.inc();
        cut
    }

    /// Puts a tombstone on the disk and cuts the log where the tombstone says; gives back the log's writer, with which nothing has been
    /// committed since.
    ///
    /// Publishing takes syncs, for which no commit should wait. So the tombstone says where the log would be cut now, and if the log has
    /// gone on to another segment meanwhile it is published anew. A power cut in between deletes what was logged until then, which is as
    /// good a moment of a deletion that has not returned.
    fn publish_and_cut_log(&self, tombstone: &mut Tombstone) -> Result<MutexGuard<'_, Writer>, EngineError> {
        let boundary = |wal: &mut Wal| Ok(wal.next_boundary().0);
        for tries in 1.. {
            let mut writer = self.log.writer();
            tombstone.segments_below = self.log.with_writer(&mut writer, boundary)?;
            if tries <= PUBLISH_BESIDE_MAX {
                drop(writer);
                self.blocks.publish_tombstone(tombstone)?;
                writer = self.log.writer();
            } else {
                self.blocks.publish_tombstone(tombstone)?;
            }
            if self.log.with_writer(&mut writer, boundary)? == tombstone.segments_below {
                return match self.log.with_writer(&mut writer, Wal::rotate) {
                    Ok(SegmentId(segment)) => {
                        assert_eq!(segment, tombstone.segments_below, "the log was cut elsewhere");
                        Ok(writer)
                    }
                    Err(error) => {
                        self.blocks.take_back_tombstone(tombstone)?;
                        Err(error)
                    }
                };
            }
        }
        unreachable!("nobody commits while the writer is held")
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
