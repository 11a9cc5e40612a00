//! Blocks on their way to a tier outside of the engine, and what comes from there in their place.
//!
//! A tier gets a number for what it makes of blocks, from the same row as the ids of blocks: it then counts for deletions as a
//! block of this id would. So a deletion hides what was taken out before it, and what was taken out afterwards is without it.

use super::remove::remove_block_files;
use super::served::Served;
use super::{BlockList, Blocks};
use crate::EngineError;
use crate::source::{Source, SourceId};
use mytsdb_blocks::{Tombstone, keep};
use mytsdb_columns::{Columns, Mark};
use mytsdb_index::TextList;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::ops::Range;
use std::sync::Arc;

/// What there is to know of a block for whoever takes blocks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its id: blocks of higher ids were written later.
    pub id: u64,
    /// Times of its first and last sample.
    pub range: TimeRange,
    /// Its size.
    pub bytes: u64,
    /// Its samples, hidden ones too.
    pub samples: u64,
}

/// Numbers that are set aside at once.
const NUMBERS: u64 = 4_096;

/// Some blocks as they were at one moment, without what was deleted then. They stay readable.
pub struct TakenOut {
    number: u64,
    blocks: BlockList,
    deletions: Vec<Tombstone>,
}

/// A series, and where it is in blocks.
#[derive(Debug, Clone)]
pub struct BlockSeries {
    /// Its labels.
    pub labels: Labels,
    /// Places of blocks and ordinals there, the earliest block first.
    places: Vec<(u32, u32)>,
}

impl TakenOut {
    /// Numbers for what is made of them, 4,096.
    pub fn numbers(&self) -> Range<u64> {
        self.number..self.number + NUMBERS
    }

    /// The deletions that were in force: what is made of sources with lower numbers than such a deletion says is to be without what it
    /// hides. What is read of the blocks is.
    pub fn deletions(&self) -> &[Tombstone] {
        &self.deletions
    }

    /// Ids of the blocks, ascending.
    pub fn ids(&self) -> Vec<u64> {
        self.blocks.iter().map(|block| block.meta().id).collect()
    }

    /// Names of the labels of all series; of one block after the other, each sorted.
    ///
    /// # Errors
    /// [`EngineError::Block`] over damage.
    pub fn label_names(&self) -> Result<Vec<TextList>, EngineError> {
        self.blocks.iter().map(|block| Ok(block.block().label_names(StopSign::NEVER)?)).collect()
    }

    /// Values of a label of all series; of one block after the other, each sorted.
    ///
    /// # Errors
    /// [`EngineError::Block`] over damage.
    pub fn label_values(&self, name: &str) -> Result<Vec<TextList>, EngineError> {
        self.blocks.iter().map(|block| Ok(block.block().label_values(name, StopSign::NEVER)?)).collect()
    }

    /// The series that satisfy the matchers, in no order, each once.
    ///
    /// # Errors
    /// [`EngineError::Block`] over damage, [`EngineError::Canceled`].
    pub fn series(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<BlockSeries>, EngineError> {
        let mut found: Vec<BlockSeries> = Vec::new();
        for (place, served) in (0..).zip(self.blocks.iter()) {
            let mut looks = stop.looks();
            for ordinal in served.block().select(matchers, stop)? {
                looks.before(8)?;
                found.push(BlockSeries { labels: served.block().labels(ordinal)?, places: vec![(place, ordinal)] });
            }
        }
        // A stable sort: of equal labels the earliest block stays first.
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found.dedup_by(|later, first| {
            let is_same = later.labels == first.labels;
            if is_same {
                first.places.append(&mut later.places);
            }
            is_same
        });
        Ok(found)
    }

    /// Appends the samples of a series in a range that are not deleted, in order: of those with one time that of the earliest
    /// block. The columns are empty.
    ///
    /// # Errors
    /// [`EngineError::Block`] over damage: nothing is left out.
    pub fn read(&self, series: &BlockSeries, range: TimeRange, out: &mut Columns) -> Result<(), EngineError> {
        let (mut sources, mut chunks, mut hidden) = (Vec::new(), Vec::new(), Vec::new());
        let mut part = Columns::default();
        for &(place, ordinal) in &series.places {
            let served = &self.blocks[place as usize];
            if !served.meta().range.overlaps(range) {
                continue;
            }
            chunks.clear();
            served.block().chunks_into(ordinal, range, &mut chunks)?;
            part.clear();
            for chunk in &chunks {
                served.block().read_samples(chunk, &mut part)?;
            }
            part.sort_and_dedup(&[Mark::default()]);
            hidden.clear();
            served.hidden_into(ordinal, &mut hidden);
            sources.push(out.mark());
            keep(&part, range, &mut hidden, out);
        }
        out.sort_and_dedup(&sources);
        Ok(())
    }
}

impl std::fmt::Debug for TakenOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TakenOut").field("number", &self.number).field("blocks", &self.ids()).finish_non_exhaustive()
    }
}

/// The numbers of sources outside of the engine.
pub(super) fn numbers(sources: &[Arc<dyn Source>]) -> Vec<u64> {
    let number = |source: &Arc<dyn Source>| match source.id() {
        SourceId::Outside(number) => Some(number),
        _ => None,
    };
    sources.iter().filter_map(number).collect()
}

impl Blocks {
    /// The blocks being served, ascending by id.
    pub(crate) fn stored(&self) -> Vec<StoredBlock> {
        self.list().iter().map(|block| stored(block)).collect()
    }

    /// Takes out the blocks that `choose` names, and sets numbers aside for what is made of them. Waits for a flush.
    pub(crate) fn take_out(&self, choose: impl FnOnce(&[StoredBlock]) -> Vec<u64>) -> TakenOut {
        // No deletion is under way; and under the lock of the ids no flush whose ids are lower.
        let deletions = self.deletions.lock();
        let mut ids = self.ids.lock();
        let number = ids.set_aside(NUMBERS);
        let blocks = self.list();
        let stored: Vec<StoredBlock> = blocks.iter().map(|block| stored(block)).collect();
        let chosen = choose(&stored);
        let blocks = blocks.iter().filter(|b| chosen.contains(&b.meta().id)).cloned().collect();
        TakenOut { number, blocks, deletions: deletions.tombstones.clone() }
    }

    /// Serves sources outside of the engine, without what is deleted of them, instead of blocks and of other such sources, in
    /// one step for whoever lists them. A source takes the place of one with its number.
    pub(crate) fn hand_out(&self, blocks: &[u64], gone: &[u64], new: Vec<Arc<dyn Source>>) {
        let deletions = self.deletions.lock();
        let _retired = self.retired.lock();
        let less = |source: Arc<dyn Source>| {
            deletions.tombstones.iter().fold(source, |source, tombstone| source.without(tombstone).unwrap_or(source))
        };
        let new: Vec<Arc<dyn Source>> = new.into_iter().map(less).collect();
        let gone: Vec<u64> = gone.iter().copied().chain(numbers(&new)).collect();
        self.set.exchange_all((|block: &Served| blocks.contains(&block.meta().id), Vec::new()), (&gone, new));
        self.report();
    }

    /// Gives no id up to this one again.
    pub(crate) fn pass_id(&self, id: u64) {
        self.ids.lock().pass(id);
    }

    /// Removes the files of blocks that were handed out.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::Block`]; to be tried again.
    pub(crate) fn remove_handed_out(&self, blocks: &[u64]) -> Result<(), EngineError> {
        let mut retired = self.retired.lock();
        // A record on the disk relies on its outputs being there.
        self.finish_retired_with(&mut retired)?;
        let served = self.list();
        let is_gone = |id: &&u64| !served.iter().any(|block| block.meta().id == **id);
        let gone: Vec<u64> = blocks.iter().filter(is_gone).copied().collect();
        remove_block_files(&*self.disk, &self.dir(), &gone)
    }
}

fn stored(block: &Served) -> StoredBlock {
    let meta = block.meta();
    StoredBlock { id: meta.id, range: meta.range, bytes: meta.bytes, samples: meta.sample_count }
}
