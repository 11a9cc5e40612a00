//! The index of the head: series come and go.

use crate::Snapshot;
use crate::inverted::Inverted;
use crate::snapshot::Version;
use mytsdb_model::{Labels, SeriesRef};

/// Labels to series, in memory. Writes need `&mut self`; the owner brings the lock. Lookups are on a [`Snapshot`].
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
    /// How many times series were removed.
    removals: u64,
}

impl MemIndex {
    /// An index without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series that is not in the index. About 0.1-0.2 us per label.
    ///
    /// References may come in any order; ascending ones make [`select`](Snapshot::select) cheaper.
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
        self.removals += 1;
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

    /// Tells this state of the index from others.
    pub fn version(&self) -> Version {
        Version { removals: self.removals, series_count: self.inverted.series_count() }
    }

    /// The index for lookups.
    pub fn snapshot(&self) -> Snapshot<&Self> {
        Snapshot::new(self, self.version())
    }

    /// Whether any series has a label of this name. A hash.
    pub fn has_label_name(&self, name: &str) -> bool {
        self.inverted.find(name).is_some()
    }

    /// Bytes held on the heap. Cost: visits every label value.
    pub fn heap_bytes(&self) -> usize {
        self.inverted.heap_bytes() + self.refs.capacity() * size_of::<SeriesRef>()
    }

    pub(crate) fn inverted(&self) -> &Inverted {
        &self.inverted
    }

    /// References by ordinal, and whether they ascend with it.
    pub(crate) fn refs(&self) -> (&[SeriesRef], bool) {
        (&self.refs, !self.unordered)
    }
}
