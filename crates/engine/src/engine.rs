//! The engine's state and its front door: resolve, submit, append.

use crate::block_set::BlockSet;
use crate::commit::{Committer, Staged};
use crate::head::{Catalog, MemSeries};
use crate::metrics::Metrics;
use crate::select::SelectionCache;
use crate::{Batch, Clock, Done, EngineError, EngineOptions, Outcome};
use mytsdb_io::{Disk, DiskLock};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_sync::Lane;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// A store of series of floats and native histograms: head in memory, log and blocks on a disk.
///
/// All methods take `&self` and may be called from any thread. Nothing runs on its own: somebody must call
/// [`commit_pending`](Engine::commit_pending) and [`maintain`](Engine::maintain), or hand a thread to
/// [`run_committer`](Engine::run_committer).
///
/// Invariant A: a batch is applied to the head only after its group is in the log; so what a query sees was
/// written, and in [`Durability::Fsync`](crate::Durability::Fsync) synced, before.
///
/// Invariant B: a sample is in the head, in a published block, or in both; never in neither, however a flush ends.
/// Values of one time never differ between them but for what was refused, and the earliest stored is what reads return.
pub struct Engine {
    pub(crate) options: EngineOptions,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) catalog: RwLock<Catalog>,
    pub(crate) blocks: BlockSet,
    pub(crate) selections: SelectionCache,
    /// Series whose definition is not in the log yet. Drained after `batches`: see `commit_pending`.
    pub(crate) new_series: Lane<Arc<MemSeries>>,
    pub(crate) batches: Lane<Staged>,
    pub(crate) staged_samples: AtomicUsize,
    pub(crate) committer: Mutex<Committer>,
    /// Size of the log, and why it takes nothing more: readable while the committer has it.
    pub(crate) wal_bytes: AtomicU64,
    pub(crate) poisoned: OnceLock<String>,
    /// Held for the whole of a flush, so that there is one at a time.
    pub(crate) flushing: Mutex<crate::flush::FlushState>,
    /// Held for the whole of a merge of blocks, so that there is one at a time.
    pub(crate) compacting: Mutex<crate::compact::state::CompactState>,
    pub(crate) floor: crate::floor::Floor,
    /// Locked before the flush, the retired blocks and the committer, if several are.
    pub(crate) deletions: Mutex<crate::deletions::Deletions>,
    /// Counts deletions of this run.
    pub(crate) deletion_count: AtomicU64,
    /// Held while blocks are taken out of service.
    pub(crate) retired: Mutex<crate::compact::state::Retired>,
    /// The head has had no histogram, and no sample with a start time, since it was opened.
    pub(crate) head_is_plain: AtomicBool,
    /// Counts flushes; references handed out in an epoch stay valid to the end of the next.
    pub(crate) epoch: AtomicU64,
    /// Counts the times that flushed chunks were dropped from the head: see `select`.
    pub(crate) drops: AtomicU64,
    /// The newest sample ever stored, by its time.
    pub(crate) newest_ms: AtomicI64,
    /// Samples before this are in blocks, but for late ones.
    pub(crate) flushed_until_ms: AtomicI64,
    /// Samples stored before `flushed_until_ms` since the last flush.
    pub(crate) late_samples: AtomicU64,
    pub(crate) stopped: AtomicBool,
    pub(crate) committer_thread: Mutex<Option<Thread>>,
    pub(crate) _lock: DiskLock,
}

impl Engine {
    /// The reference of a series, which is created if the head does not have it.
    ///
    /// Cost: a hash and a comparison when known; when new an index entry, and a log record with the next group.
    ///
    /// # Errors
    /// When the series is new: [`EngineError::SeriesLimit`] if the head is full, [`EngineError::DiskLow`] if the disk is.
    pub fn resolve(&self, labels: &Labels) -> Result<SeriesRef, EngineError> {
        let epoch = self.epoch();
        if let Some(series) = self.catalog.read().find(labels) {
            series.touch(epoch);
            return Ok(series.series);
        }
        self.check_room_for_series()?;
        let mut catalog = self.catalog.write();
        if let Some(series) = catalog.find(labels) {
            series.touch(epoch);
            return Ok(series.series);
        }
        if catalog.len() >= self.options.series_max {
            return Err(EngineError::SeriesLimit { limit: self.options.series_max });
        }
        let series = catalog.create(labels.clone(), epoch);
        self.metrics.series.set(catalog.len() as f64);
        self.metrics.series_created.inc();
        let reference = series.series;
        // Staged before the reference leaves this function, so before any batch that names it: `commit_pending`
        // drains batches first and definitions after, and cannot log a sample ahead of its series.
        self.new_series.push(series).map_err(|_| EngineError::Stopped)?;
        Ok(reference)
    }

    /// Changes when references handed out before may have been dropped; compare it once per batch and
    /// [`touch`](Engine::touch) what was remembered from an earlier epoch.
    pub fn epoch(&self) -> u64 {
        // Acquire pairs with the AcqRel in `flush`: whoever sees the new epoch sees what left the head before it.
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether the head still knows a reference; keeps it known through this epoch and the next.
    pub fn touch(&self, series: SeriesRef) -> bool {
        let epoch = self.epoch();
        self.catalog.read().get(series).inspect(|s| s.touch(epoch)).is_some()
    }

    /// Hands a batch to the committer; `done` hears when it is durable, or why it is not.
    ///
    /// Returns at once. Batches become durable in the order of submission as far as one caller can tell.
    /// An empty batch is done at once.
    ///
    /// # Panics
    /// If the columns differ in length, or points overlap or leave the batch.
    pub fn submit(&self, batch: Batch, done: Done) {
        batch.check();
        let sample_count = batch.len();
        if sample_count == 0 {
            return done(Ok(Outcome::default()));
        }
        // Relaxed: a bound on memory, not a promise about order.
        let before = self.staged_samples.fetch_add(sample_count, Ordering::Relaxed);
        if before > 0 && before + sample_count > self.options.staged_samples_max {
            self.staged_samples.fetch_sub(sample_count, Ordering::Relaxed);
            return done(Err(EngineError::Overloaded { limit: self.options.staged_samples_max }));
        }
        if !batch.is_plain() {
            // Release: whoever reads such a sample could have known that there are some.
            self.head_is_plain.store(false, Ordering::Release);
        }
        match self.batches.push(Staged { batch, done }) {
            Ok(mytsdb_sync::Pushed::ToEmpty) => self.wake_committer(),
            Ok(mytsdb_sync::Pushed::BehindOthers) => {}
            Err(staged) => {
                self.staged_samples.fetch_sub(sample_count, Ordering::Relaxed);
                (staged.done)(Err(EngineError::Stopped));
            }
        }
    }

    /// Appends a batch and waits until it is durable, committing on the caller's thread.
    ///
    /// # Errors
    /// As [`submit`](Engine::submit) reports them.
    pub fn append(&self, batch: Batch) -> Result<Outcome, EngineError> {
        let (tell, hear) = std::sync::mpsc::sync_channel(1);
        self.submit(
            batch,
            Box::new(move |result| {
                // Nobody listens only if the caller panicked, and then nobody asks.
                drop(tell.send(result));
            }),
        );
        self.commit_pending();
        hear.recv().unwrap_or(Err(EngineError::Stopped))
    }

    /// Whether every sample that can be read now is a float without a start time. A query planner may ask; it costs next to
    /// nothing. It says no from the moment on in which other samples are submitted, and again yes only after the engine was
    /// opened anew, if there are none left.
    pub fn is_plain(&self) -> bool {
        // Acquire pairs with the Release in `submit`.
        self.head_is_plain.load(Ordering::Acquire) && self.blocks.are_plain()
    }

    /// The settings in force.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The number of series in the head.
    pub fn head_series_count(&self) -> usize {
        self.catalog.read().len()
    }

    /// Bytes of sample chunks in the head. Cost: a visit to every series.
    pub fn head_chunk_bytes(&self) -> u64 {
        self.catalog.read().iter().map(|s| s.chunk_bytes()).sum()
    }

    /// Bytes of the log on disk, as the last commit or flush left it. Waits for nobody.
    pub fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Ordering::Relaxed) // a figure to look at, which orders nothing
    }

    /// Why the engine takes no more samples, if it does not: a sync of the log has failed. It stays so until the data
    /// folder is opened again. Waits for nobody: a commit that hangs in the disk does not hold it up.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }

    /// Publishes what others may want to know of the log while somebody else has it.
    pub(crate) fn report_log(&self, wal: &mytsdb_wal::Wal) {
        let bytes = wal.bytes();
        self.wal_bytes.store(bytes, Ordering::Relaxed); // see `wal_bytes`
        self.metrics.wal_bytes.set(bytes as f64);
        if let Some(reason) = wal.poisoned() {
            self.poisoned.get_or_init(|| reason.to_owned());
        }
    }

    fn wake_committer(&self) {
        if let Some(thread) = &*self.committer_thread.lock() {
            thread.unpark();
        }
    }

    /// Takes no more batches, commits those taken, syncs the log. Queries go on.
    ///
    /// # Errors
    /// [`EngineError::Wal`] if the last sync fails; in that case batches acknowledged in
    /// [`Durability::Interval`](crate::Durability::Interval) may be lost with the machine, not with the process.
    pub fn stop(&self) -> Result<(), EngineError> {
        self.stopped.store(true, Ordering::Release); // pairs with the Acquire in `run_committer`
        self.batches.close();
        self.commit_pending();
        self.wake_committer();
        self.sync()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("data_dir", &self.options.data_dir)
            .field("head_series", &self.head_series_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use mytsdb_io::{Call, FaultDisk, SimDisk};

    #[test]
    fn the_state_of_the_log_is_told_while_a_commit_has_it() {
        let disk = Arc::new(FaultDisk::new(SimDisk::new()));
        let registry = mytsdb_telemetry::Registry::new();
        let clock = Arc::new(ManualClock::new(0));
        let (engine, _) = Engine::open(disk.clone(), clock, EngineOptions::new("/data"), &registry).unwrap();
        let series = engine.resolve(&Labels::from_pairs([("__name__", "m")])).unwrap();
        let append = || {
            let mut batch = Batch::default();
            batch.push(series, 1, 1.0);
            engine.append(batch)
        };
        let empty = engine.wal_bytes();
        append().unwrap();
        let commit = engine.committer.lock();
        assert!(engine.wal_bytes() > empty);
        assert_eq!(engine.poisoned(), None);
        drop(commit);
        disk.fail_nth(Call::Sync, disk.count(Call::Sync) + 1, 5);
        assert!(append().is_err());
        let _commit = engine.committer.lock();
        assert!(engine.poisoned().is_some_and(|reason| reason.contains("sync")));
    }
}
