//! The reader: one read path over all sources, from matchers to series to samples.
//!
//! It changes none of them, and knows none of them but by what [`Source`](crate::source::Source) says. [`Reader`] is the whole of it; what it
//! remembers makes answers faster and never changes them.

mod cache;
mod coarse;
mod findings;
mod order;
mod remarks;
mod selection;
mod texts;

pub use findings::Finding;
pub use selection::Selection;

use crate::EngineError;
use crate::source::{Ask, Found, Lookup, Manifest, Source, SourceId};
pub(crate) use cache::Asks;
use cache::{Listed, Question, SelectionCache};
use coarse::Rivals;
use mytsdb_model::{Labels, TimeRange};
use order::reading_order;
use remarks::Remarks;
use selection::{Newest, Part};
use std::sync::Arc;
use std::time::Instant;

/// The sources as queries see them, and what is remembered of earlier questions.
pub(crate) struct Reader {
    live: Arc<dyn Source>,
    manifest: Arc<Manifest>,
    cache: SelectionCache,
    remarks: Remarks,
}

impl Reader {
    /// A reader that remembers at most `cache_bytes`; 0 for nothing. What leaves `live` must be in the manifest by then.
    pub(crate) fn new(live: Arc<dyn Source>, manifest: Arc<Manifest>, cache_bytes: usize, asked: Asks) -> Self {
        Self { live, manifest, cache: SelectionCache::new(cache_bytes, asked), remarks: Remarks::default() }
    }

    /// Bytes and entries of what is remembered.
    pub(crate) fn cache_level(&self) -> (usize, usize) {
        self.cache.level()
    }

    /// Whether every sample is a float without a start time.
    pub(crate) fn is_plain(&self) -> bool {
        self.live.is_plain() && self.manifest.are_plain()
    }

    /// Whether any source has buckets in place of samples.
    pub(crate) fn is_coarse(&self) -> bool {
        self.manifest.list().iter().any(|source| source.coarse().is_some())
    }

    /// The times of all sources but the live one, as they say.
    pub(crate) fn fixed_range(&self) -> TimeRange {
        self.manifest.list().iter().fold(TimeRange::EMPTY, |range, source| range.cover(source.range()))
    }

    /// What answers over a range must say of what could not be read.
    pub(crate) fn warnings(&self, range: TimeRange) -> Vec<String> {
        let mut warnings = self.live.warnings(range);
        self.manifest.list().iter().for_each(|source| warnings.extend(source.warnings(range)));
        warnings.extend(self.remarks.told(range, Instant::now()));
        warnings
    }

    /// Whether a source outside of the engine may have samples in a range.
    pub(crate) fn has_outside(&self, range: TimeRange) -> bool {
        let is_outside = |id| matches!(id, SourceId::Outside(_));
        self.manifest.list().iter().any(|source| is_outside(source.id()) && source.range().overlaps(range))
    }

    /// The times of some fixed sources.
    pub(crate) fn ranges_of(&self, wanted: impl Fn(SourceId) -> bool) -> Vec<TimeRange> {
        let sources = self.manifest.list();
        sources.iter().filter(|source| wanted(source.id())).map(|source| source.range()).collect()
    }

    /// Forgets what keeps removed series of the live source in memory.
    pub(crate) fn forget_live(&self) {
        self.cache.forget_live();
    }

    /// Forgets what a source had that is no longer served.
    pub(crate) fn forget(&self, source: SourceId) {
        self.cache.forget(source);
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
    /// Those of the sources; [`EngineError::Canceled`] when told to stop.
    pub(crate) fn candidates(&self, lookup: &Lookup<'_>) -> Result<Selection<'_>, EngineError> {
        let question = Question::new(lookup.matchers);
        // Invariant M: the live source first. Counted ahead of it, see `Selection::read`.
        let moved_out = self.live.moved_out();
        let live = self.part(&self.live, &question, lookup)?;
        lookup.stop.check()?;
        let listed = self.manifest.list();
        let in_range = |source: &&Arc<dyn Source>| source.range().overlaps(lookup.range);
        listed.iter().filter(in_range).for_each(|source| source.prepare(lookup));
        let mut parts = Vec::new();
        for source in listed.iter().filter(in_range) {
            parts.extend(self.part(source, &question, lookup)?);
        }
        let ranges: Vec<TimeRange> = parts.iter().map(|part| part.source.range()).collect();
        if let Some(order) = reading_order(&ranges) {
            let mut by_id: Vec<Option<Part>> = parts.into_iter().map(Some).collect();
            parts = order.into_iter().filter_map(|at| by_id[at].take()).collect();
        }
        let by_reference = parts.is_empty() && lookup.any_order;
        parts.extend(live);
        let newest = Newest::of(&listed);
        let rivals = Rivals::of_parts(&parts, lookup.resolution);
        let mut selection = Selection::new(self, (newest, moved_out), parts, (question, rivals));
        if !by_reference {
            selection.merge(lookup.stop)?;
        }
        Ok(selection)
    }

    /// What a source has; `None` if it has no series, or cannot be asked.
    fn part(
        &self,
        source: &Arc<dyn Source>,
        question: &Question,
        lookup: &Lookup<'_>,
    ) -> Result<Option<Part>, EngineError> {
        let listed = self.cache.listed(question, source.id());
        let share = |labels: &mut [Labels]| self.live.share(labels);
        let known = listed.as_ref().map(|listed| &listed.known);
        let found = source.clone().select(&Ask { lookup, known, share: &share });
        let Some(Found { series, known, same_series }) = self.remarks.confine(&**source, found)? else {
            return Ok(None);
        };
        let listed = match listed {
            Some(listed) if Arc::ptr_eq(&listed.known.what, &known.what) => listed,
            listed => {
                let findings = listed.filter(|_| same_series).map(|listed| listed.findings.clone()).unwrap_or_default();
                let listed = Arc::new(Listed { known, findings });
                self.cache.put_listed(question, source.id(), &listed);
                listed
            }
        };
        Ok((!series.is_empty()).then(|| Part { source: source.clone(), series, listed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Engine, EngineOptions, ManualClock};
    use mytsdb_stop::StopSign;

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
