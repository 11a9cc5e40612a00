//! The hand-over: what is old enough leaves the head for a block, and the log behind it is freed.
//!
//! The order is what makes a crash at any step harmless:
//!
//! 1. cut the log: everything before the new segment is applied to the head by now;
//! 2. write a block for each day that has samples: sync, rename, sync the folder, re-read it;
//! 3. serve the blocks, then drop their samples from the head (a query in between sees both, and merges);
//! 4. write a checkpoint of what is left in the head, publish it;
//! 5. delete the log before the cut, and the older checkpoint.
//!
//! A crash before 4 replays the old log over the new block: the same samples twice, which a read merges.

use crate::chunk::Sealer;
use crate::head::{Frozen, MemSeries};
use crate::records::log_columns;
use crate::served::Served;
use crate::{Engine, EngineError};
use mytsdb_blocks::{Block, BlockWriter, ChunkRef, Tombstone};
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::TimeRange;
use mytsdb_stop::StopSign;
use mytsdb_wal::Wal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Most samples of a chunk in a block: long enough for the codec to pay, short enough to decode for a single window.
const CHUNK_SAMPLES: usize = 1_024;

/// Most blocks of one flush; what is younger then shares the last one.
const BLOCKS_MAX: usize = 64;

/// Rows of a checkpoint that are encoded together.
const CHECKPOINT_ROWS: usize = 16_384;

/// What the flush remembers from one time to the next.
#[derive(Debug, Default)]
pub(crate) struct FlushState {
    next_block_id: u64,
    /// The last checkpoint, which stands for all segments of lower ids.
    log_from: u64,
    /// The youngest tombstone, and the youngest of which nothing is in the log: a checkpoint has been written since.
    tombstone: u64,
    checkpointed_tombstone: u64,
}

impl FlushState {
    pub(crate) fn new(next_block_id: u64, log_from: u64) -> Self {
        Self { next_block_id, log_from, ..Self::default() }
    }

    /// No block has this id or a higher one.
    pub(crate) fn next_block_id(&self) -> u64 {
        self.next_block_id
    }

    /// Notes a deletion: no flush is under way.
    pub(crate) fn note(&mut self, tombstone: &Tombstone) {
        self.tombstone = tombstone.id;
    }

    /// Whether the log has nothing that a tombstone hides.
    pub(crate) fn is_behind(&self, tombstone: &Tombstone) -> bool {
        self.log_from > tombstone.segments_below || self.checkpointed_tombstone >= tombstone.id
    }

    /// The first of `count` ids that nobody else gets.
    pub(crate) fn set_aside(&mut self, count: u64) -> u64 {
        self.next_block_id += count;
        self.next_block_id - count
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
        match self.check_floor() {
            // A flush frees the log: it is done even then.
            Ok(()) | Err(EngineError::DiskLow { .. }) => {}
            Err(error) => return Err(error),
        }
        let cut_ms = self.due_cut_ms();
        let crossed = cut_ms > self.flushed_until_ms.load(Ordering::Acquire);
        let crowded = self.late_samples.load(Ordering::Relaxed) >= self.options.late_samples_max;
        if crossed || crowded {
            let flushed = self.flush_before(cut_ms).inspect_err(|_| self.metrics.flush_failures.inc())?;
            (done.flushed_samples, done.removed_series) = flushed;
        }
        done.expired_blocks = self.expire()?;
        self.retire_tombstones()?;
        Ok(done)
    }

    /// The end of the last span whose samples should be in a block by now.
    fn due_cut_ms(&self) -> i64 {
        // The clock alone must not decide: a jump ahead would flush, and expire, what is not old.
        let now_ms = self.clock.now_ms().min(self.newest_ms.load(Ordering::Relaxed));
        let settled = now_ms.saturating_sub(self.options.flush_delay_ms);
        settled.div_euclid(self.options.block_ms).saturating_mul(self.options.block_ms)
    }

    /// Moves every sample before `cut_ms` into a block; tells how many samples, and how many series left the head.
    ///
    /// # Errors
    /// As [`maintain`](Engine::maintain).
    pub fn flush_before(&self, cut_ms: i64) -> Result<(u64, usize), EngineError> {
        let mut state = self.flushing.lock();
        let start = Instant::now();
        let first_segment = self.with_log(Wal::rotate)?;

        let mut all = self.ask_head(|view| view.select(&[], StopSign::NEVER))?;
        all.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let mut frozen: Vec<(Arc<MemSeries>, Frozen)> = Vec::new();
        let mut sealer = Sealer::default();
        for series in &all {
            if let Some(part) = series.freeze_before(cut_ms, &mut sealer).map_err(|e| chunk_error(series, e))? {
                frozen.push((series.clone(), part));
            }
        }
        let mut flushed = 0;
        if !frozen.is_empty() {
            let blocks = self.write_blocks(&mut state, &frozen)?;
            flushed = blocks.iter().map(|block| block.meta().sample_count).sum();
            // No deletion is about them: it would have been under way since before their samples were frozen.
            let serve = |block| Served::new(block, []).map(Arc::new);
            let blocks = blocks.into_iter().map(serve).collect::<Result<_, _>>()?;
            {
                // Between two groups: a group that looks for the value of a late sample finds it in the head or in
                // the blocks it lists, never in neither.
                let _between_groups = self.committer.lock();
                self.blocks.exchange(|_| false, blocks);
            }
            // AcqRel, before the first drop: pairs with the Acquire in `Selection::read`.
            self.drops.fetch_add(1, Ordering::AcqRel);
            for (series, part) in &frozen {
                series.drop_frozen(part);
            }
            drop(frozen);
        }
        self.checkpoint(first_segment, &all)?;
        state.log_from = first_segment.0;
        state.checkpointed_tombstone = state.tombstone;
        self.late_samples.store(0, Ordering::Relaxed); // only steers when to flush
        self.flushed_until_ms.fetch_max(cut_ms, Ordering::Release); // pairs with the Acquire in `maintain`
        let removed = self.remove_idle();
        self.report_blocks();
        self.metrics.flushes.inc();
        self.metrics.flush_seconds.observe(start.elapsed().as_secs_f64());
        Ok((flushed, removed))
    }

    /// A block for each day that has samples, so that compaction finds no block that crosses its grid.
    fn write_blocks(
        &self,
        state: &mut FlushState,
        frozen: &[(Arc<MemSeries>, Frozen)],
    ) -> Result<Vec<Arc<Block>>, EngineError> {
        let grid = self.grid();
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let mut from_ms = i64::MIN;
        for count in 1..=BLOCKS_MAX {
            let first_ms = frozen.iter().filter_map(|(_, part)| part.first_from(from_ms)).min();
            let Some(first_ms) = first_ms else { break };
            let maxt = if count == BLOCKS_MAX { i64::MAX } else { grid.day(first_ms).maxt };
            blocks.extend(self.write_block(state.set_aside(1), TimeRange::new(first_ms, maxt), frozen)?);
            let Some(next_ms) = maxt.checked_add(1) else { break };
            from_ms = next_ms;
        }
        Ok(blocks)
    }

    /// `None` if there are no samples in the range.
    fn write_block(
        &self,
        id: u64,
        range: TimeRange,
        frozen: &[(Arc<MemSeries>, Frozen)],
    ) -> Result<Option<Arc<Block>>, EngineError> {
        let mut writer = BlockWriter::new(self.disk.clone(), &self.blocks_dir(), id)?;
        let mut columns = Columns::default();
        let mut sealer = Sealer::default();
        for (series, part) in frozen.iter().filter(|(_, part)| part.overlaps(range)) {
            columns.clear();
            let chunks = part
                .samples(&mut columns)
                .and_then(|()| {
                    columns.clip(Mark::default(), range);
                    sealer.seal(&columns, CHUNK_SAMPLES)
                })
                .map_err(|e| chunk_error(series, e))?;
            let chunks = chunks.iter().map(|c| ChunkRef {
                range: c.range,
                sample_count: c.sample_count,
                encoding: c.encoding.number(),
                bytes: &c.bytes,
            });
            writer.add_series(&series.labels, chunks)?;
        }
        Ok(if writer.series_count() == 0 { None } else { Some(writer.finish()?) })
    }

    /// Writes what the head still has, so that the log before `first_segment` can go.
    fn checkpoint(&self, first_segment: mytsdb_wal::SegmentId, all: &[Arc<MemSeries>]) -> Result<(), EngineError> {
        let mut writer = self.committer.lock().wal.checkpoint(first_segment)?;
        let mut columns = Columns::default();
        let mut refs = Vec::with_capacity(CHECKPOINT_ROWS);
        for series in all {
            writer.log_series(series.series, &series.labels)?;
        }
        for series in all {
            let from = columns.mark();
            series.read(TimeRange::ALL, &mut columns).map_err(|e| chunk_error(series, e))?;
            if !columns.histograms.is_empty() || !columns.start_timestamps_ms.is_empty() {
                let own = columns.split_off(from);
                columns.start_timestamps_ms.clear();
                log_columns(&mut writer, (series.series, &series.labels), &own)?;
            }
            refs.resize(columns.timestamps_ms.len(), series.series);
            if refs.len() >= CHECKPOINT_ROWS {
                writer.log_samples(&refs, &columns.timestamps_ms, &columns.values)?;
                refs.clear();
                columns.clear();
            }
        }
        writer.log_samples(&refs, &columns.timestamps_ms, &columns.values)?;
        writer.publish()?;
        self.with_log(|wal| wal.truncate_before(first_segment))
    }

    /// Removes series without samples that nobody asked for in this epoch or the one before, and opens the next.
    fn remove_idle(&self) -> usize {
        // New epoch first: whoever resolves from here on protects its series from this very pass.
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
        let mut catalog = self.catalog.write();
        let removed = catalog.remove_idle(|s| s.touched_epoch() + 1 < epoch && s.range().is_empty());
        self.metrics.series.set(catalog.len() as f64);
        self.metrics.series_removed.add(removed as u64);
        drop(catalog);
        if removed > 0 {
            self.selections.forget_head();
        }
        removed
    }

    pub(crate) fn report_blocks(&self) {
        let blocks = self.blocks.list();
        self.metrics.blocks.set(blocks.len() as f64);
        self.metrics.block_bytes.set(blocks.iter().map(|b| b.meta().bytes).sum::<u64>() as f64);
    }
}

fn chunk_error(series: &MemSeries, source: mytsdb_codec::CodecError) -> EngineError {
    EngineError::Chunk { series: series.labels.to_string(), source }
}
