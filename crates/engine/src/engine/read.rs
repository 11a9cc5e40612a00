//! What can be asked of the engine. The reader answers; here is what it costs and promises.

use super::Engine;
use crate::{EngineError, Lookup, Selection};
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_stop::StopSign;

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
        self.reader.stored(lookup)
    }

    /// Finds series that satisfy the matchers; some may turn out to have no samples in the range.
    ///
    /// Cost: what the matchers find is remembered per block and for the head
    /// ([`selection_cache_bytes`](crate::EngineOptions::selection_cache_bytes)), so a question asked before costs
    /// a merge of sorted lists, some 20 ns a series, or nothing if only the head has any. Asked for the first time it costs the
    /// postings, some 0.5 us a series of each block for its labels, and a sort of the head's.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged, [`EngineError::Canceled`] when told to stop.
    pub fn candidates(&self, lookup: &Lookup<'_>) -> Result<Selection<'_>, EngineError> {
        self.reader.candidates(lookup)
    }

    /// Whether any source has buckets in place of samples, [`Source::coarse`](crate::Source::coarse). Cost: a look at each source.
    pub fn is_coarse(&self) -> bool {
        self.reader.is_coarse()
    }

    /// Names of labels of series that satisfy the matchers, sorted.
    ///
    /// The range chooses blocks, not samples in them; series of the head count if the range reaches beyond what was
    /// flushed, or if they have samples in it. In the first case the list is remembered with the selections, so asking
    /// again costs a copy and a look at the series that are new.
    ///
    /// # Errors
    /// As [`candidates`](Engine::candidates).
    pub fn label_names(&self, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.reader.label_names(lookup)
    }

    /// Values of one label over series that satisfy the matchers, sorted. Range and cost are as for
    /// [`label_names`](Engine::label_names).
    ///
    /// # Errors
    /// As [`candidates`](Engine::candidates).
    pub fn label_values(&self, name: &str, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.reader.label_values(name, lookup)
    }

    /// Whether any series, of the head or of any block, may have a label of this name; `false` only if none has. Cost:
    /// a hash, and a binary search among the names of each block.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged.
    pub fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        self.reader.has_label_name(name)
    }

    /// Times of the first and the last sample, deleted ones included; sources outside of the engine say their own. Cost: a visit to
    /// every series in the head.
    ///
    /// # Errors
    /// [`EngineError::Chunk`] if the catalog of the head is broken.
    pub fn range(&self) -> Result<TimeRange, EngineError> {
        let head = self.head.ask(|view| view.select(&[], StopSign::NEVER))?;
        Ok(head.iter().fold(self.reader.fixed_range(), |range, series| range.cover(series.range())))
    }

    /// What answers over a range must say: parts of blocks that are damaged, and sources that cannot be asked, and so were left out. To be
    /// asked after the samples were read, which may find more. At most 11 sentences on blocks. Cost: next to nothing as long as all is well.
    pub fn warnings(&self, range: TimeRange) -> Vec<String> {
        self.reader.warnings(range)
    }
}
