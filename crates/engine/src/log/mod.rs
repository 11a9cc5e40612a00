//! The log: batches on their way to it, the write-ahead log itself, and why it takes nothing more.
//!
//! It knows neither the head nor the blocks. Whoever commits takes what is staged, says what of it is to be written, and
//! holds the [`Writer`] until the group has been applied.
//!
//! Invariant L: a definition is staged before any batch that names its series, and taken after it. So the log never names a
//! series that it has not defined.

mod batch;
mod records;

pub use batch::{Batch, COMPANION_FILL_MIN, Companion, Done, Outcome, Refusal};
pub(crate) use records::log_columns;

use crate::metrics::Metrics;
use crate::{Durability, EngineError};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_sync::{Lane, Pushed};
use mytsdb_wal::{Rows, Wal, WalError};
use parking_lot::{Mutex, MutexGuard};
use records::records;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long log bytes stay unsynced in [`Durability::Interval`].
const SYNC_INTERVAL: Duration = Duration::from_millis(100);

/// What a thread that has other things to do commits at most: some 2 ms of work.
const HERE_SAMPLES_MAX: usize = 4_096;

/// Bytes that must be left in the segment for it: more than such samples and some definitions take, so that the next segment is not
/// begun, which syncs.
const HERE_SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// A batch on its way to the log.
pub(crate) struct Staged {
    pub(crate) batch: Batch,
    pub(crate) done: Done,
}

/// The log itself. Whoever holds the lock on it is between two groups.
pub(crate) struct Writer {
    wal: Wal,
    /// The number of the group under way.
    group: u64,
}

/// A thread syncs beside the log: until this is dropped, also by a panic, the one that commits does not.
struct Syncing<'a>(&'a Log);

impl<'a> Syncing<'a> {
    fn begin(log: &'a Log) -> Self {
        *log.syncer.lock() = Some(std::thread::current());
        Self(log)
    }
}

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        *self.0.syncer.lock() = None;
    }
}

/// Lanes that anybody may stage in, and one writer.
pub(crate) struct Log {
    /// Series whose definition is not in the log yet.
    definitions: Lane<(SeriesRef, Labels)>,
    batches: Lane<Staged>,
    staged_samples: AtomicUsize,
    staged_samples_max: usize,
    writer: Mutex<Writer>,
    /// Size of the log, and why it takes nothing more: readable while somebody has the writer.
    bytes: AtomicU64,
    poisoned: OnceLock<String>,
    stopped: AtomicBool,
    /// The threads that [`run`](Log::run) and [`run_syncs`](Log::run_syncs) were called on.
    thread: Mutex<Option<Thread>>,
    syncer: Mutex<Option<Thread>>,
    durability: Durability,
    metrics: Metrics,
}

impl Log {
    pub(crate) fn new(wal: Wal, durability: Durability, staged_samples_max: usize, metrics: Metrics) -> Self {
        metrics.wal_bytes.set(wal.bytes() as f64);
        Self {
            definitions: Lane::new(),
            batches: Lane::new(),
            staged_samples: AtomicUsize::new(0),
            staged_samples_max,
            bytes: AtomicU64::new(wal.bytes()),
            writer: Mutex::new(Writer { wal, group: 0 }),
            poisoned: OnceLock::new(),
            stopped: AtomicBool::new(false),
            thread: Mutex::new(None),
            syncer: Mutex::new(None),
            durability,
            metrics,
        }
    }

    /// Stages the definition of a new series. Must be called before its reference is handed out: see Invariant L.
    ///
    /// # Errors
    /// [`EngineError::Stopped`].
    pub(crate) fn define(&self, series: SeriesRef, labels: &Labels) -> Result<(), EngineError> {
        self.definitions.push((series, labels.clone())).map_err(|_| EngineError::Stopped).map(drop)
    }

    /// Stages a batch, and tells whether the caller has to see to it that it is committed, by [`wake`](Log::wake) if in no other
    /// way. Its `done` hears [`EngineError::Overloaded`] if too many samples wait, [`EngineError::Stopped`] after
    /// [`close`](Log::close).
    pub(crate) fn submit(&self, batch: Batch, done: Done) -> bool {
        let sample_count = batch.len();
        // Relaxed: a bound on memory, not a promise about order.
        let before = self.staged_samples.fetch_add(sample_count, Ordering::Relaxed);
        if before > 0 && before + sample_count > self.staged_samples_max {
            self.release(sample_count);
            done(Err(EngineError::Overloaded { limit: self.staged_samples_max }));
            return false;
        }
        match self.batches.push(Staged { batch, done }) {
            Ok(pushed) => pushed == Pushed::ToEmpty,
            Err(staged) => {
                self.release(sample_count);
                (staged.done)(Err(EngineError::Stopped));
                false
            }
        }
    }

    /// Gives back the room of samples that were staged: they are in the head, or have failed.
    pub(crate) fn release(&self, sample_count: usize) {
        // Relaxed: see `submit`.
        self.staged_samples.fetch_sub(sample_count, Ordering::Relaxed);
    }

    /// The writer. No group is under way while somebody has it.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        let begun = Instant::now();
        let writer = self.writer.lock();
        self.metrics.writer_wait_seconds.observe(begun.elapsed().as_secs_f64());
        writer
    }

    /// The writer, if it is free and a group of all that is staged is soon written: it is small, and nothing is synced with it.
    /// There must be a thread that [runs](Log::run), which syncs later and sees to what is staged meanwhile.
    pub(crate) fn free_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        let is_small = self.staged_samples.load(Ordering::Relaxed) <= HERE_SAMPLES_MAX; // see `submit`
        if !is_small || self.durability == Durability::Fsync || self.thread.lock().is_none() {
            return None;
        }
        self.writer.try_lock().filter(|writer| writer.wal.segment_bytes_left() >= HERE_SEGMENT_BYTES_MIN)
    }

    /// Takes everything staged for the next group. Definitions stay pending in the writer until a commit succeeds, so no
    /// later sample can refer to one that a failed commit took with it.
    pub(crate) fn take(&self, writer: &mut Writer) -> Vec<Staged> {
        let waiting = self.staged_samples.load(Ordering::Relaxed); // a figure to look at
        let staged: Vec<Staged> = self.batches.drain().collect();
        if !staged.is_empty() {
            self.metrics.staged_samples.set(waiting as f64);
        }
        // After the batches: Invariant L.
        for (series, labels) in self.definitions.drain() {
            writer.wal.log_series(series, &labels);
        }
        staged
    }

    /// Writes batches, what `notes` adds, and all definitions taken, in one write and, with [`Durability::Fsync`], one sync.
    ///
    /// # Errors
    /// [`EngineError::Wal`]: nothing of the batches counts.
    pub(crate) fn write<'b>(
        &self,
        writer: &mut Writer,
        batches: impl Iterator<Item = &'b Batch>,
        notes: impl FnOnce(&mut Wal),
    ) -> Result<(), EngineError> {
        let start = Instant::now();
        for batch in batches {
            writer.put(batch);
        }
        notes(&mut writer.wal);
        let committed = writer.wal.commit();
        self.report(&mut writer.wal);
        committed?;
        self.metrics.groups.inc();
        self.metrics.commit_seconds.observe(start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Does something with the write-ahead log between two groups.
    ///
    /// # Errors
    /// As `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Wal) -> Result<T, WalError>) -> Result<T, EngineError> {
        self.with_writer(&mut self.writer(), work)
    }

    /// The same for who has the writer.
    ///
    /// # Errors
    /// As `work`.
    pub(crate) fn with_writer<T>(
        &self,
        writer: &mut Writer,
        work: impl FnOnce(&mut Wal) -> Result<T, WalError>,
    ) -> Result<T, EngineError> {
        let done = work(&mut writer.wal);
        self.report(&mut writer.wal);
        Ok(done?)
    }

    /// Bytes on disk, as the last commit or flush left them. Waits for nobody.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) // a figure to look at, which orders nothing
    }

    /// Why the log takes nothing more, if it does not. Waits for nobody.
    pub(crate) fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }

    /// Publishes what others may want to know of the log while somebody else has it.
    fn report(&self, wal: &mut Wal) {
        for sync in wal.take_syncs() {
            self.metrics.sync_seconds.observe(sync.as_secs_f64());
        }
        let bytes = wal.bytes();
        self.bytes.store(bytes, Ordering::Relaxed); // see `bytes`
        self.metrics.wal_bytes.set(bytes as f64);
        if let Some(reason) = wal.poisoned() {
            self.poisoned.get_or_init(|| reason.to_owned());
        }
    }

    /// Commits by `commit`, which tells whether there was anything, until [`close`](Log::close) is called and nothing is left.
    /// In [`Durability::Interval`] it syncs every so often, if nobody else [does](Log::run_syncs).
    pub(crate) fn run(&self, commit: impl Fn() -> bool) {
        *self.thread.lock() = Some(std::thread::current());
        let mut synced_at = Instant::now();
        loop {
            let worked = commit();
            let is_due = self.durability == Durability::Interval && synced_at.elapsed() >= SYNC_INTERVAL;
            if is_due && self.syncer.lock().is_none() {
                if self.with(Wal::sync).is_err() {
                    // The log is poisoned now: every later commit reports it to its sender.
                    self.metrics.commit_failures.inc();
                }
                synced_at = Instant::now();
            }
            if self.stopped.load(Ordering::Acquire) && self.batches.is_empty() {
                return;
            }
            if !worked {
                std::thread::park_timeout(SYNC_INTERVAL / 2);
            }
        }
    }

    /// In [`Durability::Interval`] syncs every so often until [`close`](Log::close) is called. Commits go on meanwhile.
    pub(crate) fn run_syncs(&self) {
        if self.durability != Durability::Interval {
            return;
        }
        let _here = Syncing::begin(self);
        while !self.stopped.load(Ordering::Acquire) {
            std::thread::park_timeout(SYNC_INTERVAL);
            if self.sync_beside().is_err() {
                // The log is poisoned now: every later commit reports it to its sender.
                self.metrics.commit_failures.inc();
            }
        }
    }

    fn sync_beside(&self) -> Result<(), EngineError> {
        let Some(begun) = self.with(Wal::begin_sync)? else { return Ok(()) };
        let ended = begun.run();
        self.with(|wal| wal.end_sync(ended))
    }

    /// Takes nothing more, for a reason that is not the disk's: what the last group has become is not known.
    pub(crate) fn fail(&self, reason: &str) {
        self.poisoned.get_or_init(|| reason.to_owned());
        self.close();
    }

    /// Takes no more batches; those that are staged stay so.
    pub(crate) fn close(&self) {
        self.stopped.store(true, Ordering::Release); // pairs with the Acquire in `run`
        self.batches.close();
        if let Some(thread) = &*self.syncer.lock() {
            thread.unpark();
        }
    }

    /// Wakes the thread that commits.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }
}

impl Writer {
    /// The number of a new group, which is not 0.
    pub(crate) fn next_group(&mut self) -> u64 {
        self.group += 1;
        self.group
    }

    fn put(&mut self, batch: &Batch) {
        for rows in records(batch) {
            let (refs, timestamps_ms) = (&batch.refs[rows.clone()], &batch.timestamps_ms[rows.clone()]);
            let (values, starts_ms) = (&batch.values[rows.clone()], batch.starts_ms.get(rows.clone()));
            if batch.is_plain() {
                self.wal.log_samples(refs, timestamps_ms, values);
                continue;
            }
            let own = batch.histograms_in(&rows).iter();
            let histograms: Vec<_> = own.map(|(row, bytes)| (row - rows.start as u32, &bytes[..])).collect();
            let (starts_ms, histograms) = (starts_ms.unwrap_or_default(), &histograms[..]);
            self.wal.log_rows(&Rows { refs, timestamps_ms, starts_ms, values, histograms });
        }
    }
}

#[cfg(test)]
mod tests;
