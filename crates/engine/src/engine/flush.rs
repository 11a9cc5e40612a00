//! The hand-over: what is old enough leaves the head for blocks, part by part, and the log behind it is freed.
//!
//! The order is what makes a crash at any step harmless:
//!
//! 1. cut the log: everything before the new segment is applied to the head by now;
//! 2. for each part, a range of series in the order of labels:
//!    a. write a block for each day that has samples: sync, rename, sync the folder, re-read it;
//!    b. serve the blocks, then drop their samples from the head (a query in between sees both, and merges);
//! 3. write a checkpoint of what is left in the head, publish it;
//! 4. delete the log before the cut, and the older checkpoint.
//!
//! A crash before 3 replays the old log over the new blocks: the same samples twice, which a read merges. `docs/flush.md` has the rest.

#[cfg(test)]
mod tests;

use super::Engine;
use crate::EngineError;
use crate::blocks::Ids;
use crate::head::{FrozenSeries, MemSeries, Parts, Sealer, chunk_error, freeze_before};
use crate::source::SourceId;
use mytsdb_blocks::{Block, ChunkRef, Tombstone};
use mytsdb_columns::Columns;
use mytsdb_model::TimeRange;
use mytsdb_wal::Wal;
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most samples of a chunk in a block: long enough for the codec to pay, short enough to decode for a single window.
const CHUNK_SAMPLES: usize = 1_024;

/// Time between two looks at the size of the head, each of which visits every series.
const HEAD_LOOK: Duration = Duration::from_mins(1);

/// Most blocks of one flush; what is younger then shares the last one.
const BLOCKS_MAX: usize = 64;

/// What the flush remembers from one time to the next. Locked while a part is flushed and while series leave the head, before
/// the ids of blocks.
#[derive(Debug, Default)]
pub(super) struct FlushState {
    /// The last checkpoint, which stands for all segments of lower ids.
    log_from: u64,
    /// The youngest tombstone, and the youngest of which nothing is in the log: a checkpoint has been written since.
    tombstone: u64,
    checkpointed_tombstone: u64,
}

impl FlushState {
    pub(super) fn new(log_from: u64) -> Self {
        Self { log_from, ..Self::default() }
    }

    /// Notes a deletion: no part is being flushed.
    pub(super) fn note(&mut self, tombstone: &Tombstone) {
        self.tombstone = tombstone.id;
    }

    /// Whether the log has nothing that a tombstone hides.
    pub(super) fn is_behind(&self, tombstone: &Tombstone) -> bool {
        self.log_from > tombstone.segments_below || self.checkpointed_tombstone >= tombstone.id
    }
}

/// What [`Engine::maintain`] did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// Samples that went into a block.
    pub flushed_samples: u64,
    /// Series that left the head for want of samples.
    pub removed_series: usize,
    /// Blocks deleted because the retention had passed.
    pub expired_blocks: usize,
}

impl Engine {
    /// Flushes what is due and deletes what has expired. Meant to be called every few seconds; when nothing is
    /// due it costs a comparison.
    ///
    /// # Errors
    /// [`EngineError::Block`] or [`EngineError::Wal`]; nothing is lost then, and the next call tries again.
    pub fn maintain(&self) -> Result<Maintenance, EngineError> {
        let mut done = Maintenance::default();
        match self.room.check() {
            Ok(()) => {
                // A failure to lay down the ballast stops nothing else; the next call tries again.
                if self.room.keep_ballast().is_err() {
                    self.metrics.disk_ballast_failures.inc();
                }
            }
            // The flush is done even then, because it frees the log.
            Err(EngineError::DiskLow { .. }) => {}
            Err(error) => return Err(error),
        }
        let (cache_bytes, cache_entries) = self.reader.cache_level();
        self.metrics.selection_cache_bytes.set(cache_bytes as f64);
        self.metrics.selection_cache_entries.set(cache_entries as f64);
        self.metrics.unsealed_bytes.set(self.head.unsealed_bytes() as f64);
        self.seal_waiting()?;
        self.look_at_head();
        let cut_ms = self.due_cut_ms();
        let crossed = cut_ms > self.head.flushed_until_ms();
        let crowded = self.head.late_samples() >= self.options.late_samples_max;
        if (crossed && !self.head.has_nothing_before(cut_ms)) || crowded {
            let flushed = self.flush_before(cut_ms).inspect_err(|_| self.metrics.flush_failures.inc())?;
            (done.flushed_samples, done.removed_series) = flushed;
        }
        let forget = |id| self.reader.forget(SourceId::Block(id));
        done.expired_blocks = self.blocks.expire(self.settled_now_ms(), self.log.bytes(), forget)?;
        self.retire_tombstones()?;
        Ok(done)
    }

    /// Tells how large the head is, unless it did so lately.
    fn look_at_head(&self) {
        let mut looked_at = self.head_looked_at.lock();
        if looked_at.is_none_or(|at| at.elapsed() >= HEAD_LOOK) {
            self.metrics.head_bytes.set(self.head.chunk_bytes() as f64);
            *looked_at = Some(Instant::now());
        }
    }

    /// The end of the last span whose samples should be in a block by now.
    fn due_cut_ms(&self) -> i64 {
        let settled = self.settled_now_ms().saturating_sub(self.options.flush_delay_ms);
        settled.div_euclid(self.options.block_ms).saturating_mul(self.options.block_ms)
    }

    /// Now, or the time of the newest sample if that is earlier. The clock alone must not decide: if it jumps ahead, samples that
    /// are not old would be flushed and deleted.
    pub fn settled_now_ms(&self) -> i64 {
        self.clock.now_ms().min(self.head.newest_ms())
    }

    /// Moves every sample before `cut_ms` into blocks; tells how many samples, and how many series left the head.
    ///
    /// # Errors
    /// As [`maintain`](Engine::maintain). Parts that were handed over before the error stay so.
    pub fn flush_before(&self, cut_ms: i64) -> Result<(u64, usize), EngineError> {
        self.flush_in_parts(cut_ms, || ())
    }

    /// The same; `between` is called after each part and in the middle of the checkpoint: where others may have the state of the flush.
    fn flush_in_parts(&self, cut_ms: i64, mut between: impl FnMut()) -> Result<(u64, usize), EngineError> {
        // A deletion may come between two parts and beside the checkpoint, another flush may not.
        let _turn = self.flush_turn.lock();
        let start = Instant::now();
        let mut state = self.flushing.lock();
        let youngest_tombstone = state.tombstone;
        let first_segment = self.log.with(Wal::rotate)?;

        let all = self.head.all();
        let parts = Parts::of(&all, self.options.flush_part_bytes);
        let unfinished = self.blocks.begin_flush();
        let mut flushed = 0;
        for part in parts.each(&all) {
            flushed += self.flush_part(cut_ms, part)?;
            MutexGuard::unlocked_fair(&mut state, &mut between);
        }
        drop(unfinished);
        MutexGuard::unlocked_fair(&mut state, || self.checkpoint(first_segment, &all, between))?;
        state.log_from = first_segment.0;
        // Of a deletion that came meanwhile the log behind the cut still has samples.
        state.checkpointed_tombstone = youngest_tombstone;
        self.head.note_flushed(cut_ms);
        drop(all);
        let removed = self.head.remove_idle();
        if removed > 0 {
            self.reader.forget_live();
        }
        self.blocks.report();
        self.metrics.flushes.inc();
        self.metrics.flush_seconds.observe(start.elapsed().as_secs_f64());
        Ok((flushed, removed))
    }

    /// Moves what some series have before a time into blocks; tells how many samples. The caller has the state of the flush.
    fn flush_part(&self, cut_ms: i64, part: &[Arc<MemSeries>]) -> Result<u64, EngineError> {
        let mut ids = self.blocks.ids();
        let frozen = freeze_before(cut_ms, part)?;
        if frozen.series.is_empty() {
            return Ok(0);
        }
        let blocks = self.write_blocks(&mut ids, &frozen)?;
        let flushed = blocks.iter().map(|block| block.meta().sample_count).sum();
        self.head.hand_over(frozen, || {
            // Between two groups: a group that looks for the value of a late sample finds it in the head or in
            // the blocks it lists, never in neither.
            let _between_groups = self.log.writer();
            self.blocks.serve_new(blocks)
        })?;
        // A merge that waits for an id gets its turn.
        MutexGuard::unlock_fair(ids);
        Ok(flushed)
    }

    /// A block for each day that has samples, so that compaction finds no block that crosses its grid.
    fn write_blocks(&self, ids: &mut Ids, frozen: &FrozenSeries) -> Result<Vec<Arc<Block>>, EngineError> {
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let mut next_ms = frozen.first_ms;
        for count in 1..=BLOCKS_MAX {
            let Some(first_ms) = next_ms else { break };
            let maxt = if count == BLOCKS_MAX { i64::MAX } else { self.blocks.day(first_ms).maxt };
            let (block, rest_ms) = self.write_block(ids.set_aside(1), TimeRange::new(first_ms, maxt), frozen)?;
            blocks.extend(block);
            next_ms = rest_ms;
        }
        Ok(blocks)
    }

    /// Writes what is frozen in a range, series by series: no more than one is held twice. No block if there are no samples; and
    /// what of the rest is the first.
    fn write_block(
        &self,
        id: u64,
        range: TimeRange,
        frozen: &FrozenSeries,
    ) -> Result<(Option<Arc<Block>>, Option<i64>), EngineError> {
        let mut writer = self.blocks.writer(id)?;
        let mut columns = Columns::default();
        let mut sealer = Sealer::default();
        let mut rest_ms: Option<i64> = None;
        for (series, part) in &frozen.series {
            let chunks = if let Some(only) = series.only_frozen_chunk(*part, range) {
                vec![only]
            } else {
                columns.clear();
                let rest = series.frozen_samples(*part, range, &mut columns).map_err(|e| chunk_error(series, e))?;
                rest_ms = rest.map_or(rest_ms, |rest| Some(rest_ms.map_or(rest, |first| first.min(rest))));
                sealer.seal(&columns, CHUNK_SAMPLES).map_err(|e| chunk_error(series, e))?
            };
            let chunks = chunks.iter().map(|c| ChunkRef {
                range: c.range,
                sample_count: c.sample_count,
                encoding: c.encoding.number(),
                bytes: &c.bytes,
            });
            writer.add_series(&series.labels, chunks)?;
        }
        let block = if writer.series_count() == 0 { None } else { Some(writer.finish()?) };
        Ok((block, rest_ms))
    }
}
