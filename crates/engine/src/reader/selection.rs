//! The series of one selection, and their samples.

use super::Reader;
use super::cache::Question;
use super::findings::Finding;
use super::sources::{BlockSeries, HeadSeries};
use crate::EngineError;
use crate::blocks::{BlockList, Served, read_series};
use crate::head::MemSeries;
use mytsdb_blocks::ChunkMeta;
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_sync::prefetch;
use std::cmp::Ordering as Order;
use std::sync::Arc;

/// Rows are mostly read in order: the series of the head this many rows on is asked for ahead, so that reading it does
/// not wait for memory. A read takes about as long as memory does.
const AHEAD: usize = 4;

/// The same for labels, which are passed faster than samples.
const LABELS_AHEAD: usize = 12;

/// A histogram whose time is more than this after the sample before it may be said to continue nothing: the time after which
/// PromQL takes a series for gone.
const HINT_LOOKBACK_MS: i64 = 5 * 60_000;

/// A source that does not have the series of a row.
const ABSENT: u32 = u32::MAX;

/// Series that satisfy some matchers.
///
/// It pins what it needs: blocks that expire and series that leave the head stay readable through it. It sees
/// samples that are stored after it was made.
pub struct Selection<'a> {
    reader: &'a Reader,
    /// All blocks there were, of which `parts` are those asked.
    blocks: BlockList,
    parts: Vec<(Arc<Served>, Arc<BlockSeries>)>,
    head: Arc<HeadSeries>,
    rows: Rows,
    drops: u64,
    question: Question,
}

/// Which series of which source make up a row.
enum Rows {
    /// The head's, by reference.
    Head,
    /// The head's, in the order of labels.
    HeadByLabels(Arc<Vec<u32>>),
    /// One place per source and row, parts before head: `source count` numbers a row.
    Merged(Vec<u32>),
}

impl<'a> Selection<'a> {
    pub(super) fn new(
        reader: &'a Reader,
        blocks: BlockList,
        parts: Vec<(Arc<Served>, Arc<BlockSeries>)>,
        head: Arc<HeadSeries>,
        drops: u64,
        question: Question,
    ) -> Self {
        Self { reader, blocks, parts, head, rows: Rows::Head, drops, question }
    }

    /// Puts rows into the order of labels and one label set into one row.
    pub(super) fn merge(&mut self, stop: StopSign<'_>) -> Result<(), EngineError> {
        if self.parts.is_empty() {
            self.rows = Rows::HeadByLabels(self.head.by_labels(stop)?.clone());
            return Ok(());
        }
        let head_order = if self.head.series.is_empty() { &[][..] } else { &self.head.by_labels(stop)?[..] };
        let sources = self.parts.len() + 1;
        let lens: Vec<usize> = self.parts.iter().map(|(_, p)| p.ordinals.len()).chain([head_order.len()]).collect();
        let labels = |source: usize, at: usize| match self.parts.get(source) {
            Some((_, part)) => &part.labels[at],
            None => &self.head.series[head_order[at] as usize].labels,
        };
        let mut places = Vec::with_capacity(lens.iter().max().map_or(0, |rows| rows * sources));
        let mut cursors = vec![0; sources];
        let mut looks = stop.looks();
        // The sources that have the least labels of all that are left.
        let mut least: Vec<usize> = Vec::with_capacity(sources);
        loop {
            looks.before(sources)?;
            least.clear();
            for source in (0..sources).filter(|&s| cursors[s] < lens[s]) {
                let order = least
                    .first()
                    .map_or(Order::Less, |&best| labels(source, cursors[source]).cmp(labels(best, cursors[best])));
                if order == Order::Less {
                    least.clear();
                }
                if order != Order::Greater {
                    least.push(source);
                }
            }
            if least.is_empty() {
                break;
            }
            looks.reserve(&mut places, sources)?;
            let row = places.len();
            places.resize(row + sources, ABSENT);
            for &source in &least {
                let at = cursors[source];
                places[row + source] = if source + 1 == sources { head_order[at] } else { at as u32 };
                cursors[source] += 1;
            }
        }
        self.rows = Rows::Merged(places);
        Ok(())
    }

    /// Keeps the rows that have a sample in `range`.
    pub(super) fn retain_stored(&mut self, range: TimeRange, stop: StopSign<'_>) -> Result<(), EngineError> {
        let sources = self.parts.len() + 1;
        // Room for all: what is not used costs no memory, and nothing moves.
        let mut kept = Vec::with_capacity(self.len() * sources);
        let mut chunks = Vec::new();
        let mut looks = stop.looks();
        for row in 0..self.len() {
            looks.before(1)?;
            let mut stored = self.mem_series(row).is_some_and(|head| head.range().overlaps(range));
            // As in `read`: what a flush has dropped since the blocks were listed is in a later block.
            if !stored && self.reader.head.drops() != self.drops {
                stored = self.is_in_later_blocks(row, range, &mut chunks)?;
            }
            for (source, (block, part)) in self.parts.iter().enumerate() {
                if stored {
                    break;
                }
                let Some(at) = self.place(source, row) else { continue };
                looks.before(1)?;
                stored = block.has(part.ordinals[at], range, &mut chunks)?;
            }
            if stored {
                kept.extend((0..sources).map(|source| self.place(source, row).map_or(ABSENT, |at| at as u32)));
            }
        }
        self.rows = Rows::Merged(kept);
        Ok(())
    }

    /// Whether blocks younger than the selection have chunks of a row's series in the range.
    fn is_in_later_blocks(
        &self,
        row: usize,
        range: TimeRange,
        chunks: &mut Vec<ChunkMeta>,
    ) -> Result<bool, EngineError> {
        let Some(head) = self.mem_series(row) else { return Ok(false) };
        for block in self.later_blocks().iter().filter(|b| b.meta().range.overlaps(range)) {
            if let Some(ordinal) = block.find(&head.labels)?
                && block.has(ordinal, range, chunks)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The blocks that have been added since the selection's were listed.
    fn later_blocks(&self) -> Vec<Arc<Served>> {
        let known = self.blocks.last().map(|b| b.meta().id);
        self.reader.blocks.list().iter().filter(|b| Some(b.meta().id) > known).cloned().collect()
    }

    /// Where a source has the series of a row; the head is the source behind the parts.
    #[inline]
    fn place(&self, source: usize, row: usize) -> Option<usize> {
        match &self.rows {
            Rows::Head => (source == self.parts.len()).then_some(row),
            Rows::HeadByLabels(order) => (source == self.parts.len()).then(|| order[row] as usize),
            Rows::Merged(places) => {
                let place = places[row * (self.parts.len() + 1) + source];
                (place != ABSENT).then_some(place as usize)
            }
        }
    }

    #[inline]
    fn mem_series(&self, row: usize) -> Option<&MemSeries> {
        self.place(self.parts.len(), row).map(|at| &*self.head.series[at])
    }

    #[inline]
    fn later_series(&self, row: usize, ahead: usize) -> Option<&MemSeries> {
        (row + ahead < self.len()).then(|| self.mem_series(row + ahead)).flatten()
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Head => self.head.series.len(),
            Rows::HeadByLabels(order) => order.len(),
            Rows::Merged(places) => places.len() / (self.parts.len() + 1),
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of a series; unless any order was asked for, they ascend with the index.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Selection::len).
    #[inline]
    pub fn labels(&self, index: usize) -> &Labels {
        if let Some(head) = self.mem_series(index) {
            // First the place that says where they are, then the labels.
            if let Some(later) = self.later_series(index, 2 * LABELS_AHEAD) {
                prefetch(&later.labels);
            }
            if let Some(soon) = self.later_series(index, LABELS_AHEAD) {
                prefetch(soon.labels.as_bytes());
            }
            return &head.labels;
        }
        let part = (0..self.parts.len()).find_map(|source| self.place(source, index).map(|at| (source, at)));
        let (source, at) = part.expect("a row has a place in some source");
        &self.parts[source].1.labels[at]
    }

    /// What was [remembered](Selection::remember) for `key` about exactly these series in this order.
    pub fn recall(&self, key: &[u8]) -> Option<Finding> {
        self.head.findings.get(self.is_by_labels()?, key)
    }

    /// Keeps something that follows from the labels of these series and their order alone, and takes `bytes`, for
    /// selections like this one, as long as the list of series itself is remembered and has room. Only where the head
    /// alone was asked: what is old is asked for less often.
    pub fn remember(&self, key: &[u8], finding: Finding, bytes: usize) {
        if let Some(by_labels) = self.is_by_labels() {
            self.reader.cache.put_finding((&self.question, &self.head), (by_labels, key), finding, bytes);
        }
    }

    /// Whether the rows, which are the head's, are in the order of labels; `None` if blocks have a part in them.
    fn is_by_labels(&self) -> Option<bool> {
        match self.rows {
            Rows::Head => Some(false),
            Rows::HeadByLabels(_) => Some(true),
            Rows::Merged(_) => None,
        }
    }

    /// Appends the samples of a series in a range to the columns, of both kinds and in order: each time once. What the columns
    /// held before stays. Counter reset hints are those that follow from the samples
    /// ([`settle_hints`](Columns::settle_hints)), as far as they were read.
    ///
    /// # Errors
    /// [`EngineError::Block`] if a chunk's checksum does not hold.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Selection::len).
    pub fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), EngineError> {
        let from = out.mark();
        self.gather(index, range, out)?;
        if out.histograms.len() > from.histograms {
            self.settle_hints(index, range, from, out)?;
        }
        out.clip(from, range);
        Ok(())
    }

    /// Sets the hints of histograms, of which the first in the range may depend on a sample before it.
    fn settle_hints(&self, index: usize, range: TimeRange, from: Mark, out: &mut Columns) -> Result<(), EngineError> {
        let before =
            |times: &[i64]| times.partition_point(|&time| time < range.mint).checked_sub(1).map(|at| times[at]);
        let last_before =
            before(&out.timestamps_ms[from.floats..]).max(before(&out.histogram_timestamps_ms[from.histograms..]));
        // What was read before the range was read by the way: other samples may lie between it and the range.
        let far = range.mint.saturating_sub(HINT_LOOKBACK_MS);
        let gap = TimeRange::new(last_before.map_or(far, |last| last + 1), range.mint.saturating_sub(1));
        if !gap.is_empty() && range.mint > i64::MIN {
            let at = out.mark();
            self.gather(index, gap, out)?;
            out.clip(at, gap);
            out.sort_and_dedup(&[from]);
        }
        out.settle_hints(from);
        Ok(())
    }

    /// Appends the samples in a range, and others of the chunks they are in, in order.
    fn gather(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), EngineError> {
        let from = out.mark();
        let mut ordered = true;
        // Where the sources begin, the earliest stored first.
        let mut sources = Sources::default();
        for (source, (block, part)) in self.parts.iter().enumerate() {
            if let Some(at) = self.place(source, index) {
                sources.begin(out);
                ordered &= block.read(part.ordinals[at], range, out, from)?;
            }
        }
        if let Some(head) = self.mem_series(index) {
            if let Some(later) = self.later_series(index, AHEAD) {
                prefetch(later);
            }
            let blocks_end = out.mark();
            ordered &= head
                .read(range, out)
                .map_err(|source| EngineError::Chunk { series: head.labels.to_string(), source })?;
            ordered &= out.continues_at(blocks_end, from);
            // A flush may have moved samples out of the head since the blocks were listed. If it dropped anything
            // before the head was read, the block it went to is in the list by now: see `Head::drops`.
            if self.reader.head.drops() == self.drops {
                sources.begin_at(blocks_end);
            } else {
                ordered = false;
                let mut head_samples = out.split_off(blocks_end);
                self.read_later_blocks(&head.labels, range, out, &mut sources)?;
                sources.begin(out);
                out.append(&mut head_samples);
            }
        }
        if !ordered {
            out.sort_and_dedup(sources.marks());
        }
        Ok(())
    }

    /// Reads what blocks younger than the selection have: of two samples with one time the block's, not the head's, is the
    /// one to keep.
    fn read_later_blocks(
        &self,
        labels: &Labels,
        range: TimeRange,
        out: &mut Columns,
        sources: &mut Sources,
    ) -> Result<(), EngineError> {
        for block in &self.later_blocks() {
            if block.meta().range.overlaps(range) {
                sources.begin(out);
                read_series(block, labels, range, out, Mark::default())?;
            }
        }
        Ok(())
    }
}

/// Where the sources of a row begin in its columns. Mostly there are few, and no memory is asked for them.
#[derive(Default)]
struct Sources {
    few: [Mark; 6],
    count: usize,
    many: Vec<Mark>,
}

impl Sources {
    fn begin(&mut self, out: &Columns) {
        self.begin_at(out.mark());
    }

    fn begin_at(&mut self, mark: Mark) {
        if self.count < self.few.len() {
            self.few[self.count] = mark;
        } else {
            if self.many.is_empty() {
                self.many.extend(self.few);
            }
            self.many.push(mark);
        }
        self.count += 1;
    }

    fn marks(&self) -> &[Mark] {
        if self.many.is_empty() { &self.few[..self.count] } else { &self.many }
    }
}
