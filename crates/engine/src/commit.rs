//! Group commit: everything staged goes to the log in one write and one sync, then to the head.

use crate::block_set::StoredValues;
use crate::chunk::Sealer;
use crate::head::Appended;
use crate::{Batch, Done, Durability, Engine, EngineError, Outcome, Refusal};
use mytsdb_model::{Sample, TimeRange};
use mytsdb_wal::Wal;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long log bytes stay unsynced in [`Durability::Interval`].
pub const SYNC_INTERVAL: Duration = Duration::from_millis(100);

/// A batch on its way to the log.
pub(crate) struct Staged {
    pub(crate) batch: Batch,
    pub(crate) done: Done,
}

/// The log. Whoever holds the lock on it is between two groups.
pub(crate) struct Committer {
    pub(crate) wal: Wal,
    sealer: Sealer,
}

impl Committer {
    pub(crate) fn new(wal: Wal) -> Self {
        Self { wal, sealer: Sealer::default() }
    }

    pub(crate) fn poisoned(&self) -> Option<String> {
        self.wal.poisoned().map(ToOwned::to_owned)
    }
}

/// A staged batch without the rows that were refused before it reached the log.
struct Admitted {
    batch: Batch,
    done: Done,
    refused: Vec<(u32, Refusal)>,
    /// Row numbers in the caller's batch, if rows were taken out.
    rows: Option<Vec<u32>>,
}

impl Engine {
    /// Commits everything staged, in one group; tells whether there was anything.
    ///
    /// Blocks for one write and, with [`Durability::Fsync`], one sync.
    pub fn commit_pending(&self) -> bool {
        let mut committer = self.committer.lock();
        let staged: Vec<Staged> = self.batches.drain().collect();
        // After the batches: see `resolve`. They stay pending in the log until a commit succeeds, so no later sample
        // can refer to a definition that a failed commit took with it.
        for series in self.new_series.drain() {
            committer.wal.log_series(series.series, &series.labels);
        }
        if staged.is_empty() {
            return false;
        }
        let sample_count: usize = staged.iter().map(|s| s.batch.len()).sum();
        let admitted: Vec<Admitted> = {
            let now_ms = self.clock.now_ms();
            let accepted = TimeRange::new(
                now_ms.saturating_sub(self.options.retention_ms),
                now_ms.saturating_add(self.options.future_tolerance_ms),
            );
            staged.into_iter().map(|s| admit(s, accepted)).collect()
        };
        let logged = self.log(&mut committer, &admitted);
        match logged {
            Ok(()) => self.apply(admitted, &mut committer.sealer),
            Err(error) => {
                self.metrics.commit_failures.inc();
                for batch in admitted {
                    (batch.done)(Err(error.clone()));
                }
            }
        }
        // Relaxed: see `submit`.
        self.staged_samples.fetch_sub(sample_count, Ordering::Relaxed);
        true
    }

    fn log(&self, committer: &mut Committer, admitted: &[Admitted]) -> Result<(), EngineError> {
        let start = Instant::now();
        for Admitted { batch, .. } in admitted {
            committer.wal.log_samples(&batch.refs, &batch.timestamps_ms, &batch.values);
        }
        committer.wal.commit()?;
        self.metrics.groups.inc();
        self.metrics.commit_seconds.observe(start.elapsed().as_secs_f64());
        self.metrics.wal_bytes.set(committer.wal.bytes() as f64);
        Ok(())
    }

    /// Puts logged batches into the head and tells their senders.
    fn apply(&self, admitted: Vec<Admitted>, sealer: &mut Sealer) {
        let catalog = self.catalog.read();
        let mut stored_values = StoredValues::new(self.blocks.list(), self.options.block_ms);
        let blocks_maxt_ms = self.blocks.maxt_ms();
        let flushed_until_ms = self.flushed_until_ms.load(Ordering::Relaxed); // only steers when to flush
        let mut newest_ms = i64::MIN;
        let mut late = 0u64;
        let mut answers = Vec::with_capacity(admitted.len());
        for Admitted { batch, done, mut refused, rows } in admitted {
            let mut outcome = Outcome::default();
            let mut failed = None;
            for row in 0..batch.len() {
                let (series_ref, timestamp_ms) = (batch.refs[row], batch.timestamps_ms[row]);
                let Some(series) = catalog.get(series_ref) else {
                    failed = Some(EngineError::UnknownSeries);
                    continue;
                };
                let sample = Sample { timestamp_ms, value: batch.values[row] };
                let in_blocks = || {
                    (timestamp_ms <= blocks_maxt_ms)
                        .then(|| stored_values.get(series_ref.0, &series.labels, timestamp_ms))
                        .flatten()
                };
                match series.append(sample, self.options.block_ms, sealer, in_blocks) {
                    Ok(Appended::Stored) => {
                        outcome.stored += 1;
                        newest_ms = newest_ms.max(timestamp_ms);
                        late += u64::from(timestamp_ms < flushed_until_ms);
                    }
                    Ok(Appended::Duplicate) => outcome.duplicates += 1,
                    Ok(Appended::Conflict) => {
                        let number = rows.as_ref().map_or(row as u32, |rows| rows[row]);
                        refused.push((number, Refusal::Conflict));
                    }
                    Err(source) => failed = Some(EngineError::Chunk { series: series.labels.to_string(), source }),
                }
            }
            refused.sort_unstable_by_key(|(row, _)| *row);
            self.count(&outcome, &refused);
            outcome.refused = refused;
            answers.push((done, failed.map_or(Ok(outcome), Err)));
        }
        drop(catalog);
        self.metrics.corrupt_blocks.add(stored_values.errors);
        self.metrics.late.add(late);
        self.late_samples.fetch_add(late, Ordering::Relaxed); // only steers when to flush
        self.newest_ms.fetch_max(newest_ms, Ordering::Relaxed); // as above
        for (done, answer) in answers {
            done(answer);
        }
    }

    fn count(&self, outcome: &Outcome, refused: &[(u32, Refusal)]) {
        self.metrics.stored.add(u64::from(outcome.stored));
        self.metrics.duplicates.add(u64::from(outcome.duplicates));
        for (_, refusal) in refused {
            match refusal {
                Refusal::TooOld => self.metrics.refused_too_old.inc(),
                Refusal::TooFarAhead => self.metrics.refused_too_far_ahead.inc(),
                Refusal::Conflict => self.metrics.refused_conflict.inc(),
            }
        }
    }

    /// Makes everything written durable; what [`Durability::Interval`] leaves to a later moment.
    ///
    /// # Errors
    /// [`EngineError::Wal`]; after a failed sync the log takes nothing more until it is opened again.
    pub fn sync(&self) -> Result<(), EngineError> {
        Ok(self.committer.lock().wal.sync()?)
    }

    /// Commits whatever is staged until [`stop`](Engine::stop) is called; the caller gives a thread for it.
    ///
    /// While a group is being synced the next one gathers, so the disk sets the size of groups and nobody waits
    /// for company.
    pub fn run_committer(&self) {
        *self.committer_thread.lock() = Some(std::thread::current());
        let mut synced_at = Instant::now();
        loop {
            let worked = self.commit_pending();
            if self.options.durability == Durability::Interval && synced_at.elapsed() >= SYNC_INTERVAL {
                if self.sync().is_err() {
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
}

/// Takes out the rows whose time is not acceptable: they must not reach the log, for a replay, which is later,
/// would judge them by another clock.
fn admit(staged: Staged, accepted: TimeRange) -> Admitted {
    let Staged { mut batch, done } = staged;
    if batch.timestamps_ms.iter().all(|&t| accepted.contains(t)) {
        return Admitted { batch, done, refused: Vec::new(), rows: None };
    }
    let mut refused = Vec::new();
    let mut rows = Vec::new();
    for row in 0..batch.len() {
        let timestamp_ms = batch.timestamps_ms[row];
        if timestamp_ms < accepted.mint {
            refused.push((row as u32, Refusal::TooOld));
        } else if timestamp_ms > accepted.maxt {
            refused.push((row as u32, Refusal::TooFarAhead));
        } else {
            let to = rows.len();
            batch.refs[to] = batch.refs[row];
            batch.timestamps_ms[to] = timestamp_ms;
            batch.values[to] = batch.values[row];
            rows.push(row as u32);
        }
    }
    batch.refs.truncate(rows.len());
    batch.timestamps_ms.truncate(rows.len());
    batch.values.truncate(rows.len());
    Admitted { batch, done, refused, rows: Some(rows) }
}
