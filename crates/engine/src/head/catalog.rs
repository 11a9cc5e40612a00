//! Which series the head has: by reference, by labels, by matchers.

use super::MemSeries;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use mytsdb_index::MemIndex;
use mytsdb_model::{Labels, SeriesRef};
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// References a page covers. References ascend for ever, so pages of long-gone series are freed.
const PAGE_SERIES: usize = 4_096;

type Page = Box<[Slot]>;

/// What a reference stands for.
#[derive(Debug)]
struct Slot {
    series: Option<Arc<MemSeries>>,
    bound: Bound,
}

/// What tells of most rows that their times are free, without a look at their series. Only who commits uses it.
///
/// Invariant U: no sample of the series in the head, and no row that was judged, is after `upto_ms`.
#[derive(Debug)]
pub(crate) struct Bound {
    upto_ms: AtomicI64,
    /// The last group of which a row raised the bound; its newest row is then at the bound. A number that comes again costs
    /// time only.
    group: AtomicU32,
}

// Relaxed throughout: one thread at a time, which has the log's writer, reads and writes.
impl Bound {
    fn new(upto_ms: i64) -> Self {
        Self { upto_ms: AtomicI64::new(upto_ms), group: AtomicU32::new(0) }
    }

    /// Raises the bound to the time of a row of `group`, and tells whether it was below it.
    #[inline]
    pub(crate) fn raise(&self, group: u64, timestamp_ms: i64) -> bool {
        let is_free = timestamp_ms > self.upto_ms.load(Ordering::Relaxed);
        if is_free {
            self.set(group, timestamp_ms);
        }
        is_free
    }

    /// Sets the bound to the time of a row of `group` after which there is nothing.
    pub(crate) fn set(&self, group: u64, timestamp_ms: i64) {
        self.upto_ms.store(timestamp_ms, Ordering::Relaxed);
        self.group.store(group as u32, Ordering::Relaxed);
    }

    /// Whether a row of `group` has raised the bound, as far as is known.
    pub(crate) fn is_raised_by(&self, group: u64) -> bool {
        self.group.load(Ordering::Relaxed) == group as u32
    }
}

/// More new series than this are better looked up anew than matched one by one.
const ADDED_SERIES_MAX: u64 = 65_536;

/// Tells which series a catalog had at some time: equal states, equal series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CatalogState {
    /// How many times series were removed.
    pub(super) removals: u64,
    /// The reference that the next new series gets.
    pub(super) next_ref: u64,
}

impl CatalogState {
    /// The references handed out since an earlier state, if nothing else has changed and they are not too many.
    pub(crate) fn added_since(self, earlier: Self) -> Option<Range<u64>> {
        let added = earlier.next_ref..self.next_ref;
        (self.removals == earlier.removals && self.next_ref - earlier.next_ref <= ADDED_SERIES_MAX).then_some(added)
    }
}

/// The series of the head.
#[derive(Default)]
pub(crate) struct Catalog {
    pages: Vec<Option<Page>>,
    by_labels: HashTable<Arc<MemSeries>>,
    hasher: FixedState,
    index: MemIndex,
    /// Further references of series, each with the series' own.
    second: Vec<(SeriesRef, SeriesRef)>,
    next_ref: u64,
}

impl Catalog {
    pub(crate) fn new() -> Self {
        Self { next_ref: 1, ..Self::default() }
    }

    /// The number of series.
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// The series of a reference. Two dependent loads.
    #[inline]
    pub(crate) fn get(&self, series: SeriesRef) -> Option<&Arc<MemSeries>> {
        self.slot(series)?.series.as_ref()
    }

    /// The series of a reference and what bounds its times.
    #[inline]
    pub(crate) fn bounded(&self, series: SeriesRef) -> Option<(&Arc<MemSeries>, &Bound)> {
        let slot = self.slot(series)?;
        Some((slot.series.as_ref()?, &slot.bound))
    }

    #[inline]
    fn slot(&self, series: SeriesRef) -> Option<&Slot> {
        let at = series.0 as usize;
        Some(&self.pages.get(at / PAGE_SERIES)?.as_ref()?[at % PAGE_SERIES])
    }

    /// The series of a label set. One hash and one comparison.
    pub(crate) fn find(&self, labels: &Labels) -> Option<&Arc<MemSeries>> {
        self.by_labels.find(self.hash(labels), |s| s.labels == *labels)
    }

    /// Adds a series under the next reference. The labels must be new.
    pub(crate) fn create(&mut self, labels: Labels, epoch: u64) -> Arc<MemSeries> {
        // It has no samples.
        self.add(SeriesRef(self.next_ref), labels, epoch, i64::MIN)
    }

    /// Adds a series under a reference that a log knows it by. Labels that are there already get a second reference.
    pub(crate) fn restore(&mut self, series: SeriesRef, labels: Labels, epoch: u64) -> Arc<MemSeries> {
        self.add(series, labels, epoch, i64::MAX)
    }

    fn add(&mut self, series: SeriesRef, labels: Labels, epoch: u64, upto_ms: i64) -> Arc<MemSeries> {
        self.next_ref = self.next_ref.max(series.0.saturating_add(1));
        let known = self.find(&labels).cloned();
        let mem = if let Some(known) = known {
            if known.series != series {
                self.second.push((series, known.series));
            }
            known
        } else {
            let hash = self.hash(&labels);
            self.index.add(series, &labels);
            let mem = Arc::new(MemSeries::new(series, labels, epoch));
            let hasher = &self.hasher;
            self.by_labels.insert_unique(hash, mem.clone(), |s| hasher.hash_one(&s.labels));
            mem
        };
        let at = series.0 as usize;
        if self.pages.len() <= at / PAGE_SERIES {
            self.pages.resize_with(at / PAGE_SERIES + 1, || None);
        }
        let vacant = || Slot { series: None, bound: Bound::new(i64::MAX) };
        let page = self.pages[at / PAGE_SERIES].get_or_insert_with(|| (0..PAGE_SERIES).map(|_| vacant()).collect());
        page[at % PAGE_SERIES] = Slot { series: Some(mem.clone()), bound: Bound::new(upto_ms) };
        mem
    }

    /// Removes those of some series for which `idle` holds, whose references ascend; tells how many those were. Cost: that of the series
    /// given, and of the pages that they are in.
    pub(crate) fn remove_idle(&mut self, candidates: &[SeriesRef], idle: impl Fn(&MemSeries) -> bool) -> usize {
        let mut removed: Vec<SeriesRef> = Vec::new();
        for &candidate in candidates {
            let Some(series) = self.get(candidate).filter(|series| idle(series)).cloned() else { continue };
            let hash = self.hash(&series.labels);
            if let Ok(entry) = self.by_labels.find_entry(hash, |known| Arc::ptr_eq(known, &series)) {
                entry.remove();
                removed.push(series.series);
            }
        }
        if removed.is_empty() {
            return 0;
        }
        removed.sort_unstable();
        self.index.remove(&removed);
        // By the series' own reference, so that second references go with it.
        let is_removed = |own: &SeriesRef| removed.binary_search(own).is_ok();
        let second = self.second.extract_if(.., |(_, own)| is_removed(own)).map(|(second, _)| second);
        let mut gone: Vec<usize> =
            second.collect::<Vec<_>>().iter().chain(&removed).map(|gone| gone.0 as usize).collect();
        gone.sort_unstable();
        for in_page in gone.chunk_by(|a, b| a / PAGE_SERIES == b / PAGE_SERIES) {
            let page = &mut self.pages[in_page[0] / PAGE_SERIES];
            if let Some(slots) = page {
                for at in in_page {
                    slots[at % PAGE_SERIES].series = None;
                }
                if slots.iter().all(|slot| slot.series.is_none()) {
                    *page = None;
                }
            }
        }
        removed.len()
    }

    /// References of which the highest that was handed out is lower.
    pub(crate) fn next_ref(&self) -> u64 {
        self.next_ref
    }

    /// What a list of series has to be compared with before it is used again.
    pub(crate) fn state(&self) -> CatalogState {
        CatalogState { removals: self.index.version().removals(), next_ref: self.next_ref }
    }

    /// The series that were added under these references, ascending.
    pub(crate) fn range(&self, references: Range<u64>) -> impl Iterator<Item = &Arc<MemSeries>> {
        references.filter_map(|r| self.get(SeriesRef(r)).filter(|s| s.series.0 == r))
    }

    /// The label index.
    pub(crate) fn index(&self) -> &MemIndex {
        &self.index
    }

    fn hash(&self, labels: &Labels) -> u64 {
        self.hasher.hash_one(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::Matcher;
    use mytsdb_stop::StopSign;

    fn labels(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())])
    }

    #[test]
    fn a_label_set_has_one_series_under_all_its_references() {
        let mut catalog = Catalog::new();
        let a = catalog.restore(SeriesRef(7), labels(1), 0);
        let b = catalog.restore(SeriesRef(9_000), labels(1), 0);
        assert!(Arc::ptr_eq(&a, &b));
        assert!(Arc::ptr_eq(catalog.get(SeriesRef(9_000)).unwrap(), catalog.find(&labels(1)).unwrap()));
        assert_eq!(catalog.create(labels(2), 0).series, SeriesRef(9_001));
        assert_eq!(catalog.len(), 2);
    }

    #[test]
    fn removed_series_are_gone_everywhere_and_their_references_stay_unused() {
        let mut catalog = Catalog::new();
        for i in 0..10_000 {
            catalog.create(labels(i), 0);
        }
        catalog.restore(SeriesRef(20_000), labels(3), 0);
        let all: Vec<_> = (0..catalog.next_ref()).map(SeriesRef).collect();
        assert_eq!(catalog.remove_idle(&all, |s| s.series.0 <= 9_999), 9_999);
        assert!(catalog.get(SeriesRef(4)).is_none());
        assert!(catalog.get(SeriesRef(20_000)).is_none(), "second reference of a removed series");
        assert!(catalog.pages[0].is_none(), "empty page freed");
        let found = catalog.index().snapshot().select(&[Matcher::equal("__name__", "m")], StopSign::NEVER);
        assert_eq!(found, Ok(vec![SeriesRef(10_000)]));
        assert_eq!(catalog.create(labels(3), 0).series, SeriesRef(20_001));
    }
}
