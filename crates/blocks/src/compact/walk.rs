//! The series of several blocks in one order, and where each block has them.

use crate::block::Block;
use crate::error::BlockError;
use mytsdb_model::Labels;
use std::sync::Arc;

/// A walk over all series of some blocks, ascending by labels.
#[derive(Debug)]
pub(super) struct Walk {
    /// The next series of each block, by ordinal.
    next: Vec<Option<(Labels, u32)>>,
    found: Vec<(usize, u32)>,
}

impl Walk {
    pub(super) fn new(blocks: &[Arc<Block>]) -> Result<Self, BlockError> {
        let next = blocks.iter().map(|block| series(block, 0)).collect::<Result<_, _>>()?;
        Ok(Self { next, found: Vec::new() })
    }

    /// The next label set; [`found`](Self::found) tells who has it.
    pub(super) fn next(&mut self, blocks: &[Arc<Block>]) -> Result<Option<Labels>, BlockError> {
        let Some(least) = self.next.iter().flatten().map(|(labels, _)| labels).min().cloned() else { return Ok(None) };
        self.found.clear();
        for (index, (next, block)) in self.next.iter_mut().zip(blocks).enumerate() {
            if let Some((_, ordinal)) = next.take_if(|(labels, _)| *labels == least) {
                self.found.push((index, ordinal));
                *next = series(block, ordinal + 1)?;
            }
        }
        Ok(Some(least))
    }

    /// Blocks by their index, and the ordinal that the series has there, in the order of the blocks.
    pub(super) fn found(&self) -> &[(usize, u32)] {
        &self.found
    }
}

fn series(block: &Block, ordinal: u32) -> Result<Option<(Labels, u32)>, BlockError> {
    if ordinal < block.meta().series_count { Ok(Some((block.labels(ordinal)?, ordinal))) } else { Ok(None) }
}
