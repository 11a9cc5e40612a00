//! One read path over head and blocks.

use crate::block_set::{BlockList, read_ordinal, read_series};
use crate::head::MemSeries;
use crate::{Engine, EngineError, merge};
use mytsdb_model::{Labels, Matcher, TimeRange};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One series of a selection, and where its samples are.
struct Selected {
    labels: Labels,
    /// `(index into the selection's blocks, ordinal in that block)`, blocks ascending.
    parts: Vec<(u32, u32)>,
    head: Option<Arc<MemSeries>>,
}

/// One place where a series was found: its labels, and its place in a block or its series in the head.
struct Found {
    labels: Labels,
    part: Option<(u32, u32)>,
    head: Option<Arc<MemSeries>>,
}

/// The series that satisfy some matchers and have samples in a range, ascending by labels.
///
/// It pins what it needs: blocks that expire and series that leave the head stay readable through it. It sees
/// samples that are stored after it was made.
pub struct Selection<'a> {
    engine: &'a Engine,
    blocks: BlockList,
    series: Vec<Selected>,
    drops: u64,
}

impl Engine {
    /// Finds series. Samples are decoded only by [`Selection::read`].
    ///
    /// Cost: the matchers' postings in the head and in each block that overlaps, and a sort of what was found.
    ///
    /// # Errors
    /// [`EngineError::Block`] if an index is damaged.
    pub fn select(&self, range: TimeRange, matchers: &[Matcher]) -> Result<Selection<'_>, EngineError> {
        // Acquire pairs with the AcqRel in `flush_before`. Read ahead of the head and the list, see `Selection::read`.
        let drops = self.drops.load(Ordering::Acquire);
        let mut found: Vec<Found> = Vec::new();
        for series in self.catalog.read().select(matchers) {
            if series.range().overlaps(range) {
                found.push(Found { labels: series.labels.clone(), part: None, head: Some(series) });
            }
        }
        let blocks = self.blocks.list();
        for (at, block) in blocks.iter().enumerate().filter(|(_, b)| b.meta().range.overlaps(range)) {
            for ordinal in block.select(matchers)? {
                if !block.chunks(ordinal, range)?.is_empty() {
                    let labels = block.labels(ordinal)?;
                    found.push(Found { labels, part: Some((at as u32, ordinal)), head: None });
                }
            }
        }
        // Stable, so that the parts of a series stay in the order of blocks.
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut series: Vec<Selected> = Vec::with_capacity(found.len());
        for Found { labels, part, head } in found {
            match series.last_mut() {
                Some(last) if last.labels == labels => {
                    last.parts.extend(part);
                    last.head = last.head.take().or(head);
                }
                _ => series.push(Selected { labels, parts: part.into_iter().collect(), head }),
            }
        }
        Ok(Selection { engine: self, blocks, series, drops })
    }

    /// Names of labels of series that satisfy the matchers and have samples in the range; sorted.
    ///
    /// # Errors
    /// As [`select`](Engine::select).
    pub fn label_names(&self, range: TimeRange, matchers: &[Matcher]) -> Result<Vec<String>, EngineError> {
        let selection = self.select(range, matchers)?;
        let names: BTreeSet<&str> = selection.series.iter().flat_map(|s| s.labels.iter().map(|(n, _)| n)).collect();
        Ok(names.into_iter().map(ToOwned::to_owned).collect())
    }

    /// Values of one label over series that satisfy the matchers and have samples in the range; sorted.
    ///
    /// # Errors
    /// As [`select`](Engine::select).
    pub fn label_values(&self, name: &str, range: TimeRange, matchers: &[Matcher]) -> Result<Vec<String>, EngineError> {
        let selection = self.select(range, matchers)?;
        let values: BTreeSet<&str> = selection.series.iter().filter_map(|s| s.labels.get(name)).collect();
        Ok(values.into_iter().map(ToOwned::to_owned).collect())
    }
}

impl Selection<'_> {
    /// The number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The labels of a series; they ascend with the index.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Selection::len).
    pub fn labels(&self, index: usize) -> &Labels {
        &self.series[index].labels
    }

    /// Appends the samples of a series in a range to the columns, ascending and unique in time.
    ///
    /// # Errors
    /// [`EngineError::Block`] if a chunk's checksum does not hold.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Selection::len).
    pub fn read(
        &self,
        index: usize,
        range: TimeRange,
        timestamps_ms: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), EngineError> {
        let series = &self.series[index];
        let from = timestamps_ms.len();
        for &(block, ordinal) in &series.parts {
            read_ordinal(&self.blocks[block as usize], ordinal, range, timestamps_ms, values)?;
        }
        if let Some(head) = &series.head {
            let (mut head_timestamps, mut head_values) = (Vec::new(), Vec::new());
            head.read(range, &mut head_timestamps, &mut head_values)
                .map_err(|source| EngineError::Chunk { series: series.labels.to_string(), source })?;
            // A flush may have moved samples out of the head since the blocks were listed. If it dropped anything
            // before the head was read, the block it went to is in the list by now. Acquire pairs with the AcqRel
            // in `flush_before`, which counts before it drops.
            if self.engine.drops.load(Ordering::Acquire) != self.drops {
                let known = self.blocks.last().map(|b| b.meta().id);
                for block in self.engine.blocks.list().iter().filter(|b| Some(b.meta().id) > known) {
                    if block.meta().range.overlaps(range) {
                        read_series(block, &series.labels, range, timestamps_ms, values)?;
                    }
                }
            }
            timestamps_ms.append(&mut head_timestamps);
            values.append(&mut head_values);
        }
        merge::sort_and_dedup(from, timestamps_ms, values);
        merge::clip(from, range, timestamps_ms, values);
        Ok(())
    }
}
