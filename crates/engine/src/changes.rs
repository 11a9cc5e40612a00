//! What has changed since a moment, by metric name: what lets a result that was computed before be used again.
//!
//! Told to it is every change that a query can see, after it can be seen and before anybody hears that it is done: stored samples when they
//! are applied, deletions, blocks that go for their age or their damage, sources outside. Flushes and merges change nothing.
//! `docs/result-cache.md` has the rules.

use foldhash::fast::FixedState;
use mytsdb_model::TimeRange;
use mytsdb_sync::{Changes, Noted};
use parking_lot::{Mutex, MutexGuard};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places that metric names hash into; names in one place are taken for one.
const PLACES: usize = 4_096;

/// Numbers for engines, so that none takes the stamp of another for its own.
static NEXT_ENGINE: AtomicU64 = AtomicU64::new(1);

/// A moment of an engine, for [`Engine::changed_since`](crate::Engine::changed_since).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineStamp {
    /// Which engine of this process, opened anew or not.
    pub engine: u64,
    /// The moment.
    pub moment: u64,
}

/// The place of a metric name.
pub(crate) fn place_of(metric: &str) -> u16 {
    (FixedState::default().hash_one(metric) % PLACES as u64) as u16
}

/// The changes of one engine.
#[derive(Debug)]
pub(crate) struct MetricChanges {
    engine: u64,
    changes: Changes,
    /// Lent to whoever applies a group.
    group: Mutex<Group>,
}

/// The places that a group has changed, and the earliest time of each.
#[derive(Debug)]
struct Group {
    /// By place; `i64::MAX` where nothing has changed.
    earliest: Box<[i64]>,
    changed: Vec<u16>,
    noted: Noted,
}

impl MetricChanges {
    pub(crate) fn new() -> Self {
        let earliest = vec![i64::MAX; PLACES].into();
        let group = Group { earliest, changed: Vec::new(), noted: Noted::new(PLACES) };
        // Relaxed: only the numbers must differ.
        let engine = NEXT_ENGINE.fetch_add(1, Ordering::Relaxed);
        Self { engine, changes: Changes::new(PLACES), group: Mutex::new(group) }
    }

    /// A stamp for what is read from here on.
    pub(crate) fn stamp(&self) -> EngineStamp {
        EngineStamp { engine: self.engine, moment: self.changes.stamp() }
    }

    /// No sample of the metric in the range has changed since the stamp that is before this time; `i64::MAX` if none has, `i64::MIN` if
    /// the stamp is another engine's.
    pub(crate) fn earliest_since(&self, stamp: EngineStamp, metric: &str, range: TimeRange) -> i64 {
        if stamp.engine != self.engine {
            return i64::MIN;
        }
        let place = usize::from(place_of(metric));
        self.changes.earliest_since(stamp.moment, place, (range.mint, range.maxt))
    }

    /// Notes samples that are being applied.
    pub(crate) fn of_group(&self) -> GroupChanges<'_> {
        GroupChanges { changes: &self.changes, group: self.group.lock() }
    }

    /// Notes a range of time in which samples of any metric may have changed.
    pub(crate) fn note_range(&self, range: TimeRange) {
        self.changes.note_range(range.mint, range.maxt);
    }
}

/// The changes of a group that is being applied. They are told when this is dropped, however that happens: before the senders hear.
pub(crate) struct GroupChanges<'a> {
    changes: &'a Changes,
    group: MutexGuard<'a, Group>,
}

impl GroupChanges<'_> {
    /// Notes a sample. Cost: some nanoseconds.
    #[inline]
    pub(crate) fn note(&mut self, place: u16, timestamp_ms: i64) {
        let Group { earliest, changed, .. } = &mut *self.group;
        let earliest = &mut earliest[usize::from(place)];
        if timestamp_ms < *earliest {
            if *earliest == i64::MAX {
                changed.push(place);
            }
            *earliest = timestamp_ms;
        }
    }
}

impl Drop for GroupChanges<'_> {
    fn drop(&mut self) {
        let Group { earliest, changed, noted } = &mut *self.group;
        let taken = changed.drain(..).map(|place| {
            let place = usize::from(place);
            (place, std::mem::replace(&mut earliest[place], i64::MAX))
        });
        self.changes.note(noted, taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_by_metric_and_stamps_of_another_engine_are_worth_nothing() {
        let (changes, other) = (MetricChanges::new(), MetricChanges::new());
        let stamp = changes.stamp();
        let mut group = changes.of_group();
        for time in [30, 20, 25] {
            group.note(place_of("a"), time);
        }
        assert_eq!(changes.earliest_since(stamp, "a", TimeRange::ALL), i64::MAX, "not yet");
        drop(group);
        assert_eq!(changes.earliest_since(stamp, "a", TimeRange::ALL), 20);
        assert_eq!(changes.earliest_since(stamp, "b", TimeRange::ALL), i64::MAX);
        assert_eq!(other.earliest_since(stamp, "b", TimeRange::ALL), i64::MIN);
        let later = changes.stamp();
        drop(changes.of_group());
        assert_eq!(changes.earliest_since(later, "a", TimeRange::ALL), i64::MAX, "told once");
        changes.note_range(TimeRange::new(5, 10));
        assert_eq!(changes.earliest_since(later, "b", TimeRange::new(7, 8)), 5);
        assert_eq!(changes.earliest_since(later, "b", TimeRange::new(11, 12)), i64::MAX);
    }
}
