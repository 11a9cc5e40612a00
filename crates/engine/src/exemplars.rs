//! Exemplars: a bounded store beside the series, durable as the samples are.
//!
//! A series keeps the newest ones by their times; when all take too much, those go that came first. They are known by
//! labels and not by references: an exemplar outlives its series' place in the head.

use crate::EngineError;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mytsdb_blocks::Tombstone;
use mytsdb_model::{Exemplar, Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_wal::CheckpointWriter;
use parking_lot::RwLock;
use std::collections::VecDeque;

/// What an exemplar takes beside the bytes of its labels, and what its series does, about.
const EXEMPLAR_BYTES: usize = 112;
const SERIES_BYTES: usize = 144;

/// Series that are looked at in a turn, between two of which others may write.
const TURN_SERIES: usize = 256;

/// Exemplars of one series, ascending by time.
pub type SeriesExemplars = (Labels, Vec<Exemplar>);

/// All exemplars.
#[derive(Debug)]
pub(crate) struct Exemplars {
    state: RwLock<State>,
    per_series_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Ascending by time; of one time in the order in which they came.
    series: HashMap<Labels, VecDeque<Held>, FixedState>,
    /// Every exemplar in the order of arrival; some of them are gone already.
    arrivals: VecDeque<(Labels, u64)>,
    next_arrival: u64,
    count: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    arrival: u64,
    exemplar: Exemplar,
}

/// How many exemplars made room for others.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) of_series: u64,
    pub(crate) of_all: u64,
}

impl Evicted {
    pub(crate) fn add(&mut self, other: Self) {
        self.of_series += other.of_series;
        self.of_all += other.of_all;
    }
}

fn exemplar_bytes(exemplar: &Exemplar) -> usize {
    EXEMPLAR_BYTES + exemplar.labels.as_bytes().len()
}

fn series_bytes(labels: &Labels) -> usize {
    SERIES_BYTES + labels.as_bytes().len()
}

impl Exemplars {
    /// An empty store: of a series at most so many exemplars, and at most so many bytes of all, about.
    pub(crate) fn new(per_series_max: usize, bytes_max: usize) -> Self {
        Self { state: RwLock::default(), per_series_max, bytes_max }
    }

    /// Whether any are kept.
    pub(crate) fn are_kept(&self) -> bool {
        self.per_series_max > 0 && self.bytes_max > 0
    }

    /// Their number, and the bytes that they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.state.read();
        (state.count, state.bytes)
    }

    pub(crate) fn contains(&self, series: &Labels, exemplar: &Exemplar) -> bool {
        self.state.read().series.get(series).is_some_and(|held| held.iter().any(|held| held.exemplar.is(exemplar)))
    }

    /// Adds exemplars that are not there, and makes room for them.
    pub(crate) fn insert<'a>(&self, exemplars: impl IntoIterator<Item = (&'a Labels, &'a Exemplar)>) -> Evicted {
        let mut evicted = Evicted::default();
        if !self.are_kept() {
            return evicted;
        }
        let mut state = self.state.write();
        for (series, exemplar) in exemplars {
            evicted.of_series += u64::from(state.insert(series, exemplar, self.per_series_max));
            while state.bytes > self.bytes_max && state.remove_first() {
                evicted.of_all += 1;
            }
        }
        evicted
    }

    /// The number that the next exemplar to come gets.
    pub(crate) fn next_arrival(&self) -> u64 {
        self.state.read().next_arrival
    }

    /// Removes what a deletion is about of those that came before a number was given. Others may write meanwhile.
    pub(crate) fn delete(&self, tombstone: &Tombstone, next_arrival: u64) {
        let mut about: Vec<Labels> = self.state.read().series.keys().cloned().collect();
        about.retain(|labels| tombstone.matches(labels));
        let goes = |held: &Held| held.arrival < next_arrival && tombstone.range.contains(held.exemplar.timestamp_ms);
        let mut removed = 0;
        for some in about.chunks(TURN_SERIES) {
            let mut state = self.state.write();
            let before = state.count;
            for labels in some {
                state.remove(labels, &goes);
            }
            removed += before - state.count;
        }
        if removed > 0 {
            self.state.write().forget_gone();
        }
    }

    /// Removes those from before a time.
    pub(crate) fn expire(&self, before_ms: i64) {
        let mut state = self.state.write();
        let before = state.count;
        let all: Vec<Labels> = state.series.keys().cloned().collect();
        for labels in &all {
            state.remove(labels, &|held| held.exemplar.timestamp_ms < before_ms);
        }
        if state.count < before {
            state.forget_gone();
        }
    }

    pub(crate) fn select(
        &self,
        range: TimeRange,
        selectors: &[Vec<Matcher>],
        stop: StopSign<'_>,
    ) -> Result<Vec<SeriesExemplars>, EngineError> {
        let mut looks = stop.looks();
        let mut found: Vec<Labels> = self.state.read().series.keys().cloned().collect();
        let mut failed = None;
        found.retain(|labels| {
            if failed.is_none() {
                failed = looks.before(1).err();
            }
            let satisfies = |matchers: &Vec<Matcher>| matchers.iter().all(|matcher| matcher.matches_labels(labels));
            failed.is_none() && selectors.iter().any(satisfies)
        });
        if let Some(canceled) = failed {
            return Err(canceled.into());
        }
        found.sort_unstable();
        let mut out = Vec::new();
        for some in found.chunks(TURN_SERIES) {
            looks.before(some.len())?;
            let state = self.state.read();
            for labels in some {
                let held = state.series.get(labels).into_iter().flatten().map(|held| &held.exemplar);
                let within: Vec<_> = held.filter(|exemplar| range.contains(exemplar.timestamp_ms)).cloned().collect();
                if !within.is_empty() {
                    out.push((labels.clone(), within));
                }
            }
        }
        Ok(out)
    }

    /// Writes all, series by series, those last that got one last.
    pub(crate) fn checkpoint(&self, writer: &mut CheckpointWriter) -> Result<(), EngineError> {
        let mut all: Vec<(u64, SeriesExemplars)> = {
            let state = self.state.read();
            let newest = |held: &VecDeque<Held>| held.iter().map(|held| held.arrival).max().unwrap_or(0);
            let exemplars = |held: &VecDeque<Held>| held.iter().map(|held| held.exemplar.clone()).collect();
            state.series.iter().map(|(labels, held)| (newest(held), (labels.clone(), exemplars(held)))).collect()
        };
        all.sort_unstable_by_key(|(arrival, _)| *arrival);
        for (_, (labels, exemplars)) in &all {
            writer.log_exemplars(labels, &exemplars.iter().collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl State {
    /// Whether an exemplar of the series was removed for it, or it found no place itself.
    fn insert(&mut self, series: &Labels, exemplar: &Exemplar, per_series_max: usize) -> bool {
        if !self.series.contains_key(series) {
            self.bytes += series_bytes(series);
        }
        let held = self.series.entry_ref(series).or_default();
        let place = held.partition_point(|held| held.exemplar.timestamp_ms <= exemplar.timestamp_ms);
        let of_its_time = held.range(..place).rev().take_while(|h| h.exemplar.timestamp_ms == exemplar.timestamp_ms);
        if of_its_time.into_iter().any(|held| held.exemplar.is(exemplar)) {
            return false;
        }
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        held.insert(place, Held { arrival, exemplar: exemplar.clone() });
        self.arrivals.push_back((series.clone(), arrival));
        self.count += 1;
        self.bytes += exemplar_bytes(exemplar);
        let evicts = held.len() > per_series_max;
        if evicts && let Some(oldest) = held.pop_front() {
            self.count -= 1;
            self.bytes -= exemplar_bytes(&oldest.exemplar);
        }
        if self.arrivals.len() > 2 * self.count + TURN_SERIES {
            self.forget_gone();
        }
        evicts
    }

    /// Removes those of a series for which `goes` holds. The list of arrivals keeps them until [`forget_gone`](State::forget_gone).
    fn remove(&mut self, labels: &Labels, goes: &impl Fn(&Held) -> bool) {
        let Some(held) = self.series.get_mut(labels) else { return };
        let (count, bytes) = (&mut self.count, &mut self.bytes);
        held.retain(|held| {
            let goes = goes(held);
            if goes {
                *count -= 1;
                *bytes -= exemplar_bytes(&held.exemplar);
            }
            !goes
        });
        if held.is_empty() {
            self.bytes -= series_bytes(labels);
            self.series.remove(labels);
        }
    }

    /// Removes the one that came first; false if there is none.
    fn remove_first(&mut self) -> bool {
        while let Some((labels, arrival)) = self.arrivals.pop_front() {
            let Some(held) = self.series.get_mut(&labels) else { continue };
            let Some(at) = held.iter().position(|held| held.arrival == arrival) else { continue };
            if let Some(gone) = held.remove(at) {
                self.count -= 1;
                self.bytes -= exemplar_bytes(&gone.exemplar);
            }
            if held.is_empty() {
                self.series.remove(&labels);
                self.bytes -= series_bytes(&labels);
            }
            return true;
        }
        false
    }

    fn forget_gone(&mut self) {
        let mut held: Vec<u64> = self.series.values().flatten().map(|held| held.arrival).collect();
        held.sort_unstable();
        self.arrivals.retain(|(_, arrival)| held.binary_search(arrival).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())])
    }

    fn exemplar(timestamp_ms: i64) -> Exemplar {
        Exemplar { timestamp_ms, value: 0.5, labels: Labels::from_pairs([("trace_id", &timestamp_ms.to_string())]) }
    }

    fn times(store: &Exemplars, i: usize) -> Vec<i64> {
        let selector = vec![Matcher::equal("i", i.to_string())];
        let found = store.select(TimeRange::ALL, &[selector], StopSign::NEVER).unwrap();
        found.iter().flat_map(|(_, exemplars)| exemplars.iter().map(|e| e.timestamp_ms)).collect()
    }

    #[test]
    fn a_series_keeps_the_newest_and_knows_what_it_has() {
        let store = Exemplars::new(3, 1 << 20);
        let insert = |time| store.insert([(&series(1), &exemplar(time))]).of_series;
        assert_eq!([5, 3, 9, 5].map(insert), [0; 4], "the last one is there already");
        assert_eq!(times(&store, 1), [3, 5, 9]);
        assert_eq!((insert(7), insert(1)), (1, 1));
        assert_eq!(times(&store, 1), [5, 7, 9]);
        let another = Exemplar { value: -0.0, ..exemplar(7) };
        assert!(!store.contains(&series(1), &another) && store.contains(&series(1), &exemplar(7)));
    }

    #[test]
    fn all_together_stay_within_their_bytes_and_those_that_came_first_go() {
        let store = Exemplars::new(10, 4_000);
        let mut evicted = 0;
        for i in 0..100 {
            evicted += store.insert([(&series(i % 7), &exemplar(1_000 - i as i64))]).of_all;
            let (count, bytes) = store.size();
            assert!(bytes <= 4_000 && count as u64 == i as u64 + 1 - evicted);
        }
        assert!(evicted > 70, "{evicted}");
        assert_eq!(times(&store, 99 % 7).first(), Some(&901), "the last to come is there, though it is the oldest");
        let state = store.state.read();
        let held: usize = state.series.values().map(VecDeque::len).sum();
        let bytes = state.series.iter().map(|(labels, held)| {
            series_bytes(labels) + held.iter().map(|held| exemplar_bytes(&held.exemplar)).sum::<usize>()
        });
        assert_eq!((held, bytes.sum::<usize>()), (state.count, state.bytes));
    }

    #[test]
    fn what_is_removed_leaves_nothing() {
        let store = Exemplars::new(10, 1 << 20);
        for i in 0..50 {
            store.insert([(&series(i % 5), &exemplar(i as i64))]);
        }
        store.expire(25);
        assert_eq!(times(&store, 1), [26, 31, 36, 41, 46]);
        store.expire(1_000);
        assert_eq!(store.size(), (0, 0));
        assert!(store.state.read().arrivals.is_empty());
    }

    #[test]
    fn a_store_without_room_keeps_nothing() {
        for (per_series_max, bytes_max) in [(0, 100), (100, 0)] {
            let store = Exemplars::new(per_series_max, bytes_max);
            store.insert([(&series(1), &exemplar(1))]);
            assert_eq!((store.size(), store.are_kept()), ((0, 0), false));
        }
    }
}
