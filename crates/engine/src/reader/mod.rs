//! The reader: one read path over head and blocks, from matchers to series to samples.
//!
//! It changes neither. [`Reader`] is the whole of it; what it remembers makes answers faster and never changes them.

mod cache;
mod findings;
mod selection;
mod sources;
mod texts;

pub use findings::Finding;
pub use selection::Selection;

use crate::EngineError;
use crate::blocks::{Blocks, Served};
use crate::head::Head;
use cache::{Question, SelectionCache};
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;
use sources::{BlockSeries, HeadSeries};
use std::sync::Arc;

/// What is asked of [`Engine::candidates`](crate::Engine::candidates).
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

/// Head and blocks as queries see them, and what is remembered of earlier questions.
pub(crate) struct Reader {
    head: Arc<Head>,
    blocks: Arc<Blocks>,
    cache: SelectionCache,
}

impl Reader {
    /// A reader that remembers at most `cache_bytes`; 0 for nothing.
    pub(crate) fn new(head: Arc<Head>, blocks: Arc<Blocks>, cache_bytes: usize) -> Self {
        Self { head, blocks, cache: SelectionCache::new(cache_bytes) }
    }

    /// Forgets what keeps removed series of the head in memory.
    pub(crate) fn forget_head(&self) {
        self.cache.forget_head();
    }

    /// Forgets what blocks had that are no longer served.
    pub(crate) fn forget_block(&self, id: u64) {
        self.cache.forget_block(id);
    }

    /// Forgets everything: something that was there is deleted.
    pub(crate) fn forget_all(&self) {
        self.cache.forget_all();
    }

    /// The series that have chunks in the range.
    ///
    /// # Errors
    /// As [`candidates`](Reader::candidates).
    pub(crate) fn stored(&self, lookup: &Lookup<'_>) -> Result<Selection<'_>, EngineError> {
        let mut selection = self.candidates(lookup)?;
        selection.retain_stored(lookup.range, lookup.stop)?;
        Ok(selection)
    }

    /// Finds series that satisfy the matchers; some may turn out to have no samples in the range.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged, [`EngineError::Canceled`] when told to stop.
    pub(crate) fn candidates(&self, lookup: &Lookup<'_>) -> Result<Selection<'_>, EngineError> {
        let question = Question::new(lookup.matchers);
        // Read ahead of the head and the list, see `Selection::read`.
        let drops = self.head.drops();
        let known = self.cache.head(&question);
        let head = HeadSeries::find(&self.head, lookup.matchers, known.as_ref(), lookup.stop)?;
        if known.is_none_or(|known| !Arc::ptr_eq(&known, &head)) {
            self.cache.put_head(&question, &head);
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
        block: &Served,
        question: &Question,
        lookup: &Lookup<'_>,
    ) -> Result<Arc<BlockSeries>, EngineError> {
        let id = block.meta().id;
        if let Some(known) = self.cache.block(question, id) {
            return Ok(known);
        }
        let found = Arc::new(BlockSeries::find(&self.head, block, lookup.matchers, lookup.stop)?);
        self.cache.put_block(question, id, &found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Engine, EngineOptions, ManualClock};
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
