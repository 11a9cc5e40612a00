//! Sources outside of the engine: what takes them, and the blocks whose place they take.

use super::Engine;
use crate::EngineError;
use crate::blocks::{StoredBlock, TakenOut};
use crate::source::{Source, SourceId};
use mytsdb_blocks::Tombstone;
use mytsdb_model::TimeRange;
use std::sync::Arc;

impl Engine {
    /// Serves a source that is no part of the engine: queries that begin from now on read it too, without what is deleted of
    /// it. What has its id is no longer served, in the same step.
    ///
    /// # Panics
    /// If its id is one of those that belong to the engine.
    pub fn serve(&self, source: Arc<dyn Source>) {
        self.hand_out(&[], &[], vec![source]);
    }

    /// Serves a source no longer that [`serve`](Engine::serve) was called with; queries under way keep it.
    pub fn withdraw(&self, source: SourceId) {
        if let SourceId::Outside(number) = source {
            self.hand_out(&[], &[number], Vec::new());
        }
    }

    /// The blocks being served, ascending by id.
    pub fn stored_blocks(&self) -> Vec<StoredBlock> {
        self.blocks.stored()
    }

    /// Reads some blocks for a tier outside of the engine, as they are now; they go on being served. `choose` says which, and
    /// must not wait. What is made of them gets a number from the same row as blocks: a later deletion is about both, an earlier one is
    /// heeded by what is read. Waits for a flush that is under way.
    pub fn take_out(&self, choose: impl FnOnce(&[StoredBlock]) -> Vec<u64>) -> TakenOut {
        self.blocks.take_out(choose)
    }

    /// The deletions whose samples are still in a block, a source or the log, ascending by id. Copies them.
    pub fn deletions(&self) -> Vec<Tombstone> {
        self.blocks.deletions().tombstones.clone()
    }

    /// Gives no number up to this one to a block or a tier again. To be called before the first sample is appended or deleted, with the
    /// highest number that a tier has.
    pub fn pass_number(&self, number: u64) {
        self.blocks.pass_id(number);
    }

    /// Serves sources instead of blocks, and of other sources by their numbers, in one step for queries. Blocks that are not served
    /// any more are left out. The sources have what the blocks had. What is deleted, also since the blocks were taken out, is
    /// asked of each source ([`Source::without`]).
    ///
    /// # Panics
    /// If a source has an id that belongs to the engine.
    pub fn hand_out(&self, blocks: &[u64], gone: &[u64], new: Vec<Arc<dyn Source>>) {
        for source in &new {
            let id = source.id();
            assert!(matches!(id, SourceId::Outside(_)), "{id:?} is a part of the engine");
            if !source.is_plain() {
                self.head.note_other_than_plain();
            }
        }
        let changed: Vec<SourceId> = new.iter().map(|source| source.id()).collect();
        let ranges: Vec<TimeRange> = new.iter().map(|source| source.range()).collect();
        let ranges = ranges.into_iter().chain(self.reader.ranges_of(|id| match id {
            SourceId::Block(id) => blocks.contains(&id),
            SourceId::Outside(number) => gone.contains(&number),
            _ => false,
        }));
        let ranges = ranges.fold(TimeRange::EMPTY, TimeRange::cover);
        self.blocks.hand_out(blocks, gone, new);
        self.changes.note_range(ranges);
        let gone = blocks.iter().map(|id| SourceId::Block(*id)).chain(gone.iter().map(|n| SourceId::Outside(*n)));
        gone.chain(changed).for_each(|id| self.reader.forget(id));
    }

    /// Removes the files of blocks that were handed out, those that are there.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::Block`]; to be tried again.
    pub fn remove_handed_out(&self, blocks: &[u64]) -> Result<(), EngineError> {
        self.blocks.remove_handed_out(blocks)
    }
}
