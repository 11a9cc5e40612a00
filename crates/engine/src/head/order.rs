//! The series in the order of labels, kept from one flush to the next.
//!
//! Sorting a million label sets takes seconds. Mostly the next flush has the same series and some new ones, which are sorted among
//! themselves and merged.

use super::catalog::CatalogState;
use super::{Head, MemSeries, TURN_SERIES};
use std::sync::Arc;

/// The series of a state of the catalog.
#[derive(Default)]
pub(super) struct Order {
    state: CatalogState,
    series: Arc<Vec<Arc<MemSeries>>>,
}

impl Head {
    /// All series, in the order of labels. Nothing is removed meanwhile: the caller has the turn of the flush.
    ///
    /// Cost: that of the series which came since the last time, and 8 bytes for each of all.
    pub(crate) fn all(&self) -> Arc<Vec<Arc<MemSeries>>> {
        let mut order = self.order.lock();
        let state = self.catalog().state();
        let mut added = Vec::new();
        for from in (order.state.next_ref..state.next_ref).step_by(TURN_SERIES) {
            let some = from..state.next_ref.min(from + TURN_SERIES as u64);
            added.extend(self.catalog().range(some).cloned());
        }
        added.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        if !added.is_empty() {
            // Nobody else has the list: the flush before this one is over.
            let known = Arc::try_unwrap(std::mem::take(&mut order.series)).unwrap_or_else(|shared| (*shared).clone());
            order.series = Arc::new(merged(known, added));
        }
        order.state = state;
        order.series.clone()
    }

    /// Forgets the series that are no longer in the catalog.
    pub(super) fn forget_removed(&self) {
        let mut order = self.order.lock();
        let removals = self.catalog().state().removals;
        if order.state.removals == removals {
            return;
        }
        let mut left = Vec::with_capacity(order.series.len());
        for some in order.series.chunks(TURN_SERIES) {
            let catalog = self.catalog();
            let is_there = |series: &&Arc<MemSeries>| catalog.get(series.series).is_some();
            left.extend(some.iter().filter(is_there).cloned());
        }
        order.series = Arc::new(left);
        order.state.removals = removals;
    }
}

/// One list of two, each in the order of labels, that have no labels in common.
fn merged(known: Vec<Arc<MemSeries>>, added: Vec<Arc<MemSeries>>) -> Vec<Arc<MemSeries>> {
    if added.len() > known.len() / 8 {
        let mut all = known;
        all.extend(added);
        // The stable sort finds what is sorted and merges it.
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        return all;
    }
    let mut all = Vec::with_capacity(known.len() + added.len());
    let mut known = known.into_iter();
    for new in added {
        // Most of the known ones follow each other: they are passed by halves, not one by one.
        let before = known.as_slice().partition_point(|series| series.labels < new.labels);
        all.extend(known.by_ref().take(before));
        all.push(new);
    }
    all.extend(known);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Catalog;
    use mytsdb_model::{Labels, SeriesRef};
    use mytsdb_telemetry::Registry;
    use mytsdb_testkit::{Random, seed};

    #[test]
    fn series_stay_in_order_as_some_come_and_others_go() {
        let mut random = Random::new(seed(11));
        let head = Head::new(Catalog::new(), 10_000, 0, crate::metrics::Metrics::new(&Registry::new()));
        let mut created = 0;
        for round in 0..12 {
            for _ in 0..[1, 700, 0, 3][round % 4] {
                created += 1;
                let text = format!("{}-{created}", random.below(1_000));
                let labels = Labels::from_pairs([("__name__", "m"), ("i", text.as_str())]);
                head.find_or_create(&labels, |_, _| Ok(())).unwrap();
            }
            let all = head.all();
            assert_eq!(all.len(), head.len());
            assert!(all.is_sorted_by(|a, b| a.labels < b.labels));
            let mut gone: Vec<SeriesRef> = all.iter().map(|series| series.series).collect();
            gone.retain(|_| random.one_in(5));
            gone.sort_unstable();
            drop(all);
            assert_eq!(head.catalog.write().remove_idle(&gone, |_| true), gone.len());
            head.forget_removed();
        }
    }
}
