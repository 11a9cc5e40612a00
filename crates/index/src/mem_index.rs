//! The index of the head: series come and go.

use crate::bitset::Bitset;
use crate::inverted::{Inverted, meets};
use crate::postings::parts;
use crate::select::select;
use crate::value_table::ValueTable;
use mytsdb_model::{Canceled, Labels, Looks, Matcher, SeriesRef, StopSign};

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
    ///
    /// # Errors
    /// [`Canceled`], as all that take a stop sign.
    pub fn select(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<SeriesRef>, Canceled> {
        let looks = &mut stop.looks();
        let ordinals = select(&self.inverted, matchers, looks)?;
        let mut out: Vec<SeriesRef> = Vec::with_capacity(ordinals.len());
        for part in parts(ordinals.len()) {
            looks.before(part.len().div_ceil(8))?;
            out.extend(ordinals[part].iter().map(|&ordinal| self.refs[ordinal as usize]));
        }
        if self.unordered { looks.sort_by(out, Ord::cmp) } else { Ok(out) }
    }

    /// Whether any series has a label of this name. A hash.
    pub fn has_label_name(&self, name: &str) -> bool {
        self.inverted.values(name).is_some()
    }

    /// Every label name, sorted.
    ///
    /// # Errors
    /// [`Canceled`].
    pub fn label_names(&self, stop: StopSign<'_>) -> Result<Vec<&str>, Canceled> {
        let names = self.inverted.names().iter().map(|name| (&*name.text, ()));
        sorted(names, &mut stop.looks(), |(), _| Ok(true))
    }

    /// The label names of the series in `among`, which is sorted; the result is sorted.
    ///
    /// # Errors
    /// [`Canceled`].
    pub fn label_names_of(&self, among: &[SeriesRef], stop: StopSign<'_>) -> Result<Vec<&str>, Canceled> {
        let looks = &mut stop.looks();
        let set = self.ordinals(among, looks)?;
        let names = self.inverted.names().iter().map(|name| (&*name.text, &name.values));
        sorted(names, looks, |values, looks| {
            for (_, list) in values.iter() {
                looks.before(1)?;
                if meets(list, &set, looks)? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Every value of `name`, sorted.
    ///
    /// # Errors
    /// [`Canceled`].
    pub fn label_values(&self, name: &str, stop: StopSign<'_>) -> Result<Vec<&str>, Canceled> {
        let values = self.inverted.values(name).into_iter().flat_map(ValueTable::iter);
        sorted(values, &mut stop.looks(), |_, _| Ok(true))
    }

    /// The values of `name` among the series in `among`, which is sorted; the result is sorted.
    ///
    /// # Errors
    /// [`Canceled`].
    pub fn label_values_of(&self, name: &str, among: &[SeriesRef], stop: StopSign<'_>) -> Result<Vec<&str>, Canceled> {
        let looks = &mut stop.looks();
        let set = self.ordinals(among, looks)?;
        let values = self.inverted.values(name).into_iter().flat_map(ValueTable::iter);
        sorted(values, looks, |list, looks| meets(list, &set, looks))
    }

    /// Bytes held on the heap. Cost: visits every label value.
    pub fn heap_bytes(&self) -> usize {
        self.inverted.heap_bytes() + self.refs.capacity() * size_of::<SeriesRef>()
    }

    fn ordinals(&self, among: &[SeriesRef], looks: &mut Looks<'_>) -> Result<Bitset, Canceled> {
        debug_assert!(among.is_sorted(), "references to look among are sorted");
        let mut set = Bitset::new(self.inverted.series_count());
        if self.unordered {
            for (ordinal, series) in self.refs.iter().enumerate() {
                looks.before(1)?;
                if among.binary_search(series).is_ok() {
                    set.insert(ordinal as u32);
                }
            }
            return Ok(set);
        }
        let mut from = 0;
        for series in among {
            looks.before(1)?;
            // Mostly the next one, or one soon after.
            let near = self.refs[from..].iter().take(8).position(|r| r >= series);
            from += near.unwrap_or_else(|| self.refs[from..].partition_point(|r| r < series));
            if self.refs.get(from) == Some(series) {
                set.insert(from as u32);
            }
        }
        Ok(set)
    }
}

/// The texts of what is `wanted`, sorted.
fn sorted<'a, T>(
    items: impl Iterator<Item = (&'a str, T)>,
    looks: &mut Looks<'_>,
    mut wanted: impl FnMut(T, &mut Looks<'_>) -> Result<bool, Canceled>,
) -> Result<Vec<&'a str>, Canceled> {
    let mut out = Vec::new();
    for (text, item) in items {
        looks.before(1)?;
        if wanted(item, looks)? {
            out.push(text);
        }
    }
    looks.sort_by(out, Ord::cmp)
}
