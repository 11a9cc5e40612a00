//! One read path over head and blocks: from matchers to series to samples.

mod cache;
mod findings;
mod selection;
mod sources;
mod texts;

pub(crate) use cache::SelectionCache;
pub use findings::Finding;
pub use selection::Selection;

use crate::{Engine, EngineError};
use cache::Question;
use mytsdb_blocks::Block;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use sources::{BlockSeries, HeadSeries};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is asked of [`Engine::candidates`].
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// Samples outside are of no interest.
    pub range: TimeRange,
    /// All of them hold for every series found; none: every series.
    pub matchers: &'a [Matcher],
    /// Series may come in any order, which saves sorting them when only the head is asked.
    pub any_order: bool,
    /// Ends the lookup with [`EngineError::Canceled`].
    pub stop: StopSign<'a>,
}

impl<'a> Lookup<'a> {
    /// A lookup in the order of labels that nobody stops.
    pub fn new(range: TimeRange, matchers: &'a [Matcher]) -> Self {
        Self { range, matchers, any_order: false, stop: StopSign::NEVER }
    }
}

impl Engine {
    /// Finds the series that satisfy the matchers and have chunks that overlap the range, ascending by labels. Samples
    /// are decoded only by [`Selection::read`], which finds none if the range lies in a gap.
    ///
    /// Cost: [`candidates`](Engine::candidates), and a look at the chunks of every series in blocks that are only
    /// partly in the range.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged.
    pub fn select(&self, range: TimeRange, matchers: &[Matcher]) -> Result<Selection<'_>, EngineError> {
        self.stored(&Lookup::new(range, matchers))
    }

    /// The same, as a [`Lookup`] says.
    ///
    /// # Errors
    /// As [`candidates`](Engine::candidates).
    pub fn stored(&self, lookup: &Lookup<'_>) -> Result<Selection<'_>, EngineError> {
        let mut selection = self.candidates(lookup)?;
        selection.retain_stored(lookup.range, lookup.stop)?;
        Ok(selection)
    }

    /// Finds series that satisfy the matchers; some may turn out to have no samples in the range.
    ///
    /// Cost: what the matchers find is remembered per block and for the head
    /// ([`selection_cache_bytes`](crate::EngineOptions::selection_cache_bytes)), so a question asked before costs
    /// a merge of sorted lists, some 20 ns a series, or nothing if only the head has any. Asked for the first time it costs the postings, some 0.5 us a
    /// series of each block for its labels, and a sort of the head's.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged, [`EngineError::Canceled`] when told to stop.
    pub fn candidates(&self, lookup: &Lookup<'_>) -> Result<Selection<'_>, EngineError> {
        let question = Question::new(lookup.matchers);
        // Acquire pairs with the AcqRel in `flush_before`. Read ahead of the head and the list, see `Selection::read`.
        let drops = self.drops.load(Ordering::Acquire);
        let known = self.selections.head(&question);
        let head = HeadSeries::find(self, lookup.matchers, known.as_ref(), lookup.stop)?;
        if known.is_none_or(|known| !Arc::ptr_eq(&known, &head)) {
            self.selections.put_head(&question, &head);
        }
        lookup.stop.check()?;
        let blocks = self.blocks.list();
        let mut parts = Vec::new();
        for block in blocks.iter().filter(|b| b.meta().range.overlaps(lookup.range)) {
            let part = self.block_series(block, &question, lookup)?;
            if !part.ordinals.is_empty() {
                parts.push((block.clone(), part));
            }
        }
        let by_reference = parts.is_empty() && lookup.any_order;
        let mut selection = Selection::new(self, blocks, parts, head, drops, question);
        if !by_reference {
            selection.merge(lookup.stop)?;
        }
        Ok(selection)
    }

    fn block_series(
        &self,
        block: &Block,
        question: &Question,
        lookup: &Lookup<'_>,
    ) -> Result<Arc<BlockSeries>, EngineError> {
        let id = block.meta().id;
        if let Some(known) = self.selections.block(question, id) {
            return Ok(known);
        }
        let found = Arc::new(BlockSeries::find(self, block, lookup.matchers, lookup.stop)?);
        self.selections.put_block(question, id, &found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, EngineOptions, ManualClock};
    use mytsdb_model::Labels;

    #[test]
    fn a_flush_between_finding_series_and_looking_for_their_samples_hides_none() {
        let (disk, clock) = (Arc::new(mytsdb_io::SimDisk::new()), Arc::new(ManualClock::new(10_000)));
        let registry = mytsdb_telemetry::Registry::new();
        let (engine, _) = Engine::open(disk, clock, EngineOptions::new("/data"), &registry).unwrap();
        let series = engine.resolve(&Labels::from_pairs([("__name__", "m")])).unwrap();
        let mut batch = Batch::default();
        batch.push(series, 5_000, 1.0);
        engine.append(batch).unwrap();
        let [hit, miss] = [TimeRange::new(0, 6_000), TimeRange::new(6_000, 7_000)].map(|range| {
            let mut selection = engine.candidates(&Lookup::new(range, &[])).unwrap();
            engine.flush_before(9_000).unwrap();
            selection.retain_stored(range, StopSign::NEVER).unwrap();
            selection.len()
        });
        assert_eq!((hit, miss), (1, 0));
    }
}
