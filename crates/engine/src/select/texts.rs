//! Names and values of labels: one sorted list from the head and some blocks.

use super::Lookup;
use super::cache::Question;
use crate::head::{Catalog, CatalogState};
use crate::{Engine, EngineError};
use mytsdb_blocks::{Block, BlockError};
use mytsdb_index::MemIndex;
use mytsdb_model::{Canceled, Labels, Looks, SeriesRef, StopSign};
use std::cmp::Ordering as Order;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is listed.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Names of labels.
    Names,
    /// Values of the label of this name.
    Values(&'a str),
}

impl Asked<'_> {
    fn of_head<'i>(
        self,
        index: &'i MemIndex,
        among: Option<&[SeriesRef]>,
        stop: StopSign<'_>,
    ) -> Result<Vec<&'i str>, Canceled> {
        match (self, among) {
            (Asked::Names, None) => index.label_names(stop),
            (Asked::Names, Some(among)) => index.label_names_of(among, stop),
            (Asked::Values(name), None) => index.label_values(name, stop),
            (Asked::Values(name), Some(among)) => index.label_values_of(name, among, stop),
        }
    }

    fn of_block<'b>(
        self,
        block: &'b Block,
        among: Option<&[u32]>,
        stop: StopSign<'_>,
    ) -> Result<Vec<&'b str>, BlockError> {
        match (self, among) {
            (Asked::Names, None) => block.label_names(stop),
            (Asked::Names, Some(among)) => block.label_names_of(among, stop),
            (Asked::Values(name), None) => block.label_values(name, stop),
            (Asked::Values(name), Some(among)) => block.label_values_of(name, among, stop),
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
        size_of::<Self>() + self.list.text.len() + self.list.ends.len() * size_of::<usize>()
    }

    fn to_vec(&self, stop: StopSign<'_>) -> Result<Vec<String>, Canceled> {
        let mut looks = stop.looks();
        let mut out = Vec::with_capacity(self.list.len());
        for text in self.list.iter() {
            looks.before(1)?;
            out.push(String::from(text));
        }
        Ok(out)
    }
}

/// Texts, ascending, each once; they lie end to end, so that a million of them are two allocations.
#[derive(Debug, Default)]
struct TextList {
    text: String,
    ends: Vec<usize>,
}

impl TextList {
    fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        Some(&self.text[index.checked_sub(1).map_or(0, |before| self.ends[before])..end])
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn contains(&self, text: &str) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).map_or(Order::Greater, |known| known.cmp(text)) {
                Order::Less => low = middle + 1,
                Order::Greater => high = middle,
                Order::Equal => return true,
            }
        }
        false
    }

    /// This list and `more`, which ascends too; `None` if all of them are here, as mostly they are.
    fn united(&self, more: &[&str], looks: &mut Looks<'_>) -> Result<Option<Self>, Canceled> {
        // Where the texts that are not here belong.
        let mut missing = Vec::new();
        let mut at = 0;
        for &text in more {
            looks.before(1)?;
            let found = loop {
                match self.get(at).map(|known| known.cmp(text)) {
                    Some(Order::Less) => {
                        looks.before(1)?;
                        at += 1;
                    }
                    order => break order == Some(Order::Equal),
                }
            };
            if !found {
                missing.push((at, text));
            }
        }
        if missing.is_empty() {
            return Ok(None);
        }
        let more_bytes: usize = missing.iter().map(|(_, text)| text.len()).sum();
        let mut all = Self::with_capacity(self.len() + missing.len(), self.text.len() + more_bytes);
        let mut missing = missing.into_iter().peekable();
        for index in 0..=self.len() {
            looks.before(1)?;
            while let Some((_, text)) = missing.next_if(|&(at, _)| at == index) {
                looks.before(1)?;
                all.push(text);
            }
            self.get(index).into_iter().for_each(|text| all.push(text));
        }
        Ok(Some(all))
    }
}

impl Engine {
    /// Names of labels of series that satisfy the matchers, sorted.
    ///
    /// The range chooses blocks, not samples in them; series of the head count if the range reaches beyond what was
    /// flushed, or if they have samples in it. In the first case the list is remembered with the selections, so asking
    /// again costs a copy and a look at the series that are new.
    ///
    /// # Errors
    /// As [`candidates`](Engine::candidates).
    pub fn label_names(&self, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.texts(Asked::Names, lookup)
    }

    /// Values of one label over series that satisfy the matchers, sorted. Range and cost are as for
    /// [`label_names`](Engine::label_names).
    ///
    /// # Errors
    /// As [`candidates`](Engine::candidates).
    pub fn label_values(&self, name: &str, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.texts(Asked::Values(name), lookup)
    }

    /// Whether any series, of the head or of any block, may have a label of this name; `false` only if none has. Cost:
    /// a hash, and a binary search among the names of each block.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged.
    pub fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        // The head before the list of blocks: what a flush moves in between is then in both.
        if self.catalog.read().index().has_label_name(name) {
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
        // Acquire pairs with the Release in `flush_before`. Only a matter of cost: either way is right.
        let old = lookup.range.maxt < self.flushed_until_ms.load(Ordering::Acquire);
        let overlaps = |block: &&Arc<Block>| block.meta().range.overlaps(lookup.range);
        let question = |blocks: &[Arc<Block>]| {
            let ids = blocks.iter().filter(overlaps).map(|block| block.meta().id);
            Question::of_texts(asked, lookup.matchers, ids)
        };
        if !old {
            // Blocks listed before the head is looked at: no series has left the head since the list was remembered, so
            // a block that has been added meanwhile knows nothing that the head does not.
            let question = question(&self.blocks.list());
            if let Some(known) = self.selections.texts(&question)
                && let Some(now) = self.bring_up_to_date(&known, asked, lookup)?
            {
                if !Arc::ptr_eq(&known, &now) {
                    self.selections.put_texts(&question, &now);
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
            let more = if lookup.matchers.is_empty() {
                asked.of_block(block, None, lookup.stop)?
            } else if let Some(known) = self.selections.block(&series, block.meta().id) {
                asked.of_block(block, Some(&known.ordinals), lookup.stop)?
            } else {
                asked.of_block(block, Some(&block.select(lookup.matchers, lookup.stop)?), lookup.stop)?
            };
            if let Some(all) = list.united(&more, &mut lookup.stop.looks())? {
                list = all;
            }
        }
        let now = Arc::new(Texts { list: list.into(), state });
        if !old {
            self.selections.put_texts(&question(&blocks), &now);
        }
        Ok(now.to_vec(lookup.stop)?)
    }

    fn texts_of_head(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        old: bool,
    ) -> Result<(CatalogState, TextList), EngineError> {
        let catalog = self.catalog.read();
        let among =
            if old || !lookup.matchers.is_empty() { Some(series_of_head(&catalog, lookup, old)?) } else { None };
        let texts = asked.of_head(catalog.index(), among.as_deref(), lookup.stop)?;
        let mut looks = lookup.stop.looks();
        let mut list = TextList::with_capacity(texts.len(), 0);
        for text in texts {
            looks.before(1)?;
            list.push(text);
        }
        Ok((catalog.state(), list))
    }

    /// What is known, with what series added since then have; `None` if that cannot be told.
    fn bring_up_to_date(
        &self,
        known: &Arc<Texts>,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
    ) -> Result<Option<Arc<Texts>>, Canceled> {
        let catalog = self.catalog.read();
        let state = catalog.state();
        let Some(references) = state.added_since(known.state) else { return Ok(None) };
        if references.is_empty() {
            return Ok(Some(known.clone()));
        }
        let mut looks = lookup.stop.looks();
        let mut missing = BTreeSet::new();
        for series in catalog.range(references) {
            looks.before(1 + lookup.matchers.len())?;
            if lookup.matchers.iter().all(|m| m.matches_labels(&series.labels)) {
                asked.of_series(&series.labels, |text| {
                    if !known.list.contains(text) {
                        missing.insert(text);
                    }
                });
            }
        }
        let missing: Vec<&str> = missing.into_iter().collect();
        let list = known.list.united(&missing, &mut looks)?.map_or_else(|| known.list.clone(), Arc::new);
        Ok(Some(Arc::new(Texts { list, state })))
    }
}

/// The series of the head that count: with samples in the range if it is an old one.
fn series_of_head(catalog: &Catalog, lookup: &Lookup<'_>, old: bool) -> Result<Vec<SeriesRef>, Canceled> {
    let found = catalog.index().select(lookup.matchers, lookup.stop)?;
    if !old {
        return Ok(found);
    }
    let mut looks = lookup.stop.looks();
    let mut kept = Vec::new();
    for series in found {
        looks.before(2)?;
        if catalog.get(series).is_some_and(|s| s.range().overlaps(lookup.range)) {
            kept.push(series);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(all: &[&str], more: &[&str], expected: &[&str]) {
        let mut list = TextList::default();
        for text in all {
            list.push(text);
        }
        assert_eq!(list.iter().collect::<Vec<_>>(), all);
        let looks = &mut StopSign::NEVER.looks();
        let united = list.united(more, looks).unwrap();
        assert_eq!(united.is_none(), all == expected);
        let united = united.unwrap_or(list);
        assert_eq!(united.iter().collect::<Vec<_>>(), expected);
        assert!(united.united(expected, looks).unwrap().is_none());
        for text in ["", "a", "b", "bb", "c", "d", "e", "f"] {
            assert_eq!(united.contains(text), expected.contains(&text), "{text}");
        }
    }

    #[test]
    fn united_lists_are_sorted_and_have_each_text_once() {
        check(&[], &[], &[]);
        check(&[], &["a", "bb"], &["a", "bb"]);
        check(&["a", "b"], &[], &["a", "b"]);
        check(&["b", "d"], &["b", "d"], &["b", "d"]);
        check(&["b", "d"], &["a", "b", "c", "e"], &["a", "b", "c", "d", "e"]);
        check(&["c"], &["a", "b"], &["a", "b", "c"]);
        check(&["a"], &["b", "bb"], &["a", "b", "bb"]);
    }
}
