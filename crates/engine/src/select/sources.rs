//! What one source, the head or a block, has for some matchers.

use crate::head::MemSeries;
use crate::{Engine, EngineError};
use mytsdb_blocks::Block;
use mytsdb_model::{Labels, Matcher};
use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

/// Series that are looked at between two looks at the stop sign: about a millisecond.
pub(super) const STOP_SERIES: usize = 8_192;

/// Fewer new series than this are matched one by one, and the list found before is kept.
const ADDED_SERIES_MAX: u64 = 65_536;

/// A sign that the asker has gone, looked at while lists are built.
pub(super) type KeepGoing<'a> = &'a (dyn Fn() -> bool + Sync);

/// Fails once the asker has gone.
pub(super) fn check(keep_going: KeepGoing<'_>) -> Result<(), EngineError> {
    if keep_going() { Ok(()) } else { Err(EngineError::Canceled) }
}

/// Series of the head, in the order of their references, which is about the order in which they lie in memory.
#[derive(Debug, Default)]
pub(crate) struct HeadSeries {
    pub(super) series: Box<[Arc<MemSeries>]>,
    /// The catalog's counts when the list was made.
    removals: u64,
    next_ref: u64,
    /// Indices of `series` in the order of labels, once somebody needs it.
    by_labels: OnceLock<Box<[u32]>>,
}

impl HeadSeries {
    /// The series that satisfy all matchers; what `known` found before is used where the catalog allows it.
    pub(super) fn find(engine: &Engine, matchers: &[Matcher], known: Option<&Arc<Self>>) -> Arc<Self> {
        let catalog = engine.catalog.read();
        let (removals, next_ref) = (catalog.removals(), catalog.next_ref());
        if let Some(known) = known.filter(|k| k.removals == removals && next_ref - k.next_ref <= ADDED_SERIES_MAX) {
            if known.next_ref == next_ref {
                return known.clone();
            }
            let added: Vec<Arc<MemSeries>> = catalog
                .since(known.next_ref)
                .filter(|s| matchers.iter().all(|m| m.matches_labels(&s.labels)))
                .cloned()
                .collect();
            let by_labels = if added.is_empty() { known.by_labels.clone() } else { OnceLock::new() };
            let series = known.series.iter().cloned().chain(added).collect();
            return Arc::new(Self { series, removals, next_ref, by_labels });
        }
        let series = catalog.select(matchers).into();
        Arc::new(Self { series, removals, next_ref, by_labels: OnceLock::new() })
    }

    /// The indices in the order of labels. The first call sorts: some 1 us a series for a million of them.
    pub(super) fn by_labels(&self, keep_going: KeepGoing<'_>) -> Result<&[u32], EngineError> {
        if let Some(order) = self.by_labels.get() {
            return Ok(order);
        }
        let compare = |&a: &u32, &b: &u32| self.series[a as usize].labels.cmp(&self.series[b as usize].labels);
        let order = sort((0..self.series.len() as u32).collect(), compare, keep_going)?;
        Ok(self.by_labels.get_or_init(|| order.into()))
    }

    /// Bytes that a cache holds on to with it.
    pub(super) fn bytes(&self) -> usize {
        self.series.len() * (size_of::<Arc<MemSeries>>() + size_of::<u32>()) + size_of::<Self>()
    }
}

/// A merge sort that looks at the stop sign every millisecond or so.
fn sort(
    mut order: Vec<u32>,
    compare: impl Fn(&u32, &u32) -> Ordering,
    keep_going: KeepGoing<'_>,
) -> Result<Vec<u32>, EngineError> {
    for run in order.chunks_mut(STOP_SERIES) {
        run.sort_unstable_by(&compare);
        check(keep_going)?;
    }
    let mut width = STOP_SERIES;
    while width < order.len() {
        let mut merged = Vec::with_capacity(order.len());
        for pair in order.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some(a), Some(b)) = (left.first(), right.first()) {
                let from = if compare(a, b) == Ordering::Greater { &mut right } else { &mut left };
                merged.push(from[0]);
                *from = &from[1..];
                if merged.len().is_multiple_of(STOP_SERIES) {
                    check(keep_going)?;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        order = merged;
        width *= 2;
    }
    Ok(order)
}

/// Series of a block, in the order of labels.
#[derive(Debug)]
pub(crate) struct BlockSeries {
    pub(super) labels: Box<[Labels]>,
    pub(super) ordinals: Box<[u32]>,
    /// Bytes of labels that nobody else holds.
    own_bytes: usize,
}

impl BlockSeries {
    pub(super) fn find(
        engine: &Engine,
        block: &Block,
        matchers: &[Matcher],
        keep_going: KeepGoing<'_>,
    ) -> Result<Self, EngineError> {
        let ordinals = block.select(matchers)?;
        let mut labels = Vec::with_capacity(ordinals.len());
        let mut own_bytes = 0;
        for part in ordinals.chunks(STOP_SERIES) {
            check(keep_going)?;
            let catalog = engine.catalog.read();
            for &ordinal in part {
                let read = block.labels(ordinal)?;
                // One allocation for a series' labels wherever it lives, so that merging compares pointers.
                labels.push(if let Some(known) = catalog.find(&read) {
                    known.labels.clone()
                } else {
                    own_bytes += read.as_bytes().len() + 2 * size_of::<usize>();
                    read
                });
            }
        }
        Ok(Self { labels: labels.into(), ordinals: ordinals.into(), own_bytes })
    }

    /// Bytes that a cache holds on to with it.
    pub(super) fn bytes(&self) -> usize {
        self.ordinals.len() * (size_of::<Labels>() + size_of::<u32>()) + self.own_bytes + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_by_runs_sorts_and_stops_when_told() {
        for len in [0u32, 1, 8_192, 8_193, 50_000] {
            let shuffled: Vec<u32> = (0..len).map(|i| i.wrapping_mul(2_654_435_761)).collect();
            let mut expected = shuffled.clone();
            expected.sort_unstable();
            assert_eq!(sort(shuffled, Ord::cmp, &|| true).unwrap(), expected, "{len}");
        }
        assert!(matches!(sort(vec![2, 1], Ord::cmp, &|| false), Err(EngineError::Canceled)));
    }
}
