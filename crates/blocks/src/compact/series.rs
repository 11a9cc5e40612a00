//! The samples of one series out of several blocks.

use super::{Compacted, Compaction, START, keep};
use crate::block::Block;
use crate::chunk::ChunkMeta;
use crate::error::BlockError;
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::TimeRange;
use std::sync::Arc;

/// Reads series; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub(super) struct SeriesReader {
    chunks: Vec<ChunkMeta>,
    hidden: Vec<TimeRange>,
    sources: Vec<Mark>,
    /// What one block has, if a part of it is hidden.
    part: Columns,
}

impl SeriesReader {
    /// Puts what is left of a series, in order and each time once, into `out`, which is empty.
    pub(super) fn read(
        &mut self,
        blocks: &[Arc<Block>],
        found: &[(usize, u32)],
        how: &Compaction<'_>,
        out: &mut Columns,
        done: &mut Compacted,
    ) -> Result<(), BlockError> {
        self.sources.clear();
        for &(index, ordinal) in found {
            let block = &blocks[index];
            self.sources.push(out.mark());
            self.chunks.clear();
            block.chunks_into(ordinal, how.range, &mut self.chunks)?;
            self.hidden.clear();
            (how.hidden)(index, ordinal, &mut self.hidden);
            let hides = !self.hidden.is_empty();
            if hides {
                self.part.clear();
            }
            for chunk in &self.chunks {
                how.stop.check()?;
                if self.hidden.iter().any(|hidden| hidden.encloses(chunk.range)) {
                    continue;
                }
                done.bytes_read += u64::from(chunk.bytes);
                done.samples_read += u64::from(chunk.sample_count);
                block.read_samples(chunk, if hides { &mut self.part } else { out })?;
            }
            if hides {
                self.part.sort_and_dedup(&[START]);
                keep(&self.part, how.range, &mut self.hidden, out);
            }
        }
        out.sort_and_dedup(&self.sources);
        out.clip(START, how.range);
        Ok(())
    }
}
