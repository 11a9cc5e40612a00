//! The directory of L1: entries by key, found without a lock.

use crate::key::ChunkKey;
use crate::queues::Entry;
use foldhash::fast::FixedState;
use scc::HashIndex;
use std::sync::Arc;

/// Entries by key. It may keep an entry's frame for some time after it was removed, never its samples: those are the entry's to give back.
pub(crate) struct Directory(HashIndex<ChunkKey, Arc<Entry>, FixedState>);

impl Directory {
    pub fn new() -> Self {
        // Keys are made by this program: nobody outside chooses them.
        Self(HashIndex::with_hasher(FixedState::default()))
    }

    /// Calls `use_it` with the entry of a key, if there is one. Takes no lock.
    #[inline]
    pub fn read<R>(&self, key: &ChunkKey, use_it: impl FnOnce(&Entry) -> R) -> Option<R> {
        self.0.peek_with(key, |_, entry| use_it(entry))
    }

    /// Whether there is an entry of a key.
    pub fn has(&self, key: &ChunkKey) -> bool {
        self.0.contains(key)
    }

    /// Adds an entry; `false` if there is one of its key.
    pub fn put(&self, entry: &Arc<Entry>) -> bool {
        self.0.insert_sync(entry.key, entry.clone()).is_ok()
    }

    /// Removes an entry, not another one of its key.
    pub fn remove(&self, entry: &Arc<Entry>) {
        self.0.remove_if_sync(&entry.key, |found| Arc::ptr_eq(found, entry));
    }
}
