//! The index of the head: series come and go.

use crate::bitset::Bitset;
use crate::inverted::{Inverted, meets};
use crate::select::select;
use crate::value_table::ValueTable;
use mytsdb_model::{Labels, Matcher, SeriesRef};

/// Labels to series, in memory. Writes need `&mut self`; the owner brings the lock.
///
/// Inside, series are numbered in order of arrival (ordinals), so postings are ascending u32s and only ever pushed to.
/// About 4 bytes per label of a series, and per distinct label value its text and some 50 bytes.
#[derive(Debug, Default)]
pub struct MemIndex {
    inverted: Inverted,
    /// Ordinal to reference.
    refs: Vec<SeriesRef>,
    /// A reference came after a larger one: results need sorting.
    unordered: bool,
}

impl MemIndex {
    /// An index without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series that is not in the index. About 0.1-0.2 us per label.
    ///
    /// References may come in any order; ascending ones make [`select`](Self::select) cheaper.
    ///
    /// # Panics
    /// With more than 2^32 - 2 series.
    pub fn add(&mut self, series: SeriesRef, labels: &Labels) {
        assert!(self.inverted.series_count() < u32::MAX - 1, "series ordinals have 32 bits");
        self.unordered |= self.refs.last().is_some_and(|&last| last > series);
        self.refs.push(series);
        self.inverted.add(labels, |_, _| ());
    }

    /// Removes the series in `gone`, which is sorted; references that are not in the index are ignored.
    ///
    /// Rewrites every list: 2-5 ns per label of each series in the index, so remove many at once.
    pub fn remove(&mut self, gone: &[SeriesRef]) {
        const DROPPED: u32 = u32::MAX;
        debug_assert!(gone.is_sorted(), "references to remove are sorted");
        let mut renamed = vec![DROPPED; self.refs.len()];
        let mut kept = 0;
        for (ordinal, series) in self.refs.iter().enumerate() {
            if gone.binary_search(series).is_err() {
                renamed[ordinal] = kept;
                kept += 1;
            }
        }
        if kept as usize == self.refs.len() {
            return;
        }
        self.inverted.rename(kept, &|ordinal| renamed.get(ordinal as usize).copied().filter(|&new| new != DROPPED));
        self.refs.retain(|series| gone.binary_search(series).is_err());
        self.unordered = !self.refs.is_sorted();
    }

    /// The number of series.
    pub fn series_count(&self) -> usize {
        self.refs.len()
    }

    /// The number of distinct (name, value) pairs.
    pub fn label_pair_count(&self) -> usize {
        self.inverted.names().iter().map(|name| name.values.len()).sum()
    }

    /// The series that satisfy every matcher, ascending; no matchers: all series.
    pub fn select(&self, matchers: &[Matcher]) -> Vec<SeriesRef> {
        let Ok(ordinals) = select(&self.inverted, matchers);
        let mut out: Vec<SeriesRef> = ordinals.into_iter().map(|ordinal| self.refs[ordinal as usize]).collect();
        if self.unordered {
            out.sort_unstable();
        }
        out
    }

    /// Whether any series has a label of this name. A hash.
    pub fn has_label_name(&self, name: &str) -> bool {
        self.inverted.values(name).is_some()
    }

    /// Every label name, sorted.
    pub fn label_names(&self) -> Vec<String> {
        sorted(self.inverted.names().iter().map(|name| &*name.text))
    }

    /// The label names of the series in `among`, which is sorted; the result is sorted.
    pub fn label_names_of(&self, among: &[SeriesRef]) -> Vec<String> {
        let set = self.ordinals(among);
        let has = |values: &ValueTable| values.iter().any(|(_, list)| meets(list, &set));
        sorted(self.inverted.names().iter().filter(|name| has(&name.values)).map(|name| &*name.text))
    }

    /// Every value of `name`, sorted.
    pub fn label_values(&self, name: &str) -> Vec<String> {
        sorted(self.inverted.values(name).into_iter().flat_map(ValueTable::iter).map(|(text, _)| text))
    }

    /// The values of `name` among the series in `among`, which is sorted; the result is sorted.
    pub fn label_values_of(&self, name: &str, among: &[SeriesRef]) -> Vec<String> {
        let set = self.ordinals(among);
        let values = self.inverted.values(name).into_iter().flat_map(ValueTable::iter);
        sorted(values.filter(|(_, list)| meets(*list, &set)).map(|(text, _)| text))
    }

    /// Bytes held on the heap. Cost: visits every label value.
    pub fn heap_bytes(&self) -> usize {
        self.inverted.heap_bytes() + self.refs.capacity() * size_of::<SeriesRef>()
    }

    fn ordinals(&self, among: &[SeriesRef]) -> Bitset {
        debug_assert!(among.is_sorted(), "references to look among are sorted");
        let mut set = Bitset::new(self.inverted.series_count());
        if self.unordered {
            let members = self.refs.iter().enumerate().filter(|(_, series)| among.binary_search(series).is_ok());
            members.for_each(|(ordinal, _)| set.insert(ordinal as u32));
        } else {
            let members = among.iter().filter_map(|series| self.refs.binary_search(series).ok());
            members.for_each(|ordinal| set.insert(ordinal as u32));
        }
        set
    }
}

fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut out: Vec<String> = texts.map(str::to_owned).collect();
    out.sort_unstable();
    out
}
