//! One read path over head and blocks: from matchers to series to samples.

mod cache;
mod selection;
mod sources;

pub(crate) use cache::SelectionCache;
pub use selection::Selection;

use crate::{Engine, EngineError};
use cache::Question;
use mytsdb_blocks::Block;
use mytsdb_index::MemIndex;
use mytsdb_model::{Matcher, SeriesRef, TimeRange};
use sources::{BlockSeries, HeadSeries, check};
use std::collections::BTreeSet;
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
    /// Looked at every millisecond or so; `false` ends the lookup with [`EngineError::Canceled`].
    pub keep_going: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Lookup<'a> {
    /// A lookup in the order of labels that nobody stops.
    pub fn new(range: TimeRange, matchers: &'a [Matcher]) -> Self {
        Self { range, matchers, any_order: false, keep_going: &|| true }
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
        selection.retain_stored(lookup.range, lookup.keep_going)?;
        Ok(selection)
    }

    /// Finds series that satisfy the matchers; some may turn out to have no samples in the range.
    ///
    /// Cost: what the matchers find is remembered per block and for the head
    /// ([`selection_cache_bytes`](crate::EngineOptions::selection_cache_bytes)), so a question asked before costs
    /// a merge of sorted lists, some 20 ns a series. Asked for the first time it costs the postings, some 0.5 us a
    /// series of each block for its labels, and a sort of the head's.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged, [`EngineError::Canceled`] when told to stop.
    pub fn candidates(&self, lookup: &Lookup<'_>) -> Result<Selection<'_>, EngineError> {
        let question = Question::new(lookup.matchers);
        // Acquire pairs with the AcqRel in `flush_before`. Read ahead of the head and the list, see `Selection::read`.
        let drops = self.drops.load(Ordering::Acquire);
        let known = self.selections.head(&question);
        let head = HeadSeries::find(self, lookup.matchers, known.as_ref());
        if known.is_none_or(|known| !Arc::ptr_eq(&known, &head)) {
            self.selections.put_head(&question, &head);
        }
        check(lookup.keep_going)?;
        let blocks = self.blocks.list();
        let mut parts = Vec::new();
        for block in blocks.iter().filter(|b| b.meta().range.overlaps(lookup.range)) {
            let part = self.block_series(block, &question, lookup)?;
            if !part.ordinals.is_empty() {
                parts.push((block.clone(), part));
            }
        }
        let by_reference = parts.is_empty() && lookup.any_order;
        let mut selection = Selection::new(self, blocks, parts, head, drops);
        if !by_reference {
            selection.merge(lookup.keep_going)?;
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
        let found = Arc::new(BlockSeries::find(self, block, lookup.matchers, lookup.keep_going)?);
        self.selections.put_block(question, id, &found);
        Ok(found)
    }

    /// Names of labels of series that satisfy the matchers, sorted.
    ///
    /// The range chooses blocks, not samples in them; series of the head count if the range reaches beyond what was
    /// flushed, or if they have samples in it.
    ///
    /// # Errors
    /// As [`candidates`](Engine::candidates).
    pub fn label_names(&self, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        let of_block = |block: &Block, among: Option<&[u32]>| {
            let names = among.map_or_else(|| block.label_names(), |among| block.label_names_of(among))?;
            Ok(names.into_iter().map(ToOwned::to_owned).collect())
        };
        let of_head = |index: &MemIndex, among: Option<&[SeriesRef]>| {
            among.map_or_else(|| index.label_names(), |among| index.label_names_of(among))
        };
        self.texts(lookup, of_block, of_head)
    }

    /// Values of one label over series that satisfy the matchers, sorted. The range counts as for
    /// [`label_names`](Engine::label_names).
    ///
    /// # Errors
    /// As [`candidates`](Engine::candidates).
    pub fn label_values(&self, name: &str, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        let of_block = |block: &Block, among: Option<&[u32]>| {
            let values = among.map_or_else(|| block.label_values(name), |among| block.label_values_of(name, among))?;
            Ok(values.into_iter().map(ToOwned::to_owned).collect())
        };
        let of_head = |index: &MemIndex, among: Option<&[SeriesRef]>| {
            among.map_or_else(|| index.label_values(name), |among| index.label_values_of(name, among))
        };
        self.texts(lookup, of_block, of_head)
    }

    /// The union of sorted texts over the sources, each asked about some of its series or all.
    fn texts(
        &self,
        lookup: &Lookup<'_>,
        of_block: impl Fn(&Block, Option<&[u32]>) -> Result<Vec<String>, EngineError>,
        of_head: impl Fn(&MemIndex, Option<&[SeriesRef]>) -> Vec<String>,
    ) -> Result<Vec<String>, EngineError> {
        // The head before the list of blocks: what a flush moves in between is then in both.
        let mut out = {
            let catalog = self.catalog.read();
            // Acquire pairs with the Release in `flush_before`. Only a matter of cost: either way is right.
            let old = lookup.range.maxt < self.flushed_until_ms.load(Ordering::Acquire);
            if old || !lookup.matchers.is_empty() {
                let mut among = catalog.index().select(lookup.matchers);
                if old {
                    among.retain(|r| catalog.get(*r).is_some_and(|s| s.range().overlaps(lookup.range)));
                }
                of_head(catalog.index(), Some(&among))
            } else {
                of_head(catalog.index(), None)
            }
        };
        let blocks = self.blocks.list();
        for block in blocks.iter().filter(|b| b.meta().range.overlaps(lookup.range)) {
            check(lookup.keep_going)?;
            let among = if lookup.matchers.is_empty() { None } else { Some(block.select(lookup.matchers)?) };
            let more = of_block(block, among.as_deref())?;
            if out.is_empty() {
                out = more;
            } else if out != more {
                let all: BTreeSet<String> = out.into_iter().chain(more).collect();
                out = all.into_iter().collect();
            }
        }
        Ok(out)
    }
}
