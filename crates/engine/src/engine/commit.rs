//! Group commit: everything staged goes to the log in one write and one sync, then to the head.

use super::Engine;
use super::accumulate::Accumulator;
use super::judge::Judge;
use crate::blocks::StoredValues;
use crate::exemplars::Evicted;
use crate::head::{Sealer, chunk_error};
use crate::log::{Log, Staged, Writer};
use crate::value::Row;
use crate::{Batch, Done, EngineError, Outcome, Refusal};
use mytsdb_model::{Exemplar, Labels, SeriesRef, TimeRange};
use mytsdb_wal::Wal;
use parking_lot::MutexGuard;
use std::time::Instant;

/// A staged batch without the rows that are not to be logged.
struct Admitted {
    batch: Batch,
    done: Done,
    refused: Vec<RefusedRow>,
    /// Row numbers in the caller's batch, if rows were taken out.
    rows: Option<Vec<u32>>,
    /// Rows taken out because their samples are there already.
    known: u32,
    failed: Option<EngineError>,
    /// Those that are to be stored, and how many are there already.
    exemplars: Vec<(Labels, Exemplar)>,
    exemplars_known: u32,
}

/// The caller's number of a row, its series, and why it is refused.
type RefusedRow = (u32, SeriesRef, Refusal);

impl Admitted {
    /// Takes rows, which ascend, out of the batch, and reports them to the sender unless the batch has failed.
    fn refuse(&mut self, gone: &[u32], reason: Refusal) {
        if gone.is_empty() {
            return;
        }
        if self.failed.is_none() {
            let refused = |&row: &u32| (self.row_of(row), self.batch.refs[row as usize], reason);
            let refused: Vec<RefusedRow> = gone.iter().map(refused).collect();
            self.refused.extend(refused);
        }
        self.remove(gone);
    }

    /// The caller's number of a row.
    fn row_of(&self, row: u32) -> u32 {
        self.rows.as_ref().map_or(row, |rows| rows[row as usize])
    }

    fn remove(&mut self, gone: &[u32]) {
        if gone.is_empty() {
            return;
        }
        let left = (0..self.batch.len() as u32).filter(|row| gone.binary_search(row).is_err());
        self.rows = Some(left.map(|row| self.row_of(row)).collect());
        self.batch.remove_rows(gone);
    }

    /// Takes rows, which ascend, out of the batch; the rest of their points stays, and their exemplars.
    fn forget(&mut self, known: &[u32]) {
        if !known.is_empty() {
            self.batch.free_exemplars(known);
            self.batch.remove_rows(known);
        }
    }
}

/// A group that is under way: if it ends by a panic, nothing is taken after it.
struct Begun<'a>(&'a Log);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("a commit panicked, what became of its samples is not known");
        }
    }
}

/// How many rows ahead of the one that is applied the series is asked for, so that it is in the caches by then.
const AHEAD: usize = 6;

impl Engine {
    /// Commits everything staged, in one group; tells whether there was anything.
    ///
    /// Blocks for one write and, with [`Durability::Fsync`](crate::Durability::Fsync), one sync.
    pub fn commit_pending(&self) -> bool {
        self.commit(self.log.writer())
    }

    /// The same for who has the writer.
    pub(super) fn commit(&self, mut writer: MutexGuard<'_, Writer>) -> bool {
        let _begun = Begun(&self.log);
        let staged = self.log.take(&mut writer);
        if staged.is_empty() {
            return false;
        }
        let sample_count: usize = staged.iter().map(|s| s.batch.len()).sum();
        if let Err(error) = self.room.check() {
            self.metrics.commit_failures.inc();
            self.log.release(sample_count);
            for batch in staged {
                (batch.done)(Err(error.clone()));
            }
            return true;
        }
        let now_ms = self.clock.now_ms();
        let accepted = TimeRange::new(
            now_ms.saturating_sub(self.options.retention_ms),
            now_ms.saturating_add(self.options.future_tolerance_ms),
        );
        let sent_exemplars: usize = staged.iter().map(|s| s.batch.exemplar_count()).sum();
        let mut admitted: Vec<Admitted> = staged.into_iter().map(|s| admit(s, accepted)).collect();
        let begun = Instant::now();
        // What is deleted is nothing to be in conflict with, or to be added to.
        self.head.cut_before_append(|| {
            let batches = admitted.iter().map(|a| &a.batch);
            batches.flat_map(|b| b.refs.iter().copied().chain(b.companions.iter().map(|companion| companion.series)))
        });
        // One list of blocks for the whole group: none is added before the group ends, see `flush_before`.
        let mut stored_values = self.stored_values.lock();
        stored_values.begin(self.blocks.list());
        let group = writer.next_group();
        self.accumulate(&mut admitted, &mut stored_values);
        self.judge(group, &mut admitted, &mut stored_values);
        if sent_exemplars > 0 {
            self.admit_exemplars(&mut admitted, accepted, sent_exemplars);
        }
        let mut families = Vec::new();
        self.metrics.corrupt_blocks.add(stored_values.end());
        drop(stored_values);
        let judged = Instant::now();
        let written = self.log.write(&mut writer, admitted.iter().map(|a| &a.batch), |wal| {
            families = self.families.log(wal);
            for admitted in &admitted {
                log_exemplars(wal, &admitted.exemplars);
            }
        });
        let logged = Instant::now();
        self.metrics.judge_seconds.observe((judged - begun).as_secs_f64());
        match written {
            Ok(()) => {
                self.apply(admitted);
                self.metrics.apply_seconds.observe(logged.elapsed().as_secs_f64());
            }
            Err(error) => {
                self.families.note(families);
                self.metrics.commit_failures.inc();
                for batch in admitted {
                    (batch.done)(Err(error.clone()));
                }
            }
        }
        self.log.release(sample_count);
        true
    }

    /// Turns deltas into sums, and takes out the points that have been counted.
    fn accumulate(&self, admitted: &mut [Admitted], stored_values: &mut StoredValues) {
        if !admitted.iter().any(|a| a.batch.has_deltas()) {
            return;
        }
        let catalog = self.head.catalog();
        let mut batches: Vec<&mut Batch> = admitted.iter_mut().map(|a| &mut a.batch).collect();
        let losses = Accumulator::new(&catalog, stored_values, self.blocks.maxt_ms()).accumulate(&mut batches);
        for (this, loss) in admitted.iter_mut().zip(losses) {
            this.failed = loss.failed;
            this.refuse(&loss.gone, Refusal::Counted);
        }
    }

    /// Takes out the points that are in conflict and the rows that are known, and adds the samples of companions.
    fn judge(&self, group: u64, admitted: &mut [Admitted], stored_values: &mut StoredValues) {
        let catalog = self.head.catalog();
        let mut judge = Judge::new(&catalog, stored_values, self.blocks.maxt_ms(), group);
        for at in 0..admitted.len() {
            let (earlier, rest) = admitted.split_at_mut(at);
            let (earlier, this) = (earlier.iter().map(|a| &a.batch), &mut rest[0]);
            let mut verdict = judge.batch(&earlier, &this.batch);
            this.failed = this.failed.take().or(verdict.failed);
            this.refuse(&verdict.gone, Refusal::Conflict);
            for row in &mut verdict.known {
                *row -= verdict.gone.partition_point(|gone| gone < row) as u32;
            }
            if !this.batch.companions.is_empty() {
                // Where all rows that a companion describes are known it has a sample too, so they are still there.
                let of_companions = judge.companions(&earlier, &mut this.batch);
                this.failed = this.failed.take().or(of_companions.failed);
                this.known += of_companions.known.len() as u32;
                // It is no point of a sender, so a conflict of it is not reported.
                let mut gone = [of_companions.gone, of_companions.known].concat();
                gone.sort_unstable();
                this.batch.remove_rows(&gone);
            }
            this.known += verdict.known.len() as u32;
            this.forget(&verdict.known);
        }
    }

    /// Chooses the exemplars that are stored: of points that are, at acceptable times, of bounded size. `sent` is how many
    /// there were before points were refused.
    fn admit_exemplars(&self, admitted: &mut [Admitted], accepted: TimeRange, sent: usize) {
        let catalog = self.head.catalog();
        let mut left = 0;
        for this in admitted {
            let of_rows = std::mem::take(&mut this.batch.exemplars_of_rows).into_iter().map(|(_, sent)| sent);
            for (series, exemplar) in of_rows.chain(std::mem::take(&mut this.batch.exemplars)) {
                left += 1;
                if !self.exemplars.are_kept() {
                    continue;
                }
                if !accepted.contains(exemplar.timestamp_ms) {
                    self.metrics.exemplars_refused_time.inc();
                } else if exemplar.character_count() > Exemplar::CHARACTERS_MAX {
                    self.metrics.exemplars_refused_labels.inc();
                } else if let Some(series) = catalog.get(series) {
                    if self.exemplars.contains(&series.labels, &exemplar) {
                        this.exemplars_known += 1;
                    } else {
                        this.exemplars.push((series.labels.clone(), exemplar));
                    }
                } else {
                    this.failed = Some(EngineError::UnknownSeries);
                }
            }
        }
        self.metrics.exemplars_refused_point.add(sent.saturating_sub(left) as u64);
    }

    /// Puts logged batches into the head and tells their senders.
    fn apply(&self, admitted: Vec<Admitted>) {
        let mut sealer = self.sealer.lock();
        let catalog = self.head.catalog();
        let flushed_until_ms = self.head.flushed_until_ms();
        let mut times = TimeRange::EMPTY;
        let mut late = 0u64;
        let mut answers = Vec::with_capacity(admitted.len());
        let mut changes = self.changes.of_group();
        let mut evicted = None;
        for Admitted { batch, done, mut refused, known, mut failed, exemplars, exemplars_known, .. } in admitted {
            let exemplar_count = exemplars_known + exemplars.len() as u32;
            let mut outcome = Outcome { duplicates: known, exemplars: exemplar_count, ..Outcome::default() };
            if !exemplars.is_empty() {
                let made = self.exemplars.insert(exemplars.iter().map(|(series, exemplar)| (series, exemplar)));
                evicted.get_or_insert_with(Evicted::default).add(made);
            }
            for row in 0..batch.len() {
                if let Some(ahead) = batch.refs.get(row + AHEAD).and_then(|ahead| catalog.get(*ahead)) {
                    ahead.prefetch();
                }
                let Some(series) = catalog.get(batch.refs[row]) else {
                    failed = Some(EngineError::UnknownSeries);
                    continue;
                };
                let timestamp_ms = batch.timestamps_ms[row];
                changes.note(series.place, timestamp_ms);
                let row = Row { timestamp_ms, start_ms: batch.start_ms(row), value: batch.value(row) };
                match series.store(row, self.options.block_ms, &mut sealer) {
                    Ok(()) => {
                        outcome.stored += 1;
                        times = times.including(timestamp_ms);
                        late += u64::from(timestamp_ms < flushed_until_ms);
                    }
                    Err(source) => failed = Some(chunk_error(series, source)),
                }
            }
            refused.sort_unstable_by_key(|(row, ..)| *row);
            outcome.refused = refused.iter().map(|&(row, _, why)| (row, why)).collect();
            outcome.refused_series = refused.into_iter().map(|(_, series, _)| series).collect();
            self.count(&outcome);
            answers.push((done, failed.map_or(Ok(outcome), Err)));
        }
        drop(catalog);
        // Applied, and nobody has heard of it.
        drop(changes);
        sealer.hand_on();
        if let Some(evicted) = evicted {
            self.report_exemplars(evicted);
        }
        self.head.note_stored(times, late);
        for (done, answer) in answers {
            done(answer);
        }
    }

    fn count(&self, outcome: &Outcome) {
        self.metrics.stored.add(u64::from(outcome.stored));
        self.metrics.duplicates.add(u64::from(outcome.duplicates));
        self.metrics.exemplars_stored.add(u64::from(outcome.exemplars));
        for (_, refusal) in &outcome.refused {
            match refusal {
                Refusal::TooOld => self.metrics.refused_too_old.inc(),
                Refusal::TooFarAhead => self.metrics.refused_too_far_ahead.inc(),
                Refusal::Conflict => self.metrics.refused_conflict.inc(),
                Refusal::Counted => self.metrics.refused_counted.inc(),
            }
        }
    }

    /// Makes everything written durable; what [`Durability::Interval`](crate::Durability::Interval) leaves to a later moment.
    ///
    /// # Errors
    /// [`EngineError::Wal`]; after a failed sync the log takes nothing more until it is opened again.
    pub fn sync(&self) -> Result<(), EngineError> {
        self.log.with(Wal::sync)
    }

    /// Commits whatever is staged until [`stop`](Engine::stop) is called; the caller gives a thread for it.
    ///
    /// While a group is being synced the next one gathers, so the disk sets the size of groups and nobody waits
    /// for company.
    pub fn run_committer(&self) {
        self.log.run(|| self.commit_pending());
    }

    /// In [`Durability::Interval`](crate::Durability::Interval) syncs the log every 100 ms until [`stop`](Engine::stop) is called; otherwise
    /// returns at once. The caller gives a thread for it.
    ///
    /// Without such a thread the one that commits does it, and nothing is committed meanwhile.
    pub fn run_syncer(&self) {
        self.log.run_syncs();
    }

    /// Packs the samples that wait for it until [`stop`](Engine::stop) is called; the caller gives a thread for it. `report` hears of
    /// what cannot be packed: it stays as it is.
    ///
    /// Without such a thread [`maintain`](Engine::maintain) does it, and whoever commits if too many wait.
    pub fn run_sealer(&self, report: impl FnMut(EngineError)) {
        self.head.seal_until_ended(report);
    }

    /// Packs the samples that wait for it now. Commits go on meanwhile. Cost: some 1 us for a histogram of 160 buckets, 30 ns for a float.
    ///
    /// # Errors
    /// [`EngineError::Chunk`]; the next call goes on behind it.
    pub fn seal_waiting(&self) -> Result<(), EngineError> {
        let mut sealer = Sealer::default();
        while self.head.seal_next(&mut sealer)? {}
        Ok(())
    }
}

/// Neighbours of one series share a record.
fn log_exemplars(wal: &mut Wal, exemplars: &[(Labels, Exemplar)]) {
    for of_series in exemplars.chunk_by(|a, b| a.0 == b.0) {
        wal.log_exemplars(&of_series[0].0, &of_series.iter().map(|(_, exemplar)| exemplar).collect::<Vec<_>>());
    }
}

/// Takes out the points whose time is not acceptable: they must not reach the log, for a replay, which is later,
/// would judge them by another clock.
fn admit(staged: Staged, accepted: TimeRange) -> Admitted {
    let Staged { batch, done } = staged;
    let mut admitted = Admitted {
        batch,
        done,
        refused: Vec::new(),
        rows: None,
        known: 0,
        failed: None,
        exemplars: Vec::new(),
        exemplars_known: 0,
    };
    let batch = &admitted.batch;
    if batch.timestamps_ms.iter().all(|&t| accepted.contains(t)) {
        return admitted;
    }
    let refusal = |row: u32| match batch.timestamps_ms[row as usize] {
        time if time < accepted.mint => Some(Refusal::TooOld),
        time if time > accepted.maxt => Some(Refusal::TooFarAhead),
        _ => None,
    };
    let mut reasons = Vec::new();
    for point in batch.each_point() {
        if let Some(reason) = point.clone().find_map(refusal) {
            reasons.extend(point.map(|row| (row, batch.refs[row as usize], reason)));
        }
    }
    let gone: Vec<u32> = reasons.iter().map(|(row, ..)| *row).collect();
    admitted.refused = reasons;
    admitted.remove(&gone);
    admitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_refused_whole_and_what_is_left_keeps_its_numbers() {
        let mut batch = Batch::default();
        for (rows, timestamp_ms) in [(1, 5), (2, 0), (1, 99), (3, 6), (2, 7)] {
            let first = batch.len() as u32;
            (0..rows).for_each(|i| batch.push(SeriesRef(1), timestamp_ms - i64::from(i == 1 && rows == 2), 0.0));
            batch.end_point_of(first);
        }
        batch.companions.push(crate::Companion { series: SeriesRef(2), value: 1.0, step_ms: 1, rows: 1..9 });
        let staged = Staged { batch, done: Box::new(|_| ()) };
        let admitted = admit(staged, TimeRange::new(0, 10));
        let refused: Vec<_> = admitted.refused.iter().map(|(row, ..)| *row).collect();
        assert_eq!(refused, [1, 2, 3], "one row of the second point is too old");
        assert_eq!(admitted.rows, Some(vec![0, 4, 5, 6, 7, 8]));
        assert_eq!(admitted.batch.points, [1..4, 4..6]);
        assert_eq!(admitted.batch.companions[0].rows, 1..6);
        assert_eq!(admitted.batch.timestamps_ms, [5, 6, 6, 6, 7, 6]);
    }
}
