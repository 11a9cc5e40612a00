//! Names and values of labels: one sorted list from the head and some blocks.

use super::cache::Question;
use super::{Lookup, Reader};
use crate::EngineError;
use crate::blocks::Served;
use crate::head::{CatalogState, HeadView, TURN_SERIES};
use mytsdb_index::{IndexError, Snapshot, TextList};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_stop::{Canceled, StopSign};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is listed.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Names of labels.
    Names,
    /// Values of the label of this name.
    Values(&'a str),
}

impl Asked<'_> {
    fn of_head(
        self,
        index: &Snapshot<&HeadView<'_>>,
        among: Option<&[SeriesRef]>,
        stop: StopSign<'_>,
    ) -> Result<TextList, IndexError> {
        match (self, among) {
            (Asked::Names, None) => index.label_names(stop),
            (Asked::Names, Some(among)) => index.label_names_of(among, stop),
            (Asked::Values(name), None) => index.label_values(name, stop),
            (Asked::Values(name), Some(among)) => index.label_values_of(name, among, stop),
        }
    }

    fn of_block(self, block: &Served, among: Option<&[u32]>, stop: StopSign<'_>) -> Result<TextList, EngineError> {
        match self {
            Asked::Names => block.label_names(among, stop),
            Asked::Values(name) => block.label_values(name, among, stop),
        }
    }

    fn of_series<'l>(self, labels: &'l Labels, each: impl FnMut(&'l str)) {
        match self {
            Asked::Names => labels.iter().map(|(name, _)| name).for_each(each),
            Asked::Values(name) => labels.get(name).into_iter().for_each(each),
        }
    }
}

/// Names or values that all series of the head and some blocks had, or those that satisfy some matchers.
#[derive(Debug)]
pub(crate) struct Texts {
    /// Shared by what is remembered of later states, which mostly has the same texts.
    list: Arc<TextList>,
    /// The catalog's when the head was asked.
    state: CatalogState,
}

impl Texts {
    /// Bytes that a cache holds on to with it.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.list.heap_bytes()
    }

    fn to_vec(&self, stop: StopSign<'_>) -> Result<Vec<String>, Canceled> {
        stop.looks().collect(self.list.iter().map(String::from))
    }
}

impl Reader {
    /// Names of labels of series that satisfy the matchers, sorted.
    ///
    /// # Errors
    /// As [`candidates`](Reader::candidates).
    pub(crate) fn label_names(&self, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.texts(Asked::Names, lookup)
    }

    /// Values of one label over series that satisfy the matchers, sorted.
    ///
    /// # Errors
    /// As [`candidates`](Reader::candidates).
    pub(crate) fn label_values(&self, name: &str, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.texts(Asked::Values(name), lookup)
    }

    /// Whether any series, of the head or of any block, may have a label of this name; `false` only if none has.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged.
    pub(crate) fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        // The head before the list of blocks: what a flush moves in between is then in both.
        if self.head.catalog().index().has_label_name(name) {
            return Ok(true);
        }
        for block in self.blocks.list().iter() {
            if block.has_label_name(name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn texts(&self, asked: Asked<'_>, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        // Only a matter of cost: either way is right.
        let old = lookup.range.maxt < self.head.flushed_until_ms();
        let overlaps = |block: &&Arc<Served>| block.meta().range.overlaps(lookup.range);
        // A deletion changes what there is, and no ids. Counted before the blocks are listed, so that what is remembered for
        // this count has at least so many deletions in it.
        let deletions = u64::MAX - self.blocks.deletion_count();
        let question = |blocks: &[Arc<Served>]| {
            let ids = blocks.iter().filter(overlaps).map(|block| block.meta().id).chain([deletions]);
            Question::of_texts(asked, lookup.matchers, ids)
        };
        if !old {
            // Blocks listed before the head is looked at: no series has left the head since the list was remembered, so
            // a block that has been added meanwhile knows nothing that the head does not.
            let question = question(&self.blocks.list());
            if let Some(known) = self.cache.texts(&question)
                && let Some(now) = self.bring_up_to_date(&known, asked, lookup)?
            {
                if !Arc::ptr_eq(&known, &now) {
                    self.cache.put_texts(&question, &now);
                }
                return Ok(now.to_vec(lookup.stop)?);
            }
        }
        // The head before the list of blocks: what a flush moves in between is then in both.
        let (state, mut list) = self.texts_of_head(asked, lookup, old)?;
        let blocks = self.blocks.list();
        let series = Question::new(lookup.matchers);
        for block in blocks.iter().filter(overlaps) {
            lookup.stop.check()?;
            let more = if lookup.matchers.is_empty() && !block.hides() {
                asked.of_block(block, None, lookup.stop)?
            } else if let Some(known) = self.cache.block(&series, block.meta().id).filter(|_| !block.hides()) {
                asked.of_block(block, Some(&known.ordinals), lookup.stop)?
            } else {
                let mut ordinals = block.select(lookup.matchers, lookup.stop)?;
                ordinals.retain(|&ordinal| !block.is_hidden_whole(ordinal));
                asked.of_block(block, Some(&ordinals), lookup.stop)?
            };
            let looks = &mut lookup.stop.looks();
            let more = looks.collect(more.iter())?;
            if let Some(all) = list.united(&more, looks)? {
                list = all;
            }
        }
        let now = Arc::new(Texts { list: list.into(), state });
        if !old {
            self.cache.put_texts(&question(&blocks), &now);
        }
        Ok(now.to_vec(lookup.stop)?)
    }

    fn texts_of_head(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        old: bool,
    ) -> Result<(CatalogState, TextList), EngineError> {
        self.head.ask(|view| {
            let among =
                if old || !lookup.matchers.is_empty() { Some(series_of_head(view, lookup, old)?) } else { None };
            Ok((view.state(), asked.of_head(&view.index(), among.as_deref(), lookup.stop)?))
        })
    }

    /// What is known, with what series added since then have; `None` if that cannot be told.
    fn bring_up_to_date(
        &self,
        known: &Arc<Texts>,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
    ) -> Result<Option<Arc<Texts>>, EngineError> {
        self.head.ask(|view| {
            let (state, looks) = (view.state(), &mut lookup.stop.looks());
            let Some(references) = state.added_since(known.state) else { return Ok(None) };
            if references.is_empty() {
                return Ok(Some(known.clone()));
            }
            let added = view.added(references, looks)?;
            let mut missing = BTreeSet::new();
            for series in &added {
                looks.before(1 + lookup.matchers.len())?;
                if lookup.matchers.iter().all(|m| m.matches_labels(&series.labels)) {
                    asked.of_series(&series.labels, |text| {
                        if !known.list.has(text) {
                            missing.insert(text);
                        }
                    });
                }
            }
            let missing: Vec<&str> = missing.into_iter().collect();
            let list = known.list.united(&missing, looks)?.map_or_else(|| known.list.clone(), Arc::new);
            Ok(Some(Arc::new(Texts { list, state })))
        })
    }
}

/// The series of the head that count: with samples in the range if it is an old one.
fn series_of_head(view: &HeadView<'_>, lookup: &Lookup<'_>, old: bool) -> Result<Vec<SeriesRef>, IndexError> {
    let found = view.index().select(lookup.matchers, lookup.stop)?;
    if !old {
        return Ok(found);
    }
    let mut looks = lookup.stop.looks();
    let mut kept = Vec::new();
    for some in found.chunks(TURN_SERIES) {
        looks.before(2 * some.len())?;
        view.turn(|catalog| {
            let stored = |&series: &SeriesRef| catalog.get(series).is_some_and(|s| s.range().overlaps(lookup.range));
            kept.extend(some.iter().copied().filter(stored));
        });
    }
    Ok(kept)
}
