//! The engine: it joins log, head, blocks and reader, and knows what must happen in which order between them.

mod accumulate;
mod changed;
mod checkpoint;
mod commit;
mod delete;
mod describe;
mod flush;
mod judge;
mod merge;
mod outside;
mod read;
mod recovery;

pub use flush::Maintenance;
pub use recovery::Recovery;

use crate::blocks::{Blocks, StoredValues};
use crate::changes::MetricChanges;
use crate::exemplars::Exemplars;
use crate::families::Families;
use crate::head::{Head, Sealer};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::reader::Reader;
use crate::room::Room;
use crate::{Batch, Clock, Done, EngineError, EngineOptions, Outcome};
use flush::FlushState;
use mytsdb_io::DiskLock;
use mytsdb_model::{Labels, SeriesRef};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// A store of series of floats and native histograms: head in memory, log and blocks on a disk.
///
/// All methods take `&self` and may be called from any thread. Nothing runs on its own: somebody must call
/// [`commit_pending`](Engine::commit_pending) and [`maintain`](Engine::maintain), or hand a thread to
/// [`run_committer`](Engine::run_committer), and others to [`run_syncer`](Engine::run_syncer) and [`run_sealer`](Engine::run_sealer).
///
/// Invariant A: a batch is applied to the head only after its group is in the log; so what a query sees was
/// written, and in [`Durability::Fsync`](crate::Durability::Fsync) synced, before.
///
/// Invariant B: a sample is in the head, in a published block, or in both; never in neither, however a flush ends.
/// Values of one time never differ between them but for what was refused, and the earliest stored is what reads return.
///
/// Locks, in the order in which they are taken: the turn of the flush, those of a merge and of the deletions (see `blocks`), the state of
/// the flush, the ids and the retired blocks, the log's writer, the sealer, the catalog, the series to be cut, a series.
pub struct Engine {
    options: EngineOptions,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    log: Log,
    head: Arc<Head>,
    blocks: Arc<Blocks>,
    reader: Reader,
    /// What queries may see that they did not before.
    changes: Arc<MetricChanges>,
    room: Room,
    families: Families,
    exemplars: Exemplars,
    /// Held for the whole of a flush, so that there is one at a time.
    flush_turn: Mutex<()>,
    flushing: Mutex<FlushState>,
    head_looked_at: Mutex<Option<Instant>>,
    /// What blocks have at the times of late samples. Whoever commits has it, with the log's writer.
    stored_values: Mutex<StoredValues>,
    /// Closes the chunks that fill up while a group is applied; full runs of histograms wait for others to do so.
    sealer: Mutex<Sealer>,
    _lock: DiskLock,
}

impl Engine {
    /// The reference of a series, which is created if the head does not have it.
    ///
    /// Cost: a hash and a comparison when known; when new an index entry, and a log record with the next group.
    ///
    /// # Errors
    /// When the series is new: [`EngineError::SeriesLimit`] if the head is full, [`EngineError::DiskLow`] if the disk is.
    pub fn resolve(&self, labels: &Labels) -> Result<SeriesRef, EngineError> {
        if let Some(series) = self.head.find(labels) {
            return Ok(series);
        }
        self.room.check_for_series()?;
        // Defined before the reference leaves this function, so before any batch that names it.
        self.head.find_or_create(labels, |series, labels| self.log.define(series, labels))
    }

    /// The reference of a series, if the head has it.
    pub fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        self.head.find(labels)
    }

    /// Changes when references handed out before may have been dropped; compare it once per batch and
    /// [`touch`](Engine::touch) what was remembered from an earlier epoch.
    pub fn epoch(&self) -> u64 {
        self.head.epoch()
    }

    /// Whether the head still knows a reference; keeps it known through this epoch and the next.
    pub fn touch(&self, series: SeriesRef) -> bool {
        self.head.touch(series)
    }

    /// The labels of a series, if the head has it. Two dependent loads.
    pub fn labels_of(&self, series: SeriesRef) -> Option<Labels> {
        self.head.labels_of(series)
    }

    /// Hands a batch to the committer; `done` hears when it is durable, or why it is not.
    ///
    /// Returns at once, or after some 0.1 us a sample: unless [`Durability::Fsync`](crate::Durability::Fsync) is asked for, a small
    /// batch of new samples that finds nobody committing is committed on the caller's thread, which is cheaper than to wake
    /// another one. Batches become durable in the order of submission as far as one caller can tell. An empty batch is done at once.
    ///
    /// # Panics
    /// If the columns differ in length, or points overlap or leave the batch.
    pub fn submit(&self, batch: Batch, done: Done) {
        batch.check();
        if batch.is_empty() {
            return done(Ok(Outcome::default()));
        }
        if !batch.is_plain() {
            self.head.note_other_than_plain();
        }
        // Late samples are looked up in blocks, which takes its time.
        let blocks_maxt_ms = self.blocks.maxt_ms();
        let is_live = batch.timestamps_ms.iter().all(|&time| time > blocks_maxt_ms);
        if self.log.submit(batch, done) {
            match self.log.free_writer().filter(|_| is_live) {
                Some(writer) => drop(self.commit(writer)),
                None => self.log.wake(),
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
                // The send fails only if the caller panicked, and then nobody needs the answer.
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
        self.reader.is_plain()
    }

    /// The settings in force.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The number of series in the head.
    pub fn head_series_count(&self) -> usize {
        self.head.len()
    }

    /// Bytes of sample chunks in the head. Cost: a visit to every series.
    pub fn head_chunk_bytes(&self) -> u64 {
        self.head.chunk_bytes()
    }

    /// Bytes of the log on disk, as the last commit or flush left it. Waits for nobody.
    pub fn wal_bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Free space on the disk below which writes are refused, in bytes.
    pub fn disk_floor_bytes(&self) -> u64 {
        self.room.floor_bytes()
    }

    /// Why the engine takes no more samples, if it does not: a sync of the log has failed. It stays so until the data
    /// folder is opened again. Waits for nobody: a commit that hangs in the disk does not hold it up.
    pub fn poisoned(&self) -> Option<&str> {
        self.log.poisoned()
    }

    /// Why writes are refused for want of room on the disk, if they were when that was last looked at, which
    /// [`maintain`](Engine::maintain) and every commit do. Queries go on, and writes too as soon as there is room.
    pub fn writes_refused(&self) -> Option<String> {
        self.room.refusal()
    }

    /// Takes no more batches, commits those taken, syncs the log. Queries go on.
    ///
    /// # Errors
    /// [`EngineError::Wal`] if the last sync fails; in that case batches acknowledged in
    /// [`Durability::Interval`](crate::Durability::Interval) may be lost with the machine, not with the process.
    pub fn stop(&self) -> Result<(), EngineError> {
        self.log.close();
        self.commit_pending();
        self.log.wake();
        self.head.end_sealing();
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
