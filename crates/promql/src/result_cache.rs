//! Rows of steps that range queries have computed, kept for later ones. What may be kept is for the plan to say, what is still exact for
//! the storage; `docs/result-cache.md` has the rules.

use crate::storage::ReadStamp;
use mytsdb_model::Labels;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bounded cache of results. A clone is the same cache.
#[derive(Debug, Clone)]
pub struct ResultCache(Arc<Cache>);

#[derive(Debug)]
struct Cache {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Arc<str>, Slot>,
    /// Keys by when they were last used.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    bytes: usize,
    evictions: u64,
}

#[derive(Debug)]
struct Slot {
    used: u64,
    bytes: usize,
    steps: Arc<KeptSteps>,
}

/// How full a cache is, and what has left it for want of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResultCacheLevel {
    /// Bytes of all entries.
    pub bytes: usize,
    /// Entries.
    pub entries: usize,
    /// Entries that made room for others since the start.
    pub evictions: u64,
}

/// Rows over consecutive steps.
#[derive(Debug)]
pub(crate) struct KeptSteps {
    /// Taken before the first sample was read; all steps were exact then.
    pub stamp: ReadStamp,
    pub start_ms: i64,
    /// Above 0.
    pub step_ms: i64,
    pub count: usize,
    /// Each label set once.
    pub rows: Vec<KeptRow>,
}

/// Floats of one label set, and at which steps there are any.
#[derive(Debug, Clone)]
pub(crate) struct KeptRow {
    pub labels: Labels,
    pub present: Box<[bool]>,
    pub values: Box<[f64]>,
    /// Of a fold: steps, ascending, and the labels of the first series that has anything there and until the next one. They give the order of
    /// rows.
    pub firsts: Box<[(u32, Labels)]>,
}

/// What an entry takes beside its rows, about.
const ENTRY_BYTES: usize = 256;

/// What a row takes beside its labels and cells, about.
const ROW_BYTES: usize = 64;

/// An entry takes this part of the cache at most.
const ENTRY_SHARE: usize = 8;

impl KeptSteps {
    fn bytes(&self, key: &str) -> usize {
        let row = |row: &KeptRow| {
            let firsts: usize = row.firsts.iter().map(|(_, labels)| labels.as_bytes().len() + ROW_BYTES).sum();
            row.labels.as_bytes().len() + ROW_BYTES + row.present.len() + size_of_val::<[f64]>(&row.values) + firsts
        };
        ENTRY_BYTES + 2 * key.len() + self.rows.iter().map(row).sum::<usize>()
    }
}

impl ResultCache {
    /// A cache that holds `bytes_max` at most, about.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Cache { bytes_max, state: Mutex::default() }))
    }

    /// How full it is.
    pub fn level(&self) -> ResultCacheLevel {
        let state = self.lock();
        ResultCacheLevel { bytes: state.bytes, entries: state.entries.len(), evictions: state.evictions }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<KeptSteps>> {
        let mut state = self.lock();
        let State { entries, by_use, uses, .. } = &mut *state;
        let (key, slot) = (entries.get_key_value(key)?.0.clone(), entries.get_mut(key)?);
        *uses += 1;
        by_use.remove(&slot.used);
        slot.used = *uses;
        by_use.insert(slot.used, key);
        Some(Arc::clone(&slot.steps))
    }

    /// Keeps steps instead of those of the same key, unless they are too many.
    pub(crate) fn put(&self, key: &str, steps: KeptSteps) {
        let bytes = steps.bytes(key);
        let mut freed = Vec::new();
        let mut state = self.lock();
        freed.extend(state.remove(key));
        if bytes <= self.0.bytes_max / ENTRY_SHARE {
            while state.bytes + bytes > self.0.bytes_max {
                let Some((_, oldest)) = state.by_use.pop_first() else { break };
                freed.extend(state.remove(&oldest));
                state.evictions += 1;
            }
            state.uses += 1;
            let (used, key) = (state.uses, Arc::<str>::from(key));
            state.by_use.insert(used, key.clone());
            state.entries.insert(key, Slot { used, bytes, steps: Arc::new(steps) });
            state.bytes += bytes;
        }
        // What is freed takes its time: not under the lock.
        drop(state);
        drop(freed);
    }

    /// Forgets what is kept for a key.
    pub(crate) fn forget(&self, key: &str) {
        let freed = self.lock().remove(key);
        drop(freed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs between two changes that belong together.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: &str) -> Option<Arc<KeptSteps>> {
        let slot = self.entries.remove(key)?;
        self.by_use.remove(&slot.used);
        self.bytes -= slot.bytes;
        Some(slot.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(start_ms: i64, count: usize) -> KeptSteps {
        let labels = Labels::from_pairs([("job", "a")]);
        let (present, values) = (vec![true; count].into(), vec![1.0; count].into());
        let row = KeptRow { labels, present, values, firsts: Box::default() };
        KeptSteps { stamp: ReadStamp { storage: 1, moment: 1 }, start_ms, step_ms: 10, count, rows: vec![row] }
    }

    #[test]
    fn what_was_used_least_recently_makes_room() {
        let cache = ResultCache::new(100_000);
        for at in 0..12 {
            cache.put(&format!("key {at}"), steps(at, 1_000));
            cache.get("key 0");
        }
        let level = cache.level();
        assert!(level.bytes <= 100_000 && level.evictions > 0, "{level:?}");
        assert_eq!(level.entries as u64 + level.evictions, 12);
        assert_eq!(cache.get("key 0").map(|steps| steps.start_ms), Some(0), "used again and again");
        assert!(cache.get("key 1").is_none());
        assert_eq!(cache.get("key 11").map(|steps| steps.start_ms), Some(11));
        cache.put("key 11", steps(99, 10));
        assert_eq!(cache.get("key 11").map(|steps| steps.start_ms), Some(99));
        (0..12).for_each(|at| cache.forget(&format!("key {at}")));
        assert_eq!(cache.level(), ResultCacheLevel { evictions: level.evictions, ..ResultCacheLevel::default() });
    }

    #[test]
    fn an_entry_that_is_too_large_is_not_kept_and_nothing_goes_for_it() {
        let cache = ResultCache::new(100_000);
        cache.put("small", steps(1, 10));
        cache.put("large", steps(2, 2_000));
        assert!(cache.get("large").is_none() && cache.get("small").is_some());
        cache.put("small", steps(2, 2_000));
        assert!(cache.get("small").is_none(), "what it replaces is not true any more");
        assert_eq!(cache.level(), ResultCacheLevel::default());
    }
}
