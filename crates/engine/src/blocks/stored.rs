//! What blocks have of one series: the value at a time, the newest sample, the samples of a range.

use super::served::Served;
use super::set::BlockList;
use crate::EngineError;
use crate::value::Value;
use mytsdb_blocks::ChunkMeta;
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::{Labels, TimeRange};
use std::collections::HashMap;
use std::sync::Arc;

/// Most decoded windows a [`StoredValues`] keeps.
const WINDOWS_MAX: usize = 4_096;

/// Most columns of times it keeps.
const COLUMNS_MAX: usize = 4_096;

/// Looks up whether blocks already have a value at a time; keeps what it decoded for the next sample nearby.
///
/// Mostly they have none. Telling that needs no values, and the times of a block are mostly those of many series: they are
/// decoded once for all of these.
pub(crate) struct StoredValues {
    blocks: BlockList,
    window_ms: i64,
    decoded: HashMap<(u64, i64), Columns>,
    /// Columns of times by their block and their key in it.
    times: HashMap<(u64, u64), Vec<i64>>,
    chunks: Vec<ChunkMeta>,
    /// Errors met; the caller reports them.
    pub(crate) errors: u64,
}

impl StoredValues {
    pub(crate) fn new(blocks: BlockList, window_ms: i64) -> Self {
        Self { blocks, window_ms, decoded: HashMap::new(), times: HashMap::new(), chunks: Vec::new(), errors: 0 }
    }

    /// The time of the newest sample that the blocks have of a series. Looks into blocks from the newest on, until none left
    /// can have a newer one.
    pub(crate) fn newest_ms(&mut self, labels: &Labels) -> Option<i64> {
        let mut blocks: Vec<&Arc<Served>> = self.blocks.iter().collect();
        blocks.sort_by_key(|block| std::cmp::Reverse(block.meta().range.maxt));
        let mut newest = None;
        let mut chunks = Vec::new();
        for block in blocks {
            if newest.is_some_and(|newest| newest >= block.meta().range.maxt) {
                break;
            }
            let found = block.find(labels).and_then(|ordinal| match ordinal {
                Some(ordinal) => block.newest_ms(ordinal, &mut chunks),
                None => Ok(None),
            });
            self.errors += u64::from(found.is_err());
            newest = newest.max(found.unwrap_or_default());
        }
        newest
    }

    /// The value of a series at a time, from the oldest block that has one.
    pub(crate) fn get(&mut self, series_key: u64, labels: &Labels, timestamp_ms: i64) -> Option<Value> {
        let window = timestamp_ms.div_euclid(self.window_ms);
        if !self.decoded.contains_key(&(series_key, window)) && !self.may_have(labels, timestamp_ms) {
            return None;
        }
        if self.decoded.len() >= WINDOWS_MAX {
            self.decoded.clear();
        }
        let (blocks, window_ms, errors) = (&self.blocks, self.window_ms, &mut self.errors);
        let columns = self.decoded.entry((series_key, window)).or_insert_with(|| {
            let mint = window.saturating_mul(window_ms);
            let range = TimeRange::new(mint, mint.saturating_add(window_ms - 1));
            let mut columns = Columns::default();
            let mut sources = Vec::new();
            let mut ordered = true;
            for block in blocks.iter().filter(|b| b.meta().range.overlaps(range)) {
                sources.push(columns.mark());
                if let Ok(ascends) = read_series(block, labels, range, &mut columns, Mark::default()) {
                    ordered &= ascends;
                } else {
                    ordered = false;
                    *errors += 1;
                }
            }
            if !ordered {
                columns.sort_and_dedup(&sources);
            }
            columns
        });
        Value::at(timestamp_ms, columns)
    }

    /// Whether a block may have a value of a series at a time. `false` is certain; damage is left for [`get`](Self::get) to
    /// meet.
    fn may_have(&mut self, labels: &Labels, timestamp_ms: i64) -> bool {
        let Self { blocks, times, chunks, .. } = self;
        let at = TimeRange::new(timestamp_ms, timestamp_ms);
        blocks
            .iter()
            .filter(|block| block.meta().range.contains(timestamp_ms))
            .any(|block| may_be_in(block, labels, at, times, chunks).unwrap_or(true))
    }
}

/// Whether a chunk of a block has a sample of a series at the time that `at` is, hidden or not.
fn may_be_in(
    block: &Served,
    labels: &Labels,
    at: TimeRange,
    times: &mut HashMap<(u64, u64), Vec<i64>>,
    chunks: &mut Vec<ChunkMeta>,
) -> Result<bool, EngineError> {
    let Some(ordinal) = block.find(labels)? else { return Ok(false) };
    chunks.clear();
    block.chunks_into(ordinal, at, chunks)?;
    for chunk in chunks {
        let key = (block.meta().id, chunk.times_key());
        if !times.contains_key(&key) {
            let mut column = Vec::with_capacity(chunk.sample_count as usize);
            if !block.read_times(chunk, &mut column)? {
                return Ok(true);
            }
            if times.len() >= COLUMNS_MAX {
                times.clear();
            }
            times.insert(key, column);
        }
        if times[&key].binary_search(&at.mint).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Decodes what a block has of a series in a range behind what the columns hold; tells whether that, with what they hold
/// from `from` on, is in order.
pub(crate) fn read_series(
    block: &Served,
    labels: &Labels,
    range: TimeRange,
    out: &mut Columns,
    from: Mark,
) -> Result<bool, EngineError> {
    match block.find(labels)? {
        Some(ordinal) => block.read(ordinal, range, out, from),
        None => Ok(true),
    }
}
