//! Compaction: several blocks become one, without any effect on answers. `docs/compaction.md` has the rules.

mod grid;
mod plan;
mod publish;
mod settle;
mod state;
#[cfg(test)]
mod tests;

pub(super) use grid::Grid;
pub(super) use settle::{set_aside, settle};
pub(super) use state::{CompactState, Retired};

use super::Blocks;
use super::served::Served;
use crate::EngineError;
use mytsdb_blocks::{Block, BlockError, Compacted, Compaction, CompactionRecord, compact};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_stop::StopSign;
use plan::{Facts, Plan, Situation};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// Room that must be free on the disk beyond the size of what is merged, in bytes; the disk floor if that is more.
const SPARE_BYTES: u64 = 64 << 20;

/// The place of a block of which is not known which labels it has.
const ALL_LABELS: [u32; 2] = [0, u32::MAX];

/// What [`Engine::compact`](crate::Engine::compact) did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CompactionDone {
    /// Blocks that were replaced.
    pub blocks_in: usize,
    /// Blocks that took their place.
    pub blocks_out: usize,
    /// Size of the former.
    pub bytes_in: u64,
    /// Size of the latter.
    pub bytes_out: u64,
    /// Samples of the new blocks.
    pub samples: u64,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whatever is worth it.
    All,
    /// Blocks of which something is deleted, and those that Rule S asks for beside them.
    Deleted,
}

/// A merge that has been decided on: blocks, and ids for what comes of them.
struct Job {
    inputs: Vec<Arc<Served>>,
    ranges: Vec<TimeRange>,
    /// The first of as many ids as there are ranges.
    first_id: u64,
}

/// What a merge did, and which blocks are no longer served.
pub(crate) struct Merged {
    pub(crate) done: CompactionDone,
    pub(crate) gone: Vec<u64>,
}

impl Blocks {
    /// Merges some blocks, if that is worth it now; `None` if not. `flushed_until_ms` is a time before which no flush writes
    /// anything but late samples. [`Engine::compact`](crate::Engine::compact) says the rest.
    ///
    /// # Errors
    /// [`EngineError::Block`] or [`EngineError::Io`]: blocks are as they were. [`EngineError::Canceled`].
    pub(crate) fn compact(
        &self,
        wanted: Wanted,
        flushed_until_ms: i64,
        stop: StopSign<'_>,
        pace: &mut dyn FnMut(u64),
    ) -> Result<Option<Merged>, EngineError> {
        let mut state = self.compacting.lock();
        self.finish_retired()?;
        let Some(job) = self.next_job((wanted, flushed_until_ms), &state.failed)? else { return Ok(None) };
        let start = Instant::now();
        self.metrics.compaction_running.set(1.0);
        let done = self.run(&job, stop, pace);
        self.metrics.compaction_running.set(0.0);
        self.metrics.compaction_seconds.observe(start.elapsed().as_secs_f64());
        match done {
            Ok(done) => {
                self.metrics.compactions.inc();
                self.metrics.compaction_blocks_in.add(done.blocks_in as u64);
                self.metrics.compaction_blocks_out.add(done.blocks_out as u64);
                self.metrics.compaction_bytes_in.add(done.bytes_in);
                self.metrics.compaction_bytes_out.add(done.bytes_out);
                let gone = job.inputs.iter().map(|block| block.meta().id).collect();
                Ok(Some(Merged { done, gone }))
            }
            Err(EngineError::Canceled) => Err(EngineError::Canceled),
            Err(error) => {
                self.metrics.compaction_failures.inc();
                if is_lasting(&error) {
                    state.failed.extend(job.inputs.iter().map(|block| block.meta().id));
                }
                Err(error)
            }
        }
    }

    /// Decides what is merged next.
    fn next_job(&self, wanted: (Wanted, i64), failed: &HashSet<u64>) -> Result<Option<Job>, EngineError> {
        // Looks first without waiting for a flush: mostly there is nothing to do.
        if self.plan(wanted, failed)?.is_none() {
            return Ok(None);
        }
        // No part of a flush is being written whose ids are lower than those set aside here.
        let mut ids = self.ids.lock();
        let mut left_alone = Cow::Borrowed(failed);
        if let (Some(from), Wanted::All) = (ids.unfinished_from, wanted.0) {
            // More of these are to come: merged now, they would be merged again.
            left_alone.to_mut().extend(from..ids.next);
        }
        let Some(Plan { inputs: planned, ranges }) = self.plan(wanted, &left_alone)? else { return Ok(None) };
        let blocks = self.list();
        let inputs: Vec<Arc<Served>> = blocks.iter().filter(|b| planned.contains(&b.meta().id)).cloned().collect();
        if inputs.len() < planned.len() {
            // Some have expired or moved to a tier since. The next look plans without them.
            return Ok(None);
        }
        let needed =
            inputs.iter().map(|b| b.meta().bytes).sum::<u64>().saturating_add(SPARE_BYTES.max(self.floor_bytes));
        let dir = self.dir();
        if self.disk.free_bytes(&dir).map_err(|e| EngineError::io("look for room in", &dir, e))? < needed {
            self.metrics.compactions_postponed.inc();
            return Ok(None);
        }
        let first_id = ids.set_aside(ranges.len() as u64);
        Ok(Some(Job { inputs, ranges, first_id }))
    }

    fn plan(
        &self,
        (wanted, flushed_until_ms): (Wanted, i64),
        failed: &HashSet<u64>,
    ) -> Result<Option<Plan>, EngineError> {
        let blocks = self.list();
        let blocks: Vec<&Arc<Served>> = blocks.iter().filter(|block| !block.meta().range.is_empty()).collect();
        let labels = places_of_labels(&blocks)?;
        let facts: Vec<Facts> =
            blocks.iter().zip(labels).map(|(block, labels)| Facts { labels, ..facts(block, wanted) }).collect();
        let flushed_until_ms = flushed_until_ms.max(self.maxt_ms());
        let situation = Situation { blocks: &facts, grid: self.grid(), flushed_until_ms, failed };
        Ok(match wanted {
            Wanted::All => situation.plan(),
            Wanted::Deleted => situation.outdated(),
        })
    }

    /// Writes the outputs and exchanges them for the inputs; after an error it is as if nothing had been tried.
    fn run(&self, job: &Job, stop: StopSign<'_>, pace: &mut dyn FnMut(u64)) -> Result<CompactionDone, EngineError> {
        let record = CompactionRecord {
            id: job.first_id,
            state: mytsdb_blocks::CompactionState::Pending,
            outputs: (job.first_id..job.first_id + job.ranges.len() as u64).collect(),
            inputs: job.inputs.iter().map(|block| block.meta().id).collect(),
        };
        let dir = self.dir();
        let mut outputs = Vec::new();
        let done = record
            .publish(&*self.disk, &dir)
            .map_err(EngineError::from)
            .and_then(|()| self.write_outputs(job, stop, pace, &mut outputs))
            .and_then(|()| self.publish_outputs(&record, &job.inputs, &outputs));
        if let Err(error) = done {
            self.discard(&record, &outputs);
            return Err(error);
        }
        self.report();
        Ok(CompactionDone {
            blocks_in: job.inputs.len(),
            blocks_out: outputs.len(),
            bytes_in: job.inputs.iter().map(|block| block.meta().bytes).sum(),
            bytes_out: outputs.iter().map(|block| block.meta().bytes).sum(),
            samples: outputs.iter().map(|block| block.meta().sample_count).sum(),
        })
    }

    fn write_outputs(
        &self,
        job: &Job,
        stop: StopSign<'_>,
        pace: &mut dyn FnMut(u64),
        outputs: &mut Vec<Arc<Block>>,
    ) -> Result<(), EngineError> {
        let inputs: Vec<Arc<Block>> = job.inputs.iter().map(|served| served.block().clone()).collect();
        for (id, &range) in (job.first_id..).zip(&job.ranges) {
            let mut writer = self.writer(id)?;
            let mut written = 0;
            let how = &mut Compaction {
                range,
                hidden: &|input, ordinal, out| job.inputs[input].hidden_into(ordinal, out),
                stop,
                pace: &mut |bytes| {
                    pace(bytes - written);
                    written = bytes;
                },
            };
            let Compacted { series_count, .. } = compact(&inputs, &mut writer, how)?;
            stop.check()?;
            if series_count > 0 {
                outputs.push(writer.finish()?);
            }
        }
        Ok(())
    }
}

/// What is known of a block but for its place among labels.
fn facts(block: &Served, wanted: Wanted) -> Facts {
    let meta = block.meta();
    let is_outdated = block.hides() || wanted == Wanted::All && block.block().is_outdated();
    Facts { id: meta.id, range: meta.range, labels: ALL_LABELS, bytes: meta.bytes, is_outdated }
}

/// The labels of the first and the last series of each block, as places in the order of all these labels.
fn places_of_labels(blocks: &[&Arc<Served>]) -> Result<Vec<[u32; 2]>, EngineError> {
    let ends = |block: &&Arc<Served>| {
        let last = block.meta().series_count.saturating_sub(1);
        // Damaged labels may be any.
        Ok(block.labels(0)?.zip(block.labels(last)?))
    };
    let ends: Vec<Option<(Labels, Labels)>> = blocks.iter().map(ends).collect::<Result<_, EngineError>>()?;
    let mut all: Vec<&Labels> = ends.iter().flatten().flat_map(|(first, last)| [first, last]).collect();
    all.sort_unstable();
    let place = |labels: &Labels| all.partition_point(|other| *other < labels) as u32;
    Ok(ends.iter().map(|ends| ends.as_ref().map_or(ALL_LABELS, |(first, last)| [place(first), place(last)])).collect())
}

/// Whether the same merge would fail again.
fn is_lasting(error: &EngineError) -> bool {
    match error {
        EngineError::Block(error) => !matches!(**error, BlockError::Io { .. }),
        _ => false,
    }
}
