//! From the fingerprint of a point to the series its samples go to.
//!
//! One shard per group of resources (or of series, where a protocol has no resources), and within a shard entries in order of
//! arrival: the entry behind the last hit is tried first, because senders repeat their points in the same order. A
//! steady sender thus costs a compare per point instead of a hash probe.
//!
//! Invariant E: `total` is the sum of all shards' entries and listed references, and never exceeds `entries_max`.

use hashbrown::HashTable;
use mytsdb_model::SeriesRef;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

const SHARD_COUNT: usize = 16;

/// Fingerprints that are sorted by shard at once, on the stack.
const TOGETHER: usize = 256;

/// A bounded map from fingerprints to series references; shared by all requests.
#[derive(Debug)]
pub struct SeriesCache {
    shards: [Mutex<Shard>; SHARD_COUNT],
    /// Relaxed everywhere: a bound on memory orders nothing.
    total: AtomicUsize,
    entries_max: usize,
}

/// 32 bytes, so that two entries share a cache line.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u128,
    /// The reference itself if there is one, else where they start in `refs`.
    first: u64,
    count: u32,
    epoch: u32,
}

/// Some of the entries; used under its lock.
#[derive(Debug, Default)]
pub struct Shard {
    entries: Vec<Entry>,
    refs: Vec<SeriesRef>,
    slots: HashTable<u32>,
    /// Where the next point probably is.
    guess: usize,
}

/// What the cache knows about a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No entry.
    Nothing,
    /// The entry is from another epoch: its references must be touched before use.
    Old(Slot),
    /// The entry is of this epoch: its references can be used.
    Current(Slot),
}

/// Names an entry of a shard until the shard is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

impl SeriesCache {
    /// An empty cache for at most `entries_max` entries and references.
    pub fn new(entries_max: usize) -> Self {
        Self { shards: Default::default(), total: AtomicUsize::new(0), entries_max: entries_max.min(1 << 31) }
    }

    /// Prepares for a request in the engine's `epoch`; a full cache starts anew. Returns the epoch as entries store it.
    pub fn begin(&self, epoch: u64) -> u32 {
        if self.total.load(Relaxed) >= self.entries_max {
            for index in 0..SHARD_COUNT {
                let mut shard = self.lock(index);
                self.total.fetch_sub(shard.clear(), Relaxed);
            }
        }
        epoch as u32
    }

    /// The entries and references held now.
    pub fn len(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shard of a resource, or of a series by itself, locked.
    pub fn shard(&self, fingerprint: u128) -> MutexGuard<'_, Shard> {
        self.lock(shard_index(fingerprint))
    }

    /// Looks up points that have one reference each: `found` gets, in the order of `keys`, the references that are of this epoch.
    ///
    /// Cost: each shard is locked once for some 250 keys, not once for each, while others do the same.
    pub fn find_singles(&self, keys: &[u128], epoch: u32, found: &mut Vec<Option<SeriesRef>>) {
        const NONE: u16 = u16::MAX;
        found.clear();
        found.resize(keys.len(), None);
        for (keys, found) in keys.chunks(TOGETHER).zip(found.chunks_mut(TOGETHER)) {
            // One list a shard of what is in it: the first, and behind each one the next.
            let (mut firsts, mut lasts) = ([NONE; SHARD_COUNT], [NONE; SHARD_COUNT]);
            let mut next = [NONE; TOGETHER];
            for (at, key) in keys.iter().enumerate() {
                let shard = shard_index(*key);
                let before = std::mem::replace(&mut lasts[shard], at as u16);
                *next.get_mut(usize::from(before)).unwrap_or(&mut firsts[shard]) = at as u16;
            }
            for (index, first) in firsts.into_iter().enumerate().filter(|(_, first)| *first != NONE) {
                let mut shard = self.lock(index);
                let mut at = first;
                while at != NONE {
                    if let Found::Current(slot) = shard.find(keys[usize::from(at)], epoch) {
                        found[usize::from(at)] = Some(shard.single(slot));
                    }
                    at = next[usize::from(at)];
                }
            }
        }
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].lock().unwrap_or_else(|poisoned| {
            // A panic may have left the parts of the shard out of step: forget it all.
            let mut shard = poisoned.into_inner();
            self.total.fetch_sub(shard.clear(), Relaxed);
            self.shards[index].clear_poison();
            shard
        })
    }

    /// Remembers `refs` for a fingerprint that `shard` does not hold; forgets it at once if the cache is full.
    pub fn insert(&self, shard: &mut Shard, key: u128, refs: &[SeriesRef], epoch: u32) {
        let cost = if refs.len() == 1 { 1 } else { 1 + refs.len() };
        // Reserve first: two shards that grow at the same time must not pass the bound together.
        if self.total.fetch_add(cost, Relaxed) + cost > self.entries_max {
            self.total.fetch_sub(cost, Relaxed);
            return;
        }
        let first = match refs {
            [only] => only.0,
            _ => shard.refs.len() as u64,
        };
        if refs.len() != 1 {
            shard.refs.extend_from_slice(refs);
        }
        let slot = shard.entries.len();
        shard.entries.push(Entry { key, first, count: refs.len() as u32, epoch });
        let entries = &shard.entries;
        shard.slots.insert_unique(key as u64, slot as u32, |&i| entries[i as usize].key as u64);
        shard.guess = slot + 1;
    }
}

#[inline]
fn shard_index(fingerprint: u128) -> usize {
    (fingerprint >> 64) as usize % SHARD_COUNT
}

impl Shard {
    /// Looks a fingerprint up.
    #[inline]
    pub fn find(&mut self, key: u128, epoch: u32) -> Found {
        let slot = match self.entries.get(self.guess) {
            Some(entry) if entry.key == key => self.guess,
            _ => match self.slots.find(key as u64, |&i| self.entries[i as usize].key == key) {
                Some(&slot) => slot as usize,
                None => return Found::Nothing,
            },
        };
        self.guess = slot + 1;
        if self.entries[slot].epoch == epoch { Found::Current(Slot(slot)) } else { Found::Old(Slot(slot)) }
    }

    /// The only reference of an entry that has one.
    ///
    /// # Panics
    /// If the entry has none or several: the caller's kind of point always has one, and the kind is in the key.
    #[inline]
    pub fn single(&self, slot: Slot) -> SeriesRef {
        let entry = &self.entries[slot.0];
        assert!(entry.count == 1, "an entry of a number point has one reference");
        SeriesRef(entry.first)
    }

    /// Copies the references of an entry to `out`.
    pub fn read(&self, slot: Slot, out: &mut Vec<SeriesRef>) {
        out.clear();
        let entry = &self.entries[slot.0];
        match entry.count {
            1 => out.push(SeriesRef(entry.first)),
            count => out.extend_from_slice(&self.refs[entry.first as usize..][..count as usize]),
        }
    }

    /// Brings an entry into `epoch`.
    pub fn renew(&mut self, slot: Slot, epoch: u32) {
        self.entries[slot.0].epoch = epoch;
    }

    /// Gives an entry other references, as many as it had, and brings it into `epoch`.
    ///
    /// # Panics
    /// If they are more or fewer: their number is part of the key.
    pub fn replace(&mut self, slot: Slot, refs: &[SeriesRef], epoch: u32) {
        let entry = &mut self.entries[slot.0];
        assert!(entry.count as usize == refs.len(), "the number of series is part of the key");
        entry.epoch = epoch;
        match refs {
            [only] => entry.first = only.0,
            _ => self.refs[entry.first as usize..][..refs.len()].copy_from_slice(refs),
        }
    }

    /// Forgets everything; returns what it counted for.
    fn clear(&mut self) -> usize {
        let count = self.entries.len() + self.refs.len();
        *self = Self::default();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs(of: &[u64]) -> Vec<SeriesRef> {
        of.iter().map(|r| SeriesRef(*r)).collect()
    }

    #[test]
    fn entries_are_found_in_any_order_and_age_with_the_epoch() {
        let cache = SeriesCache::new(100);
        let epoch = cache.begin(1);
        let mut shard = cache.shard(0);
        for key in 0..10u128 {
            cache.insert(&mut shard, key << 64 | key, &refs(&[key as u64 + 1]), epoch);
        }
        for key in [3u128, 4, 5, 0, 9, 9] {
            let Found::Current(slot) = shard.find(key << 64 | key, epoch) else { panic!("lost {key}") };
            assert_eq!(shard.single(slot), SeriesRef(key as u64 + 1));
        }
        assert_eq!(shard.find(1 << 64, epoch), Found::Nothing, "all 128 bits are compared");
        let Found::Old(slot) = shard.find(0, 2) else { panic!("not old") };
        shard.replace(slot, &refs(&[77]), 2);
        assert_eq!(shard.find(0, 2), Found::Current(slot));
        assert_eq!(shard.single(slot), SeriesRef(77));
    }

    #[test]
    fn entries_hold_no_one_or_many_references() {
        let cache = SeriesCache::new(100);
        let mut shard = cache.shard(0);
        let mut out = Vec::new();
        for (key, list) in [(1u128, vec![]), (2, vec![5]), (3, vec![7, 8, 9])] {
            cache.insert(&mut shard, key, &refs(&list), 0);
            let Found::Current(slot) = shard.find(key, 0) else { panic!("lost {key}") };
            shard.read(slot, &mut out);
            assert_eq!(out, refs(&list));
        }
        drop(shard);
        assert_eq!(cache.len(), 1 + 1 + 4);
    }

    #[test]
    fn many_are_looked_up_at_once_as_they_would_be_one_by_one() {
        let cache = SeriesCache::new(10_000);
        // Two thirds are known, some of them from an earlier epoch, in no order of shards.
        let keys: Vec<u128> = (0..1_000u128).map(|i| (i * 7_919) << 64 | i).collect();
        let known = |i: usize| i % 3 != 1;
        for (i, &key) in keys.iter().enumerate().filter(|(i, _)| known(*i)) {
            cache.insert(&mut cache.shard(key), key, &refs(&[i as u64]), u32::from(i % 5 != 0));
        }
        let mut found = vec![Some(SeriesRef(7))];
        for count in [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, keys.len()] {
            cache.find_singles(&keys[..count], 1, &mut found);
            let expected = |i: usize| (known(i) && !i.is_multiple_of(5)).then_some(SeriesRef(i as u64));
            assert_eq!(found, (0..count).map(expected).collect::<Vec<_>>(), "{count}");
        }
    }

    #[test]
    fn the_bound_holds_and_a_full_cache_starts_anew() {
        let cache = SeriesCache::new(10);
        for resource in 0..40u128 {
            let mut shard = cache.shard(resource << 64);
            cache.insert(&mut shard, resource, &refs(&[1, 2]), 0);
        }
        assert_eq!(cache.len(), 9, "three entries of three");
        assert_eq!(cache.begin(0), 0);
        assert_eq!(cache.len(), 9, "not full");
        cache.insert(&mut cache.shard(0), 99, &refs(&[1]), 0);
        assert_eq!(cache.len(), 10);
        cache.begin(0);
        assert!(cache.is_empty());
    }

    #[test]
    fn a_panic_under_the_lock_costs_the_shard_only() {
        let cache = SeriesCache::new(10);
        cache.insert(&mut cache.shard(0), 1, &refs(&[1]), 0);
        cache.insert(&mut cache.shard(1 << 64), 2, &refs(&[1]), 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _shard = cache.shard(0);
            panic!("while translating");
        }));
        assert!(panicked.is_err());
        assert_eq!(cache.shard(0).find(1, 0), Found::Nothing);
        assert_ne!(cache.shard(1 << 64).find(2, 0), Found::Nothing);
        assert_eq!(cache.len(), 1);
    }
}
