//! In which order entries of L1 leave: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! New entries stand in a *small* queue, a tenth of the room. Those that were asked for more than once by the time they come to its front go on
//! to the *main* queue; the others leave, and their keys are remembered as *ghosts* for a while: one that comes again goes to the main
//! queue at once. In the main queue an entry goes to the back again as often as it was asked for, three times at most. So what is read once,
//! as by a long scan, drives out nothing that is read often, and a hit moves nothing and waits for nobody.

use crate::key::ChunkKey;
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use mytsdb_columns::Columns;
use mytsdb_sync::atomic::{AtomicBool, Ordering};
use mytsdb_sync::{Resident, Spent};
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Uses that take an entry from the small queue to the main one.
const USES_TO_STAY: u32 = 2;

/// Part of the room that the small queue has.
const SMALL_PART: usize = 10;

/// Looks at an entry of the main queue, on average, before one has to go whatever its uses are.
const LOOKS_MAX: usize = 4;

/// Ghosts that are remembered at least; else as many as there are entries.
const GHOSTS_MIN: usize = 64;

/// A series of a file in L1.
pub(crate) struct Entry {
    pub key: ChunkKey,
    /// What it takes, frame included.
    pub bytes: usize,
    pub columns: Resident<Arc<Columns>>,
    /// It was put there ahead of a question, and none has come yet.
    ahead: AtomicBool,
}

impl Entry {
    /// What an entry takes beside its samples: itself, its places in directory and queue, and those of a ghost.
    pub const FRAME_BYTES: usize = size_of::<Self>() + 128;

    pub fn new(key: ChunkKey, columns: Arc<Columns>, bytes: usize, ahead: bool) -> Self {
        Self { key, bytes, columns: Resident::new(columns), ahead: AtomicBool::new(ahead) }
    }

    /// Whether it was put there ahead of the question that has come just now: of the first one only.
    #[inline]
    pub fn is_first_use_ahead(&self) -> bool {
        // Relaxed: a figure, nothing is published with it. Mostly it is false, and nothing is written.
        self.ahead.load(Ordering::Relaxed) && self.ahead.swap(false, Ordering::Relaxed)
    }

    /// Whether it was put there ahead of a question that has not come.
    pub fn is_wasted(&self) -> bool {
        self.ahead.load(Ordering::Relaxed) // a figure
    }
}

/// An entry that has left, with its samples unless somebody still reads them.
pub(crate) struct Left {
    pub entry: Arc<Entry>,
    /// Held so that their memory is given back where that keeps nobody waiting.
    _columns: Option<Arc<Columns>>,
}

/// The queues. Whoever has them puts entries out, and nobody else.
#[derive(Default)]
pub(crate) struct Queues {
    small: Queue,
    main: Queue,
    ghosts: Ghosts,
    live: Live,
}

/// The files of which copies may be kept: all, until somebody says which.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live(Option<Arc<std::collections::HashSet<u128>>>);

impl Live {
    pub fn only(files: Arc<std::collections::HashSet<u128>>) -> Self {
        Self(Some(files))
    }

    pub fn has(&self, key: &ChunkKey) -> bool {
        self.0.as_ref().is_none_or(|files| files.contains(&key.file))
    }
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
    }

    fn pop(&mut self) -> Option<Arc<Entry>> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

impl Queues {
    pub fn bytes(&self) -> usize {
        self.small.bytes + self.main.bytes
    }

    pub fn len(&self) -> usize {
        self.small.entries.len() + self.main.entries.len()
    }

    /// Takes a new entry.
    pub fn push(&mut self, entry: Arc<Entry>) {
        let queue = if self.ghosts.take(&entry.key) { &mut self.main } else { &mut self.small };
        queue.push(entry);
    }

    /// Puts entries out until the others take no more than `bytes_max`. Cost: a look at each that stays, four on average at most.
    pub fn make_room(&mut self, bytes_max: usize) -> Vec<Left> {
        let mut left = Vec::new();
        while self.bytes() > bytes_max {
            let from_small = self.small.bytes > bytes_max / SMALL_PART || self.main.entries.is_empty();
            let gone = if from_small { self.shrink_small() } else { self.shrink_main() };
            left.extend(gone);
        }
        left
    }

    /// The front of the small queue goes on to the main one, or leaves.
    fn shrink_small(&mut self) -> Option<Left> {
        let entry = self.small.pop()?;
        match entry.columns.spend(USES_TO_STAY) {
            Spent::Stays => {
                self.main.push(entry);
                None
            }
            Spent::Out(columns) => {
                let ghosts_max = GHOSTS_MIN.max(self.len());
                self.ghosts.add(&entry.key, ghosts_max);
                Some(Left { entry, _columns: columns })
            }
        }
    }

    /// The first entry of the main queue that was not asked for leaves.
    fn shrink_main(&mut self) -> Option<Left> {
        for _ in 0..self.main.entries.len() * LOOKS_MAX {
            let entry = self.main.pop()?;
            match entry.columns.spend(1) {
                Spent::Stays => self.main.push(entry),
                Spent::Out(columns) => return Some(Left { entry, _columns: columns }),
            }
        }
        // All of them are asked for faster than they are looked at.
        self.main.pop().map(put_out)
    }

    /// Whether an entry of a key may be kept.
    pub fn may_keep(&self, key: &ChunkKey) -> bool {
        self.live.has(key)
    }

    /// Puts out the entries that are no copies of these files. Others are not to be kept from now on.
    pub fn keep_only(&mut self, live: &Live) -> Vec<Left> {
        self.live = live.clone();
        self.retain(|key| live.has(key))
    }

    fn retain(&mut self, keep: impl Fn(&ChunkKey) -> bool) -> Vec<Left> {
        let mut left = Vec::new();
        for queue in [&mut self.small, &mut self.main] {
            for _ in 0..queue.entries.len() {
                match queue.pop() {
                    Some(entry) if keep(&entry.key) => queue.push(entry),
                    Some(entry) => left.push(put_out(entry)),
                    None => break,
                }
            }
        }
        left
    }
}

/// Puts an entry out, whatever its uses are.
fn put_out(entry: Arc<Entry>) -> Left {
    let columns = match entry.columns.spend(0) {
        Spent::Out(columns) => columns,
        Spent::Stays => None,
    };
    Left { entry, _columns: columns }
}

/// Keys that were in the small queue, as hashes.
#[derive(Default)]
struct Ghosts {
    order: VecDeque<u64>,
    known: HashSet<u64, FixedState>,
}

impl Ghosts {
    fn hash(key: &ChunkKey) -> u64 {
        FixedState::default().hash_one(key)
    }

    fn add(&mut self, key: &ChunkKey, count_max: usize) {
        let hash = Self::hash(key);
        if self.known.insert(hash) {
            self.order.push_back(hash);
        }
        while self.order.len() > count_max {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Whether a key is one of them, which it is no longer.
    fn take(&mut self, key: &ChunkKey) -> bool {
        // Its place in the order goes when its turn comes.
        self.known.remove(&Self::hash(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(row: u64) -> ChunkKey {
        ChunkKey { file: 1, checksum: 2, row }
    }

    fn push(queues: &mut Queues, row: u64) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(key(row), Arc::new(Columns::default()), 10, false));
        queues.push(entry.clone());
        entry
    }

    fn rows(left: &[Left]) -> Vec<u64> {
        left.iter().map(|left| left.entry.key.row).collect()
    }

    #[test]
    fn a_scan_drives_out_nothing_that_is_read_often() {
        let mut queues = Queues::default();
        for row in 0..10 {
            let entry = push(&mut queues, row);
            for _ in 0..2 {
                assert!(entry.columns.read(|_| ()).is_some());
            }
        }
        for row in 100..1_000 {
            push(&mut queues, row);
            let left = queues.make_room(200);
            assert!(queues.bytes() <= 200);
            assert!(rows(&left).iter().all(|row| *row >= 100), "{:?} left for the scan", rows(&left));
        }
    }

    #[test]
    fn what_comes_again_soon_stays_and_ghosts_are_bounded() {
        let mut queues = Queues::default();
        for row in 0..30 {
            push(&mut queues, row);
        }
        assert_eq!(rows(&queues.make_room(100)).len(), 20);
        let again = push(&mut queues, 0);
        assert_eq!(queues.main.entries.len(), 1);
        assert!(Arc::ptr_eq(&queues.main.entries[0], &again));
        for row in 1_000..3_000 {
            push(&mut queues, row);
            drop(queues.make_room(100));
        }
        assert!(queues.ghosts.order.len() <= GHOSTS_MIN && queues.ghosts.known.len() <= GHOSTS_MIN);
    }

    #[test]
    fn room_is_made_although_all_are_read_all_the_time() {
        let mut queues = Queues::default();
        let entries: Vec<_> = (0..10).map(|row| push(&mut queues, row)).collect();
        for entry in &entries {
            (0..3).for_each(|_| assert!(entry.columns.read(|_| ()).is_some()));
        }
        let left = queues.make_room(50);
        assert_eq!((left.len(), queues.bytes(), queues.len()), (5, 50, 5));
        assert_eq!(queues.make_room(0).len(), 5);
    }

    #[test]
    fn what_is_not_kept_leaves_both_queues() {
        let mut queues = Queues::default();
        for row in 0..10 {
            push(&mut queues, row);
        }
        assert_eq!(rows(&queues.retain(|key| key.row.is_multiple_of(2))), [1, 3, 5, 7, 9]);
        assert_eq!((queues.bytes(), queues.len()), (50, 5));
    }
}
