//! The scrub: reads all blocks now and then, and finds damage before a query does.

use super::Blocks;
use super::compact::set_aside;
use super::open::note_one;
use super::served::Served;
use crate::EngineError;
use mytsdb_blocks::{Block, BlockError};
use mytsdb_model::TimeRange;
use mytsdb_stop::StopSign;
use std::sync::Arc;

/// What a scrub went through and found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Scrubbed {
    /// Blocks that were read.
    pub blocks: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Chunks that are damaged, known ones too.
    pub damaged_chunks: u64,
    /// Blocks that are damaged in other parts and were set aside.
    pub set_aside: usize,
}

impl Blocks {
    /// Reads all blocks that are served when it begins. A damaged chunk is noted: it is left out of answers, with a warning. A block of
    /// which another part is damaged is moved to `quarantine/`, and `gone` hears its id: what an index says could be anything then.
    ///
    /// `pace` hears how many bytes have been read since it was last asked, and may wait; `stop` is asked as often.
    ///
    /// # Errors
    /// [`EngineError::Canceled`]; [`EngineError::Io`] or [`EngineError::Block`] if the disk refuses.
    pub(crate) fn scrub(
        &self,
        stop: StopSign<'_>,
        pace: &mut dyn FnMut(u64),
        gone: impl Fn(u64),
    ) -> Result<Scrubbed, EngineError> {
        let mut done = Scrubbed::default();
        for served in self.list().iter() {
            stop.check()?;
            // Opening checks everything but the chunks. The file may have been removed since: by a merge, or because it expired.
            let opened = match Block::open(&*self.disk, served.block().path()) {
                Err(BlockError::Io { .. }) if !self.is_served(served) => continue,
                opened => opened,
            };
            match opened.and_then(|block| scrub_chunks(&block, stop, pace).map(|found| (found, block))) {
                Ok((damaged, block)) => {
                    done.damaged_chunks += damaged.len() as u64;
                    for (range, error) in damaged {
                        self.damages.confine(&error, range);
                    }
                    done.bytes += block.meta().bytes;
                }
                Err(BlockError::Corrupt { .. }) => {
                    if self.set_aside(served)? {
                        done.set_aside += 1;
                        gone(served.meta().id);
                    }
                }
                Err(error) => return Err(error.into()),
            }
            done.blocks += 1;
            self.metrics.scrubbed_blocks.inc();
        }
        Ok(done)
    }

    fn is_served(&self, served: &Served) -> bool {
        self.list().iter().any(|block| Arc::ptr_eq(block.block(), served.block()))
    }

    /// Takes a block out of service and moves its file away; false if somebody else has taken it out.
    fn set_aside(&self, served: &Served) -> Result<bool, EngineError> {
        let mut retired = self.retired.lock();
        // A record on the disk relies on its outputs being there.
        self.finish_retired_with(&mut retired)?;
        if !self.is_served(served) {
            return Ok(false);
        }
        let to = set_aside(&*self.disk, served.block().path(), &self.options.data_dir.join("quarantine"))?;
        note_one(&*self.disk, &to, &self.damages);
        let id = served.meta().id;
        self.set.exchange(|block| block.meta().id == id, Vec::new());
        self.changes.note_range(served.meta().range);
        self.report();
        Ok(true)
    }
}

/// Reads all chunks of a block; those that are damaged, with their times.
fn scrub_chunks(
    block: &Block,
    stop: StopSign<'_>,
    pace: &mut dyn FnMut(u64),
) -> Result<Vec<(TimeRange, BlockError)>, BlockError> {
    let (mut damaged, mut chunks) = (Vec::new(), Vec::new());
    let meta = block.meta();
    let chunk_bytes = meta.bytes / meta.chunk_count.max(1);
    for ordinal in 0..meta.series_count {
        stop.check()?;
        chunks.clear();
        block.chunks_into(ordinal, TimeRange::ALL, &mut chunks)?;
        for chunk in &chunks {
            match block.read_chunk(chunk) {
                Ok(_) => {}
                Err(error @ BlockError::DamagedChunk { .. }) => damaged.push((chunk.range, error)),
                Err(error) => return Err(error),
            }
        }
        pace(chunks.len() as u64 * chunk_bytes);
    }
    Ok(damaged)
}
