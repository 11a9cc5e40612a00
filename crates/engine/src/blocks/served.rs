//! A block as it is served: without what has been deleted since it was written, and what of it is damaged.
//!
//! Invariant C: damage is confined. What cannot be read of a block is noted, with the time that it is about, and left out; no
//! method of [`Served`] that answers a question fails for it. What changes blocks (deletions, merges) asks the
//! [`Block`](Served::block) itself, and fails.

use super::damage::Damages;
use crate::EngineError;
use mytsdb_blocks::{Block, BlockError, BlockMeta, ChunkMeta, Tombstone, keep};
use mytsdb_columns::{Columns, HistogramTable, Mark, Outline, Outlining, Stretch};
use mytsdb_index::TextList;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::sync::Arc;

/// What one tombstone hides of one block.
#[derive(Debug, Clone)]
struct Hidden {
    tombstone: u64,
    range: TimeRange,
    /// The series, ascending.
    ordinals: Arc<[u32]>,
}

/// A block, and what is hidden of it. It never changes: a deletion puts another one in its place.
#[derive(Debug)]
pub(crate) struct Served {
    block: Arc<Block>,
    hidden: Box<[Hidden]>,
    damages: Arc<Damages>,
}

impl Served {
    /// A block of which some of these tombstones may hide something. Cost: a selection for each of them that is about its
    /// times and is younger.
    pub(crate) fn new<'a>(
        block: Arc<Block>,
        damages: Arc<Damages>,
        tombstones: impl IntoIterator<Item = &'a Tombstone>,
    ) -> Result<Self, EngineError> {
        let mut served = Self { block, hidden: Box::default(), damages };
        for tombstone in tombstones {
            if let Some(less) = served.without(tombstone)? {
                served = less;
            }
        }
        Ok(served)
    }

    /// The block with more of it hidden; `None` if the tombstone is not about it.
    pub(crate) fn without(&self, tombstone: &Tombstone) -> Result<Option<Self>, EngineError> {
        let meta = self.meta();
        if meta.id >= tombstone.blocks_below || !meta.range.overlaps(tombstone.range) {
            return Ok(None);
        }
        let mut ordinals = Vec::new();
        for matchers in &tombstone.selectors {
            ordinals.extend(self.block.select(matchers, StopSign::NEVER)?);
        }
        ordinals.sort_unstable();
        ordinals.dedup();
        if ordinals.is_empty() {
            return Ok(None);
        }
        let hidden = Hidden { tombstone: tombstone.id, range: tombstone.range, ordinals: ordinals.into() };
        let hidden = self.hidden.iter().cloned().chain([hidden]).collect();
        Ok(Some(Self { block: self.block.clone(), hidden, damages: self.damages.clone() }))
    }

    /// Its id, range and counts.
    pub(crate) fn meta(&self) -> BlockMeta {
        self.block.meta()
    }

    /// What there is of an answer: the default if it is damaged.
    fn confined<T: Default>(&self, answer: Result<T, BlockError>) -> Result<T, EngineError> {
        match answer {
            Err(error) if self.damages.confine(&error, self.meta().range) => Ok(T::default()),
            answer => Ok(answer?),
        }
    }

    /// The ordinals of the series that satisfy every matcher, ascending.
    ///
    /// # Errors
    /// [`EngineError::Canceled`].
    pub(super) fn select_ordinals(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<u32>, EngineError> {
        self.confined(self.block.select(matchers, stop))
    }

    /// The labels of a series; `None` if they are damaged.
    pub(crate) fn labels(&self, ordinal: u32) -> Result<Option<Labels>, EngineError> {
        self.confined(self.block.labels(ordinal).map(Some))
    }

    /// The ordinal of the series with exactly these labels.
    pub(crate) fn find(&self, labels: &Labels) -> Result<Option<u32>, EngineError> {
        self.confined(self.block.find(labels))
    }

    /// Whether any series has a label of this name; it may if that is damaged.
    pub(super) fn has_name(&self, name: &str) -> Result<bool, EngineError> {
        self.confined(self.block.has_label_name(name).map(Some)).map(|has| has.unwrap_or(true))
    }

    /// Label names, of all series or of some; sorted.
    pub(crate) fn label_names(&self, among: Option<&[u32]>, stop: StopSign<'_>) -> Result<TextList, EngineError> {
        self.confined(match among {
            None => self.block.label_names(stop),
            Some(among) => self.block.label_names_of(among, stop),
        })
    }

    /// Values of a label, of all series or of some; sorted.
    pub(crate) fn label_values(
        &self,
        name: &str,
        among: Option<&[u32]>,
        stop: StopSign<'_>,
    ) -> Result<TextList, EngineError> {
        self.confined(match among {
            None => self.block.label_values(name, stop),
            Some(among) => self.block.label_values_of(name, among, stop),
        })
    }

    /// Appends the times of a chunk without decoding its values; tells whether it did. Damage is an error here: who reads the
    /// samples then meets it, and it is confined.
    pub(super) fn read_times(&self, chunk: &ChunkMeta, out: &mut Vec<i64>) -> Result<bool, EngineError> {
        Ok(self.block.read_times(chunk, out)?)
    }

    /// Appends the chunks of a series that overlap a range.
    pub(super) fn chunks_into(
        &self,
        ordinal: u32,
        range: TimeRange,
        out: &mut Vec<ChunkMeta>,
    ) -> Result<(), EngineError> {
        let before = out.len();
        let found = self.block.chunks_into(ordinal, range, out);
        if found.is_err() {
            out.truncate(before);
        }
        self.confined(found)
    }

    /// Appends the samples of a chunk in a range, and maybe others; none if it is damaged.
    fn read_samples(&self, chunk: &ChunkMeta, range: TimeRange, out: &mut Columns) -> Result<(), EngineError> {
        let at = out.mark();
        match self.block.read_samples_within(chunk, range, out) {
            Err(error) if self.damages.confine(&error, chunk.range) => {
                out.truncate(at);
                Ok(())
            }
            read => Ok(read?),
        }
    }

    /// The block itself, for what must not leave anything out.
    pub(crate) fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Whether anything is hidden.
    pub(crate) fn hides(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// How many deletions hide any of it.
    pub(super) fn hidden_count(&self) -> u64 {
        self.hidden.len() as u64
    }

    /// Whether a tombstone hides any of it.
    pub(crate) fn is_hit_by(&self, tombstone: u64) -> bool {
        self.hidden.iter().any(|hidden| hidden.tombstone == tombstone)
    }

    /// Appends the times that are hidden of a series, in any order.
    pub(crate) fn hidden_into(&self, ordinal: u32, out: &mut Vec<TimeRange>) {
        let of_series = |hidden: &&Hidden| hidden.ordinals.binary_search(&ordinal).is_ok();
        out.extend(self.hidden.iter().filter(of_series).map(|hidden| hidden.range));
    }

    /// Whether one deletion hides all that the block has of a series.
    pub(crate) fn is_hidden_whole(&self, ordinal: u32) -> bool {
        let whole = |hidden: &Hidden| hidden.range.encloses(self.meta().range);
        self.hidden.iter().any(|hidden| whole(hidden) && hidden.ordinals.binary_search(&ordinal).is_ok())
    }

    /// Decodes what there is of a series in a range behind what the columns hold; tells whether that, with what they hold from
    /// `from` on, is in order. Samples outside the range may come with it.
    pub(crate) fn read(
        &self,
        ordinal: u32,
        range: TimeRange,
        out: &mut Columns,
        from: Mark,
    ) -> Result<bool, EngineError> {
        let mut chunks = Vec::new();
        self.chunks_into(ordinal, range, &mut chunks)?;
        if self.hides() {
            let mut hidden = Vec::new();
            self.hidden_into(ordinal, &mut hidden);
            if !hidden.is_empty() {
                let mut part = Columns::default();
                for chunk in chunks.iter().filter(|chunk| !hidden.iter().any(|hidden| hidden.encloses(chunk.range))) {
                    self.read_samples(chunk, range, &mut part)?;
                }
                part.sort_and_dedup(&[Mark::default()]);
                let at = out.mark();
                keep(&part, range, &mut hidden, out);
                return Ok(out.continues_at(at, from));
            }
        }
        let mut ordered = true;
        for chunk in chunks {
            let at = out.mark();
            self.read_samples(&chunk, range, out)?;
            ordered &= out.continues_at(at, from);
        }
        Ok(ordered)
    }

    /// Appends what [`read`](Self::read) would give to a table, if that is nothing but histograms, none of them hidden, in order behind
    /// those that the table holds. Else `false`, and the table has no meaning: also if anything is damaged, which `read` then meets.
    pub(crate) fn read_table(&self, ordinal: u32, range: TimeRange, out: &mut HistogramTable) -> bool {
        if self.block.is_plain() || self.hidden.iter().any(|hidden| hidden.ordinals.binary_search(&ordinal).is_ok()) {
            return false;
        }
        let mut chunks = Vec::new();
        if self.block.chunks_into(ordinal, range, &mut chunks).is_err() {
            return false;
        }
        for chunk in &chunks {
            let is_behind = out.timestamps_ms().last().is_none_or(|&last_ms| last_ms < chunk.range.mint);
            if !is_behind || !self.block.read_table(chunk, range, out).unwrap_or(false) {
                return false;
            }
        }
        true
    }

    /// Appends what [`read`](Self::read) would give to an outline, if that is nothing but floats, none of them hidden, in order behind those that
    /// the outline has. Else `false`, and the outline has no meaning. Chunks that lie in a window as a whole are not decoded, if their statistics are
    /// known: damage of them is met by who reads their samples.
    pub(crate) fn read_outline(
        &self,
        ordinal: u32,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, EngineError> {
        if self.hidden.iter().any(|hidden| hidden.ordinals.binary_search(&ordinal).is_ok()) {
            return Ok(false);
        }
        let mut chunks = Vec::new();
        self.chunks_into(ordinal, range, &mut chunks)?;
        for chunk in &chunks {
            if out.last_ms().is_some_and(|last_ms| last_ms >= chunk.range.mint) {
                return Ok(false);
            }
            let is_outlined = range.encloses(chunk.range)
                && (outlining.is_whole)(chunk.range)
                && self.stretch(chunk)?.is_some_and(|stretch| outlining.takes(&stretch) && out.push(stretch));
            if !is_outlined {
                self.read_samples(chunk, range, &mut out.columns)?;
                if !out.columns.histograms.is_empty() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What is known of a chunk of floats without decoding it.
    fn stretch(&self, chunk: &ChunkMeta) -> Result<Option<Stretch>, EngineError> {
        let (range, sample_count) = (chunk.range, chunk.sample_count);
        let stats = self.block.chunk_stats(chunk)?;
        Ok(stats.filter(|_| chunk.has_plain_floats()).map(|stats| {
            let mytsdb_blocks::ChunkStats { first, last, min, max, resets } = stats;
            Stretch { at: 0, range, sample_count, first, last, min, max, resets }
        }))
    }

    /// The time of the newest sample of a series that is not hidden. `chunks` lends its memory.
    pub(crate) fn newest_ms(&self, ordinal: u32, chunks: &mut Vec<ChunkMeta>) -> Result<Option<i64>, EngineError> {
        let mut hidden = Vec::new();
        self.hidden_into(ordinal, &mut hidden);
        if !hidden.is_empty() {
            let mut columns = Columns::default();
            self.read(ordinal, TimeRange::ALL, &mut columns, Mark::default())?;
            let range = columns.range(Mark::default());
            return Ok((!range.is_empty()).then_some(range.maxt));
        }
        chunks.clear();
        self.chunks_into(ordinal, TimeRange::ALL, chunks)?;
        Ok(chunks.iter().map(|chunk| chunk.range.maxt).max())
    }

    /// Whether there are chunks of a series in a range, and, if a part of it is hidden, whether there are samples.
    /// `chunks` lends its memory.
    pub(crate) fn has(&self, ordinal: u32, range: TimeRange, chunks: &mut Vec<ChunkMeta>) -> Result<bool, EngineError> {
        if self.hides() {
            let mut hidden = Vec::new();
            self.hidden_into(ordinal, &mut hidden);
            if !hidden.is_empty() {
                let mut columns = Columns::default();
                self.read(ordinal, range, &mut columns, Mark::default())?;
                return Ok(!columns.is_empty());
            }
        }
        if range.encloses(self.meta().range) {
            return Ok(true);
        }
        chunks.clear();
        self.chunks_into(ordinal, range, chunks)?;
        Ok(!chunks.is_empty())
    }
}
