//! The blocks: which are served, with what is deleted of them; what expires, and what is merged.
//!
//! It knows neither the head nor the log: who flushes hands finished blocks over, who deletes says by a tombstone what is
//! hidden. [`Blocks`] is the whole of it. A list of blocks, once taken, never changes and stays readable.
//!
//! Locks, in the order in which they are taken: the merge, the deletions, the ids, the retired blocks. Sources outside of the
//! engine come and go under the lock of the deletions.

mod compact;
mod damage;
mod deletions;
mod open;
mod outside;
mod remove;
mod retention;
mod scrub;
mod served;
mod set;
mod source;
mod stored;
#[cfg(test)]
mod tests;

pub use compact::CompactionDone;
pub(crate) use compact::Wanted;
pub(crate) use deletions::Deletions;
pub use outside::{BlockSeries, StoredBlock, TakenOut};
pub use scrub::Scrubbed;
pub(crate) use served::Served;
pub(crate) use set::BlockList;
pub(crate) use stored::StoredValues;

use crate::changes::MetricChanges;
use crate::metrics::Metrics;
use crate::source::Source;
use crate::{EngineError, EngineOptions};
use compact::{CompactState, Grid, Retired};
use damage::Damages;
use mytsdb_blocks::{Block, BlockWriter, Tombstone};
use mytsdb_io::Disk;
use mytsdb_model::TimeRange;
use parking_lot::{Mutex, MutexGuard};
use set::BlockSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The id of a block is its place in the order of writing. Whoever has this lock is the only one who writes blocks of new samples.
#[derive(Debug)]
pub(crate) struct Ids {
    next: u64,
    /// Blocks from this id on are those of a flush that goes on, if there is one.
    unfinished_from: Option<u64>,
}

impl Ids {
    /// No block has this id or a higher one.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Gives no id up to this one again.
    pub(crate) fn pass(&mut self, id: u64) {
        self.next = self.next.max(id.saturating_add(1));
    }

    /// The first of `count` ids that nobody else gets.
    pub(crate) fn set_aside(&mut self, count: u64) -> u64 {
        self.next += count;
        self.next - count
    }
}

/// The blocks of a data folder.
pub(crate) struct Blocks {
    disk: Arc<dyn Disk>,
    options: EngineOptions,
    /// Free space that merges leave on the disk, in bytes.
    floor_bytes: u64,
    set: BlockSet,
    ids: Mutex<Ids>,
    /// Held for the whole of a merge of blocks, so that there is one at a time.
    compacting: Mutex<CompactState>,
    deletions: Mutex<Deletions>,
    /// Held while blocks are taken out of service.
    retired: Mutex<Retired>,
    damages: Arc<Damages>,
    changes: Arc<MetricChanges>,
    metrics: Metrics,
}

impl Blocks {
    /// The blocks being served, ascending by id. Cost: two atomic operations.
    pub(crate) fn list(&self) -> BlockList {
        self.set.list()
    }

    /// No block has a sample after this time. Never too low for a sample that was in the head when it was read.
    pub(crate) fn maxt_ms(&self) -> i64 {
        self.set.maxt_ms()
    }

    /// Looks up values in blocks, of which it is told group by group.
    pub(crate) fn stored_values(&self) -> StoredValues {
        StoredValues::new(self.options.block_ms)
    }

    /// Notes that a flush goes on until what is returned is dropped: merges leave its blocks alone, for more of them are to come.
    pub(crate) fn begin_flush(&self) -> UnfinishedFlush<'_> {
        let mut ids = self.ids.lock();
        ids.unfinished_from = Some(ids.next);
        UnfinishedFlush(self)
    }

    /// The right to write blocks of new samples.
    pub(crate) fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock()
    }

    /// The day that a block of a time may not leave.
    pub(crate) fn day(&self, timestamp_ms: i64) -> TimeRange {
        self.grid().day(timestamp_ms)
    }

    /// A writer of a block of this id.
    ///
    /// # Errors
    /// [`EngineError::Block`].
    pub(crate) fn writer(&self, id: u64) -> Result<BlockWriter, EngineError> {
        Ok(BlockWriter::new(self.disk.clone(), &self.dir(), id)?)
    }

    /// Serves blocks of new samples, whose ids were taken since the last deletion: so nothing of them is deleted.
    ///
    /// # Errors
    /// [`EngineError::Block`].
    pub(crate) fn serve_new(&self, blocks: Vec<Arc<Block>>) -> Result<(), EngineError> {
        let serve = |block| Served::new(block, self.damages.clone(), []).map(Arc::new);
        let blocks = blocks.into_iter().map(serve).collect::<Result<_, _>>()?;
        self.set.exchange(|_| false, blocks);
        Ok(())
    }

    /// The deletions in force.
    pub(crate) fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.deletions.lock()
    }

    /// Finds out what a tombstone hides. No block leaves, and none but new ones comes, while what is returned is held.
    ///
    /// # Errors
    /// [`EngineError::Block`].
    pub(crate) fn hiding(&self, tombstone: &Tombstone) -> Result<Hiding<'_>, EngineError> {
        let retired = self.retired.lock();
        let mut hit = Vec::new();
        for block in self.list().iter() {
            hit.extend(block.without(tombstone)?.map(Arc::new));
        }
        // The caller has the deletions: no source outside comes or goes meanwhile.
        let hit_outside = self.set.outside().iter().filter_map(|source| source.without(tombstone)).collect();
        Ok(Hiding { blocks: self, hit, hit_outside, _retired: retired })
    }

    /// Removes the tombstones that hide nothing any more: no block has anything of theirs, and the log, as `is_behind` tells,
    /// begins behind them.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::Block`]; to be tried again.
    pub(crate) fn retire_tombstones(
        &self,
        deletions: &mut Deletions,
        is_behind: impl Fn(&Tombstone) -> bool,
    ) -> Result<(), EngineError> {
        let (blocks, outside) = (self.list(), self.set.outside());
        let is_done = |tombstone: &Tombstone| {
            is_behind(tombstone)
                && !blocks.iter().any(|block| block.is_hit_by(tombstone.id))
                && !outside.iter().any(|source| source.is_hit_by(tombstone.id))
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

    /// Puts a tombstone on the disk.
    ///
    /// # Errors
    /// [`EngineError::Block`]; then it is not there, unless the disk fails to take it back.
    pub(crate) fn publish_tombstone(&self, tombstone: &Tombstone) -> Result<(), EngineError> {
        Ok(tombstone.publish(&*self.disk, &self.tombstones_dir())?)
    }

    /// Takes back a tombstone that has been published and hides nothing yet.
    ///
    /// # Errors
    /// [`EngineError::Block`]; then the next start may apply it.
    pub(crate) fn take_back_tombstone(&self, tombstone: &Tombstone) -> Result<(), EngineError> {
        Ok(tombstone.remove(&*self.disk, &self.tombstones_dir())?)
    }

    /// Publishes how many blocks there are, and how large.
    pub(crate) fn report(&self) {
        let blocks = self.list();
        self.metrics.blocks.set(blocks.len() as f64);
        self.metrics.block_bytes.set(blocks.iter().map(|b| b.meta().bytes).sum::<u64>() as f64);
    }

    fn grid(&self) -> Grid {
        Grid::new(self.options.block_ms, self.options.retention_ms)
    }

    fn dir(&self) -> PathBuf {
        self.options.data_dir.join("blocks")
    }

    fn tombstones_dir(&self) -> PathBuf {
        self.options.data_dir.join("tombstones")
    }
}

/// A flush that has not written all its blocks.
pub(crate) struct UnfinishedFlush<'a>(&'a Blocks);

impl Drop for UnfinishedFlush<'_> {
    fn drop(&mut self) {
        self.0.ids.lock().unfinished_from = None;
    }
}

/// A deletion that has been looked up in the blocks and hides nothing yet.
pub(crate) struct Hiding<'a> {
    blocks: &'a Blocks,
    hit: Vec<Arc<Served>>,
    hit_outside: Vec<Arc<dyn Source>>,
    _retired: MutexGuard<'a, Retired>,
}

impl Hiding<'_> {
    /// Serves blocks and sources outside without what is deleted, in one step for whoever lists them.
    pub(crate) fn hide(self) {
        let ids: Vec<u64> = self.hit.iter().map(|block| block.meta().id).collect();
        let is_hit = |block: &Served| ids.binary_search(&block.meta().id).is_ok();
        let numbers = outside::numbers(&self.hit_outside);
        self.blocks.set.exchange_all((is_hit, self.hit), (&numbers, self.hit_outside));
    }
}
