//! Both levels behind one question.

use crate::error::CacheError;
use crate::key::ChunkKey;
use crate::l1::L1;
use crate::l2::L2;
use crate::metrics::Metrics;
use crate::options::CacheOptions;
use crate::queues::Live;
use mytsdb_columns::Columns;
use mytsdb_io::Disk;
use mytsdb_telemetry::Registry;
use std::collections::HashSet;
use std::sync::Arc;

/// Why columns are put into the caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A question needed them.
    Asked,
    /// A question to come may need them.
    Ahead,
}

/// What was read from slow tiers: L1 in memory, L2 on the disk.
pub struct Caches {
    l1: L1,
    l2: L2,
}

impl Caches {
    /// Opens the caches with what an earlier run has left on the disk.
    ///
    /// # Errors
    /// [`CacheError::Io`] if the folder cannot be read or written. Damage is no error: what is damaged is removed.
    pub fn open(disk: Arc<dyn Disk>, options: &CacheOptions, registry: &Registry) -> Result<Self, CacheError> {
        let metrics = Metrics::new(registry);
        let l1 = L1::new(options.l1_bytes, metrics.clone());
        Ok(Self { l1, l2: L2::open(disk, options, metrics)? })
    }

    /// Whether there is nothing to ask.
    pub fn are_off(&self) -> bool {
        !self.l1.is_on() && !self.l2.is_on()
    }

    /// Calls `use_it` with the samples of a key, if one of the levels has them; `samples` is how many there are of both kinds, as the caller
    /// knows from elsewhere. What only L2 has is in L1 from then on.
    ///
    /// Cost: some 20 ns and what `use_it` takes in L1, which copies what it needs: L1 keeps the samples where they are meanwhile. In L2 the
    /// samples are verified and decoded, some 1 to 2 ns each.
    pub fn read<R>(&self, key: &ChunkKey, samples: u64, use_it: impl FnOnce(&Columns) -> R) -> Option<R> {
        let mut use_it = Some(use_it);
        let used = self.l1.read(key, |columns| {
            // A number that does not agree cannot be; if it is, the samples are not those that were asked for.
            (columns.len() as u64 == samples).then(|| use_it.take().map(|use_it| use_it(columns))).flatten()
        });
        if let Some(used) = used.flatten() {
            return Some(used);
        }
        let columns = Arc::new(self.l2.get(key, samples)?);
        self.l1.put(key, &columns, false);
        use_it.map(|use_it| use_it(&columns))
    }

    /// Whether one of the levels has the samples of a key. That counts as no use of them.
    pub fn has(&self, key: &ChunkKey) -> bool {
        self.l1.has(key) || self.l2.has(key)
    }

    /// Keeps all samples of a key, in both levels, if they fit there. The columns are in order and have no room that is not used.
    pub fn put(&self, key: &ChunkKey, columns: &Arc<Columns>, origin: Origin) {
        self.l1.put(key, columns, origin == Origin::Ahead);
        self.l2.put(key, columns);
    }

    /// Forgets what is no copy of these files, and takes no such thing from now on: nobody is to ask for it again, and it may be what was
    /// deleted. On the disk a file with some of it goes as a whole.
    pub fn keep_only(&self, files: HashSet<u128>) {
        let live = Live::only(Arc::new(files));
        self.l1.keep_only(&live);
        self.l2.keep_only(&live);
    }

    /// Writes to the disk what L2 still has in memory, for the next start.
    pub fn persist(&self) {
        self.l2.persist();
    }
}

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches").field("l1", &self.l1.is_on()).field("l2", &self.l2.is_on()).finish()
    }
}
