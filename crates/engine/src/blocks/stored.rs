//! What blocks have of one series: the value at a time, the newest sample, the samples of a range.

use super::served::Served;
use super::set::BlockList;
use crate::EngineError;
use crate::value::Value;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mytsdb_blocks::ChunkMeta;
use mytsdb_columns::{Columns, Mark};
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, TimeRange};
use std::sync::Arc;

/// Most decoded windows a [`StoredValues`] keeps, and most bytes of them: whichever is met first. A window of histograms has megabytes.
const WINDOWS_MAX: usize = 4_096;
const WINDOW_BYTES_MAX: usize = 64 << 20;

/// Most bytes of columns of times that are kept from group to group.
const COLUMN_BYTES_MAX: usize = 16 << 20;

/// Places of series in blocks that are kept from group to group: 8 MiB of them, from the first late sample on.
const PLACES: usize = 1 << 17;

/// How far apart the places of one series in two blocks lie.
const PLACES_OF_BLOCK: u64 = 1 << 14;

/// Looks up whether blocks already have a value at a time; keeps what it found for the next sample nearby.
///
/// Mostly they have none. Telling that needs no values, and the times of a block are mostly those of many series: they are
/// decoded once for all of these. A series that sends late samples mostly sends more of them for the same hours: where it is
/// in a block is kept too.
pub(crate) struct StoredValues {
    blocks: BlockList,
    /// Times and id of each block.
    ranges: Vec<(TimeRange, u64)>,
    window_ms: i64,
    decoded: HashMap<(u64, i64), Columns, FixedState>,
    decoded_bytes: usize,
    pub(super) window_bytes_max: usize,
    times: KnownTimes,
    chunks: Vec<ChunkMeta>,
    errors: u64,
}

impl StoredValues {
    /// Looks into no blocks yet.
    pub(crate) fn new(window_ms: i64) -> Self {
        let (decoded, times) = (HashMap::default(), KnownTimes::default());
        Self {
            blocks: BlockList::default(),
            ranges: Vec::new(),
            window_ms,
            decoded,
            decoded_bytes: 0,
            window_bytes_max: WINDOW_BYTES_MAX,
            times,
            chunks: Vec::new(),
            errors: 0,
        }
    }

    /// Looks into these blocks from now on.
    pub(crate) fn begin(&mut self, blocks: BlockList) {
        self.ranges.clear();
        self.ranges.extend(blocks.iter().map(|block| (block.meta().range, block.meta().id)));
        self.blocks = blocks;
    }

    /// Lets go of the blocks, so that those that are taken out of service can go. Tells the number of errors met since
    /// [`begin`](Self::begin).
    pub(crate) fn end(&mut self) -> u64 {
        self.forget_windows();
        self.ranges.clear();
        self.blocks = BlockList::default();
        std::mem::take(&mut self.errors)
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

    /// The value of a series at a time, from the oldest block that has one. No two series have the same key, now or later.
    pub(crate) fn get(&mut self, series_key: u64, labels: &Labels, timestamp_ms: i64) -> Option<Value> {
        let window = timestamp_ms.div_euclid(self.window_ms);
        let is_decoded = !self.decoded.is_empty() && self.decoded.contains_key(&(series_key, window));
        if !is_decoded && !self.may_have(series_key, labels, timestamp_ms) {
            return None;
        }
        if !is_decoded && (self.decoded.len() >= WINDOWS_MAX || self.decoded_bytes >= self.window_bytes_max) {
            self.forget_windows();
        }
        let (blocks, window_ms, errors) = (&self.blocks, self.window_ms, &mut self.errors);
        let decoded_bytes = &mut self.decoded_bytes;
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
            *decoded_bytes += bytes_of(&columns);
            columns
        });
        Value::at(timestamp_ms, columns)
    }

    /// How many windows it keeps, and their bytes.
    #[cfg(test)]
    pub(super) fn windows(&self) -> (usize, usize) {
        (self.decoded.len(), self.decoded_bytes)
    }

    fn forget_windows(&mut self) {
        self.decoded.clear();
        self.decoded_bytes = 0;
    }

    /// Whether a block may have a value of a series at a time. `false` is certain; damage is left for [`get`](Self::get) to
    /// meet.
    fn may_have(&mut self, series_key: u64, labels: &Labels, timestamp_ms: i64) -> bool {
        let Self { blocks, ranges, times, chunks, .. } = self;
        ranges.iter().zip(blocks.iter()).filter(|((range, _), _)| range.contains(timestamp_ms)).any(
            |((_, id), block)| times.may_have((block, *id), (series_key, labels), timestamp_ms, chunks).unwrap_or(true),
        )
    }
}

/// Memory of a window, its histograms included.
fn bytes_of(columns: &Columns) -> usize {
    let histograms = columns.histograms.iter().map(|histogram| size_of::<FloatHistogram>() + histogram.heap_bytes());
    size_of::<Columns>() + columns.heap_bytes() + histograms.sum::<usize>()
}

/// The times of chunks, and which chunks series have, as far as samples have been looked up there. Blocks do not change, and
/// ids of blocks do not come again, so it need not be told which blocks are left.
#[derive(Default)]
struct KnownTimes {
    /// Empty until it is needed. Series that are looked up one after the other mostly have numbers one after the other.
    places: Box<[Place]>,
    columns: Vec<Column>,
    /// The number of each column by its block and its key there.
    by_key: HashMap<(u64, u64), u32, FixedState>,
    column_bytes: usize,
    /// Places of another generation are not valid: the columns were forgotten. Not 0.
    generation: u32,
}

/// Where a series is in a block, and its only chunk of some times.
#[derive(Debug, Clone, Copy)]
struct Place {
    series_key: u64,
    block: u64,
    /// May be empty.
    range: TimeRange,
    /// `None`: it is not in the block.
    ordinal: Option<u32>,
    column: u32,
    generation: u32,
}

/// Times in ascending order, and what was asked last: samples that are sent together mostly have one time.
struct Column {
    times_ms: Vec<i64>,
    last: (i64, bool),
}

impl Column {
    #[inline]
    fn has(&mut self, timestamp_ms: i64) -> bool {
        if self.last.0 != timestamp_ms {
            self.last = (timestamp_ms, self.times_ms.binary_search(&timestamp_ms).is_ok());
        }
        self.last.1
    }
}

impl KnownTimes {
    /// Whether a chunk of a block may have a sample of a series at a time, hidden or not.
    #[inline]
    fn may_have(
        &mut self,
        (block, id): (&Served, u64),
        (series_key, labels): (u64, &Labels),
        timestamp_ms: i64,
        chunks: &mut Vec<ChunkMeta>,
    ) -> Result<bool, EngineError> {
        let mut known = None;
        // Blocks are mostly few, and each gets a part of the table.
        let at = (series_key.wrapping_add(id.wrapping_mul(PLACES_OF_BLOCK)) % PLACES as u64) as usize;
        if let Some(place) = self.places.get(at)
            && (place.series_key, place.block, place.generation) == (series_key, id, self.generation)
        {
            if place.ordinal.is_none() {
                return Ok(false);
            }
            if place.range.contains(timestamp_ms) {
                return Ok(self.columns[place.column as usize].has(timestamp_ms));
            }
            known = place.ordinal;
        }
        let ordinal = match known {
            Some(ordinal) => Some(ordinal),
            None => block.find(labels)?,
        };
        if self.places.is_empty() || self.column_bytes >= COLUMN_BYTES_MAX {
            self.forget();
        }
        let (range, generation) = (TimeRange::EMPTY, self.generation);
        let mut place = Place { series_key, block: id, range, ordinal, column: 0, generation };
        let has = match ordinal {
            Some(ordinal) => self.find((block, id), ordinal, timestamp_ms, chunks, &mut place)?,
            None => false,
        };
        self.places[at] = place;
        Ok(has)
    }

    fn forget(&mut self) {
        if self.places.is_empty() {
            let range = TimeRange::EMPTY;
            let vacant = Place { series_key: 0, block: 0, range, ordinal: None, column: 0, generation: 0 };
            self.places = vec![vacant; PLACES].into();
        }
        self.columns.clear();
        self.by_key.clear();
        self.column_bytes = 0;
        self.generation = self.generation.wrapping_add(1).max(1);
    }

    /// Looks into the chunks of a series; notes the one of the time if it has no other beside it.
    fn find(
        &mut self,
        (block, id): (&Served, u64),
        ordinal: u32,
        timestamp_ms: i64,
        chunks: &mut Vec<ChunkMeta>,
        place: &mut Place,
    ) -> Result<bool, EngineError> {
        chunks.clear();
        block.chunks_into(ordinal, TimeRange::new(timestamp_ms, timestamp_ms), chunks)?;
        let mut has = false;
        for chunk in chunks.iter() {
            let Some(column) = self.column((block, id), chunk)? else { return Ok(true) };
            place.column = column;
            has |= self.columns[column as usize].has(timestamp_ms);
        }
        if let [chunk] = chunks[..] {
            // Floats and histograms have chunks of their own, which may lie over each other.
            chunks.clear();
            block.chunks_into(ordinal, chunk.range, chunks)?;
            place.range = if chunks.len() == 1 { chunk.range } else { TimeRange::EMPTY };
        }
        Ok(has)
    }

    /// The number of the column of times of a chunk; `None` if it has none.
    fn column(&mut self, (block, id): (&Served, u64), chunk: &ChunkMeta) -> Result<Option<u32>, EngineError> {
        let key = (id, chunk.times_key());
        if let Some(&number) = self.by_key.get(&key) {
            return Ok(Some(number));
        }
        let mut times_ms = Vec::with_capacity(chunk.sample_count as usize);
        if !block.read_times(chunk, &mut times_ms)? {
            return Ok(None);
        }
        let first = times_ms.first().copied().unwrap_or_default();
        self.column_bytes += times_ms.len() * size_of::<i64>();
        let number = self.columns.len() as u32;
        self.columns.push(Column { last: (first, !times_ms.is_empty()), times_ms });
        self.by_key.insert(key, number);
        Ok(Some(number))
    }
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
