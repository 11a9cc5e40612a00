//! L1: decoded columns in memory. A hit takes no lock and copies what it needs; a miss costs one.

use crate::directory::Directory;
use crate::key::ChunkKey;
use crate::metrics::Metrics;
use crate::queues::{Entry, Left, Live, Queues};
use mytsdb_columns::Columns;
use mytsdb_histogram::FloatHistogram;
use parking_lot::Mutex;
use std::sync::Arc;

/// An entry larger than this part of the room is not taken: it would drive out too many others.
const ENTRY_PART: usize = 4;

/// Decoded columns by key, in bounds.
pub(crate) struct L1 {
    directory: Directory,
    queues: Mutex<Queues>,
    bytes_max: usize,
    metrics: Metrics,
}

impl L1 {
    /// A cache of at most `bytes_max` bytes; 0 keeps nothing.
    pub fn new(bytes_max: usize, metrics: Metrics) -> Self {
        Self { directory: Directory::new(), queues: Mutex::default(), bytes_max, metrics }
    }

    pub fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// Calls `use_it` with the columns of a key, if they are there.
    #[inline]
    pub fn read<R>(&self, key: &ChunkKey, use_it: impl FnOnce(&Columns) -> R) -> Option<R> {
        if !self.is_on() {
            return None;
        }
        let found = self.directory.read(key, |entry| {
            let used = entry.columns.read(|columns| use_it(columns));
            if used.is_some() && entry.is_first_use_ahead() {
                self.metrics.ahead_hits.inc();
            }
            used
        });
        let found = found.flatten();
        if found.is_some() {
            self.metrics.l1.hits.inc();
        } else {
            self.metrics.l1.misses.inc();
        }
        found
    }

    /// Whether the columns of a key are there. That is no use of them.
    pub fn has(&self, key: &ChunkKey) -> bool {
        self.is_on() && self.directory.has(key)
    }

    /// Keeps columns, if they are not too large; others may have to go. What is there of the key stays.
    pub fn put(&self, key: &ChunkKey, columns: &Arc<Columns>, ahead: bool) {
        if !self.is_on() {
            return;
        }
        let bytes = bytes_of(columns) + Entry::FRAME_BYTES + key_share();
        if bytes > self.bytes_max / ENTRY_PART {
            self.metrics.l1.refused.inc();
            return;
        }
        let entry = Arc::new(Entry::new(*key, columns.clone(), bytes, ahead));
        let mut queues = self.queues.lock();
        if !queues.may_keep(key) || !self.directory.put(&entry) {
            return;
        }
        if ahead {
            self.metrics.ahead_entries.inc();
        }
        queues.push(entry);
        let left = queues.make_room(self.bytes_max);
        self.remove(&left);
        self.metrics.l1.report(queues.bytes() as u64, queues.len());
        drop(queues);
        self.metrics.l1.evictions.add(left.len() as u64);
        // Their memory is given back when others can go on.
        drop(left);
    }

    /// Forgets what is no copy of these files, and takes no such thing from now on.
    pub fn keep_only(&self, live: &Live) {
        let mut queues = self.queues.lock();
        let left = queues.keep_only(live);
        self.remove(&left);
        self.metrics.l1.report(queues.bytes() as u64, queues.len());
        drop(queues);
        drop(left);
    }

    fn remove(&self, left: &[Left]) {
        for Left { entry, .. } in left {
            self.directory.remove(entry);
            if entry.is_wasted() {
                self.metrics.ahead_wasted_bytes.add(entry.bytes as u64);
            }
        }
    }

    /// Bytes and entries.
    #[cfg(test)]
    pub fn level(&self) -> (usize, usize) {
        let queues = self.queues.lock();
        (queues.bytes(), queues.len())
    }
}

/// What the directory takes for a key and its pointer, at a load of a half.
fn key_share() -> usize {
    2 * (size_of::<ChunkKey>() + size_of::<usize>())
}

/// Memory of columns, histograms included as if nobody else had them.
fn bytes_of(columns: &Columns) -> usize {
    let histograms = columns.histograms.iter().map(|h| size_of::<FloatHistogram>() + h.heap_bytes() + 16);
    size_of::<Columns>() + columns.heap_bytes() + histograms.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_telemetry::Registry;
    use mytsdb_testkit::{Random, seed};

    fn key(row: u64) -> ChunkKey {
        ChunkKey { file: 3, checksum: 0, row }
    }

    fn only(files: &[u128]) -> Live {
        Live::only(Arc::new(files.iter().copied().collect()))
    }

    /// Columns that say which they are.
    fn columns(row: u64, count: usize) -> Arc<Columns> {
        let mut columns = Columns::default();
        for at in 0..count {
            columns.push_float(at as i64, row as f64);
        }
        Arc::new(columns)
    }

    fn l1(bytes_max: usize) -> (L1, Metrics) {
        let metrics = Metrics::new(&Registry::new());
        (L1::new(bytes_max, metrics.clone()), metrics)
    }

    #[test]
    fn it_stays_within_its_bytes_and_gives_back_what_was_put() {
        let seed = seed(1);
        let mut random = Random::new(seed);
        let (l1, metrics) = l1(100_000);
        for _ in 0..5_000 {
            let row = random.below(200);
            let asked = l1.read(&key(row), |columns| columns.values.iter().all(|value| *value == row as f64));
            assert_ne!(asked, Some(false), "seed {seed}: samples of another key");
            if asked.is_none() {
                l1.put(&key(row), &columns(row, random.index(100)), false);
            }
            let (bytes, entries) = l1.level();
            assert!(bytes <= 100_000);
            assert_eq!((metrics.l1.bytes.get(), metrics.l1.entries.get()), (bytes as f64, entries as f64));
        }
        assert!(metrics.l1.evictions.get() > 100 && metrics.l1.hits.get() > 100);
        l1.keep_only(&only(&[4]));
        assert_eq!(l1.level(), (0, 0));
        assert!((0..200).all(|row| !l1.has(&key(row))));
        l1.put(&key(1), &columns(1, 1), false);
        assert!(!l1.has(&key(1)), "a copy of a file that is gone");
        l1.put(&ChunkKey { file: 4, ..key(1) }, &columns(1, 1), false);
        assert!(l1.has(&ChunkKey { file: 4, ..key(1) }));
    }

    #[test]
    fn what_is_too_large_is_refused_and_nothing_is_kept_in_no_bytes() {
        let (small, metrics) = l1(10_000);
        small.put(&key(1), &columns(1, 1_000), false);
        assert!(!small.has(&key(1)));
        assert_eq!(metrics.l1.refused.get(), 1);
        let (off, metrics) = l1(0);
        off.put(&key(1), &columns(1, 1), false);
        assert_eq!(off.read(&key(1), |_| ()), None);
        assert_eq!(metrics.l1.misses.get(), 0, "a level that is off is not asked");
    }

    #[test]
    fn what_was_put_ahead_counts_once_when_it_is_used_or_when_it_was_in_vain() {
        let (l1, metrics) = l1(100_000);
        l1.put(&key(1), &columns(1, 10), true);
        l1.put(&key(2), &columns(2, 10), true);
        for _ in 0..3 {
            assert_eq!(l1.read(&key(1), Columns::len), Some(10));
        }
        assert_eq!((metrics.ahead_entries.get(), metrics.ahead_hits.get()), (2, 1));
        assert_eq!(metrics.ahead_wasted_bytes.get(), 0);
        l1.keep_only(&only(&[]));
        assert!(metrics.ahead_wasted_bytes.get() > 200);
    }

    #[test]
    fn threads_that_read_put_and_forget_find_nothing_but_what_was_put() {
        let (l1, _) = l1(60_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let l1 = &l1;
                scope.spawn(move || {
                    let mut random = Random::of_case(7, thread);
                    for _ in 0..20_000 {
                        let row = random.below(120);
                        let found = l1.read(&key(row), |columns| {
                            assert!(columns.values.iter().all(|value| *value == row as f64));
                        });
                        if found.is_none() {
                            l1.put(&key(row), &columns(row, 40), false);
                        }
                        if random.one_in(500) {
                            l1.keep_only(&only(&[random.pick(&[3, 4])]));
                        }
                    }
                });
            }
        });
        let (bytes, entries) = l1.level();
        assert!(bytes <= 60_000);
        assert_eq!((0..120).filter(|row| l1.has(&key(*row))).count(), entries);
    }
}
