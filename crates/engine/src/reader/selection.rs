//! The series of one selection, and their samples.

use super::Reader;
use super::cache::{Listed, Question};
use super::coarse::Rivals;
use super::findings::Finding;
use crate::EngineError;
use crate::source::{Source, SourceId, SourceSeries};
use mytsdb_columns::{Columns, HistogramTable, Mark, Outline, Outlining};
use mytsdb_downsample::{Buckets, Stored};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_stop::StopSign;
use std::cmp::Ordering as Order;
use std::sync::Arc;

/// Rows are mostly read in order: a source hears of the one this many on ahead, so that reading it does
/// not wait for memory. A read takes about as long as memory does.
const AHEAD: usize = 4;

/// The same for labels, which are passed faster than samples.
const LABELS_AHEAD: usize = 12;

/// A histogram whose time is more than this after the sample before it may be said to continue nothing: the time after which
/// PromQL takes a series for gone.
const HINT_LOOKBACK_MS: i64 = 5 * 60_000;

/// A source that does not have the series of a row.
const ABSENT: u32 = u32::MAX;

/// What a source has part in a selection with: at least one series.
pub(super) struct Part {
    pub(super) source: Arc<dyn Source>,
    pub(super) series: Arc<dyn SourceSeries>,
    pub(super) listed: Arc<Listed>,
}

/// The highest ids of fixed sources: of all, and of those outside of the engine, which may take over what came later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newest {
    all: Option<SourceId>,
    outside: Option<SourceId>,
}

impl Newest {
    /// Those of a list in ascending order.
    pub(super) fn of(sources: &[Arc<dyn Source>]) -> Self {
        let is_outside = |id: &SourceId| matches!(id, SourceId::Outside(_));
        let all = sources.last().map(|source| source.id());
        Self { all, outside: sources.iter().map(|source| source.id()).take_while(is_outside).last() }
    }

    /// Whether a source has come since the list.
    fn is_before(self, id: SourceId) -> bool {
        Some(id) > if matches!(id, SourceId::Outside(_)) { self.outside } else { self.all }
    }
}

/// A source, and one series of it.
type Later = (Arc<dyn Source>, Arc<dyn SourceSeries>);

/// Series that satisfy some matchers.
///
/// It pins what it needs: blocks that expire and series that leave the head stay readable through it. It sees
/// samples that are stored after it was made.
pub struct Selection<'a> {
    reader: &'a Reader,
    /// In the order of reading: that of ids wherever they lie over each other in time. A live source is the last.
    parts: Vec<Part>,
    /// The last part is the live source.
    is_live: bool,
    rows: Rows,
    /// Which fixed sources there were, and what the live source had counted.
    newest: Newest,
    moved_out: u64,
    question: Question,
    /// Which parts give way to others of their day.
    rivals: Rivals,
}

/// Which series of which part make up a row.
enum Rows {
    /// Those of the only part, if there is one, by place.
    Places(usize),
    /// Those of the only part in the order of labels.
    ByLabels(Arc<Vec<u32>>),
    /// One place per part and row: `part count` numbers a row.
    Merged(Vec<u32>),
}

impl<'a> Selection<'a> {
    pub(super) fn new(
        reader: &'a Reader,
        (newest, moved_out): (Newest, u64),
        parts: Vec<Part>,
        (question, rivals): (Question, Rivals),
    ) -> Self {
        let is_live = parts.last().is_some_and(|part| part.source.id() == reader.live.id());
        let rows = Rows::Places(if let [part] = &parts[..] { part.series.len() } else { 0 });
        Self { reader, parts, is_live, rows, newest, moved_out, question, rivals }
    }

    /// Puts rows into the order of labels and one label set into one row.
    pub(super) fn merge(&mut self, stop: StopSign<'_>) -> Result<(), EngineError> {
        let mut orders = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            orders.push(part.series.by_labels(stop)?);
        }
        match &orders[..] {
            [] | [None] => return Ok(()),
            [Some(order)] => {
                self.rows = Rows::ByLabels((*order).clone());
                return Ok(());
            }
            _ => {}
        }
        let sources = self.parts.len();
        let lens: Vec<usize> = self.parts.iter().map(|part| part.series.len()).collect();
        let place = |source: usize, at: usize| orders[source].map_or(at as u32, |order| order[at]);
        let labels = |source: usize, at: usize| self.parts[source].series.labels(place(source, at), [ABSENT; 2]);
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
                places[row + source] = place(source, at);
                cursors[source] += 1;
            }
        }
        self.rows = Rows::Merged(places);
        Ok(())
    }

    /// Keeps the rows that have a sample in `range`.
    pub(super) fn retain_stored(&mut self, range: TimeRange, stop: StopSign<'_>) -> Result<(), EngineError> {
        // Room for all: what is not used costs no memory, and nothing moves.
        let mut kept = Vec::with_capacity(self.len() * self.parts.len());
        let mut looks = stop.looks();
        for row in 0..self.len() {
            looks.before(1)?;
            if self.is_stored(row, range)? {
                kept.extend((0..self.parts.len()).map(|part| self.place(part, row).unwrap_or(ABSENT)));
            }
        }
        self.rows = Rows::Merged(kept);
        Ok(())
    }

    fn is_stored(&self, row: usize, range: TimeRange) -> Result<bool, EngineError> {
        // The live source before its count is looked at, and both before fixed sources, as in `gather`.
        if let Some((live, place)) = self.live(row) {
            if self.has(live, place, range)? {
                return Ok(true);
            }
            if self.reader.live.moved_out() != self.moved_out {
                for later in self.later(live.series.labels(place, [ABSENT; 2]), range) {
                    let (source, series) = later?;
                    if self.confine(&*source, series.has(0, range))?.unwrap_or(false) {
                        return Ok(true);
                    }
                }
            }
        }
        for (part, place) in self.fixed(row) {
            if self.has(part, place, range)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has(&self, part: &Part, place: u32, range: TimeRange) -> Result<bool, EngineError> {
        Ok(self.confine(&*part.source, part.series.has(place, range))?.unwrap_or(false))
    }

    fn confine<T>(&self, source: &dyn Source, answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
        // Mostly there is an answer, which is nothing to go to the remarks for.
        match answer {
            Ok(answer) => Ok(Some(answer)),
            error => self.reader.remarks.confine(source, error),
        }
    }

    /// The sources that have been served since the selection's were listed and have a series in a range, each with that series alone.
    fn later(&self, labels: &Labels, range: TimeRange) -> impl Iterator<Item = Result<Later, EngineError>> {
        let sources = self.reader.manifest.list();
        // What has become buckets meanwhile was samples when the selection was made.
        let is_later = |source: &&Arc<dyn Source>| {
            self.newest.is_before(source.id()) && source.range().overlaps(range) && source.coarse().is_none()
        };
        let later: Vec<Arc<dyn Source>> = sources.iter().filter(is_later).cloned().collect();
        later.into_iter().filter_map(|source| {
            let found = self.confine(&*source, source.clone().find(labels));
            found.map(|found| found.flatten().map(|series| (source, series))).transpose()
        })
    }

    /// Where a part has the series of a row.
    #[inline]
    fn place(&self, part: usize, row: usize) -> Option<u32> {
        match &self.rows {
            Rows::Places(_) => Some(row as u32),
            Rows::ByLabels(order) => Some(order[row]),
            Rows::Merged(places) => {
                let place = places[row * self.parts.len() + part];
                (place != ABSENT).then_some(place)
            }
        }
    }

    /// The place of a row to come in a part, or none.
    #[inline]
    fn place_ahead(&self, part: usize, row: usize) -> u32 {
        if row < self.len() { self.place(part, row).unwrap_or(ABSENT) } else { ABSENT }
    }

    /// The live source's part of a row.
    #[inline]
    fn live(&self, row: usize) -> Option<(&Part, u32)> {
        let last = self.parts.len().checked_sub(1).filter(|_| self.is_live)?;
        Some((&self.parts[last], self.place(last, row)?))
    }

    /// The parts of a row that fixed sources have.
    fn fixed(&self, row: usize) -> impl Iterator<Item = (&Part, u32)> {
        let fixed = &self.parts[..self.parts.len() - usize::from(self.is_live)];
        let is_asked = move |at: usize| !self.rivals.of(at).iter().any(|&other| self.place(other, row).is_some());
        fixed.iter().enumerate().filter_map(move |(at, part)| {
            let place = self.place(at, row)?;
            is_asked(at).then_some((part, place))
        })
    }

    /// Whether any series may have buckets in place of samples.
    pub fn is_coarse(&self) -> bool {
        self.rivals.are_coarse()
    }

    /// Appends what there is of a series in a range to buckets, single samples as buckets of their own, if some of it is buckets and all
    /// else are floats. What is told else: whether the series has to be [read](Self::read), which gives the last sample of each bucket.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// # Panics
    /// If `index` is not below [`len`](Selection::len).
    pub fn read_buckets(&self, index: usize, range: TimeRange, out: &mut Buckets) -> Result<Stored, EngineError> {
        if !self.is_coarse() {
            return Ok(Stored::Samples);
        }
        let before = out.len();
        let coarse = || {
            let parts = self.fixed(index);
            parts.filter(|(part, _)| part.source.coarse().is_some() && part.source.range().overlaps(range))
        };
        coarse().for_each(|(part, place)| part.series.begin_buckets(place));
        for (part, place) in coarse() {
            let at = out.len();
            let read = part.series.read_buckets(place, range, out);
            if self.confine(&*part.source, read)?.is_none() {
                out.truncate(at);
            }
        }
        if out.len() == before {
            return Ok(Stored::Samples);
        }
        let mut samples = Columns::default();
        self.gather(index, range, false, &mut samples)?;
        samples.clip(Mark::default(), range);
        if !samples.histograms.is_empty() {
            out.truncate(before);
            return Ok(Stored::Mixed);
        }
        out.append_exact(&samples);
        out.sort();
        Ok(Stored::Buckets)
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Places(count) => *count,
            Rows::ByLabels(order) => order.len(),
            Rows::Merged(places) => places.len().checked_div(self.parts.len()).unwrap_or(0),
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
        // The live source first, whose labels lie beside its samples.
        let part = (0..self.parts.len()).rev().find_map(|part| self.place(part, index).map(|place| (part, place)));
        let (part, place) = part.expect("a row has a place in some source");
        let ahead = [LABELS_AHEAD, 2 * LABELS_AHEAD].map(|rows| self.place_ahead(part, index + rows));
        self.parts[part].series.labels(place, ahead)
    }

    /// What was [remembered](Selection::remember) for `key` about exactly these series in this order.
    pub fn recall(&self, key: &[u8]) -> Option<Finding> {
        let (part, by_labels) = self.only_part()?;
        part.listed.findings.get(by_labels, key)
    }

    /// Keeps something that follows from the labels of these series and their order alone, and takes `bytes`, for
    /// selections like this one, as long as the list of series itself is remembered and has room. Only where one source
    /// has all the series.
    pub fn remember(&self, key: &[u8], finding: Finding, bytes: usize) {
        if let Some((part, by_labels)) = self.only_part() {
            let listed = (&self.question, part.source.id(), &part.listed);
            self.reader.cache.put_finding(listed, (by_labels, key), finding, bytes);
        }
    }

    /// The only part, and whether its rows are in the order of labels by way of another order; `None` if there are several.
    fn only_part(&self) -> Option<(&Part, bool)> {
        let by_labels = match self.rows {
            Rows::Places(_) => false,
            Rows::ByLabels(_) => true,
            Rows::Merged(_) => return None,
        };
        self.parts.first().map(|part| (part, by_labels))
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
        self.gather(index, range, true, out)?;
        if out.histograms.len() > from.histograms {
            self.settle_hints(index, range, from, out)?;
        }
        out.clip(from, range);
        Ok(())
    }

    /// Puts the samples of a series in a range into a table, which is empty, if they are nothing but histograms that no source has out of
    /// order. Else `false`, which is always right: the samples have to be [read](Self::read) then, and the table has no meaning.
    ///
    /// Samples outside the range may come with it. With `with_hints` what the table says of the hints of rows in the range is what `read`
    /// gives.
    ///
    /// # Errors
    /// None: what cannot be read this way is left to `read`, which tells why.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Selection::len).
    pub fn read_table(
        &self,
        index: usize,
        range: TimeRange,
        with_hints: bool,
        out: &mut HistogramTable,
    ) -> Result<bool, EngineError> {
        if self.reader.is_plain() {
            return Ok(false);
        }
        let before_ms = if with_hints { HINT_LOOKBACK_MS } else { 0 };
        let range = TimeRange::new(range.mint.saturating_sub(before_ms), range.maxt);
        for (part, place) in self.fixed(index) {
            if !part.series.read_table(place, range, out).unwrap_or(false) {
                return Ok(false);
            }
        }
        if let Some((live, place)) = self.live(index) {
            let is_read = live.series.read_table(place, range, out).unwrap_or(false);
            // As in `gather`: samples that have moved to a source that is not in the list are not in the table.
            return Ok(is_read && self.reader.live.moved_out() == self.moved_out);
        }
        Ok(true)
    }

    /// Puts the samples of a series in a range into an outline, whatever it had, if they are nothing but floats that no source has out of order: stretches
    /// where `outlining` allows them and a source knows their statistics, else samples. Else `false`, which is always right: the
    /// samples have to be [read](Self::read) then, and the outline has no meaning.
    ///
    /// Cost: that of `read`, without decoding the stretches. A chunk of which a stretch is made is not checked for damage.
    ///
    /// # Errors
    /// None: what cannot be read this way is left to `read`, which tells why.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Selection::len).
    pub fn read_outline(
        &self,
        index: usize,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, EngineError> {
        out.clear();
        if self.rivals.are_coarse() {
            return Ok(false);
        }
        for (part, place) in self.fixed(index) {
            if !part.series.read_outline(place, ABSENT, range, outlining, out).unwrap_or(false) {
                return Ok(false);
            }
        }
        if let Some((live, place)) = self.live(index) {
            let ahead = self.place_ahead(self.parts.len() - 1, index + AHEAD);
            let is_read = live.series.read_outline(place, ahead, range, outlining, out).unwrap_or(false);
            // As in `gather`: samples that have moved to a source that is not in the list are not in the outline.
            if !is_read || self.reader.live.moved_out() != self.moved_out {
                return Ok(false);
            }
        }
        out.clip(range);
        Ok(true)
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
            self.gather(index, gap, true, out)?;
            out.clip(at, gap);
            out.sort_and_dedup(&[from]);
        }
        out.settle_hints(from);
        Ok(())
    }

    /// Appends the samples in a range, and others of the chunks they are in, in order; with the last samples of buckets if they are wanted.
    fn gather(&self, index: usize, range: TimeRange, with_coarse: bool, out: &mut Columns) -> Result<(), EngineError> {
        let from = out.mark();
        let mut ordered = true;
        // Where the sources begin: of those that may have a time in common the earliest stored first.
        let mut sources = Sources::default();
        for (part, place) in self.fixed(index) {
            if !with_coarse && part.source.coarse().is_some() {
                continue;
            }
            let at = out.mark();
            sources.begin_at(at);
            let read = part.series.read(place, ABSENT, range, out, from);
            ordered &= self.confine_read(&*part.source, read, at, out)?;
        }
        if let Some((live, place)) = self.live(index) {
            let fixed_end = out.mark();
            let ahead = self.place_ahead(self.parts.len() - 1, index + AHEAD);
            ordered &= live.series.read(place, ahead, range, out, from)?;
            // A flush may have moved samples out of the live source since the others were listed. If it dropped anything
            // before it was read, the source it went to is in the list by now: Invariant M.
            if self.reader.live.moved_out() == self.moved_out {
                sources.begin_at(fixed_end);
            } else {
                ordered = false;
                let mut live_samples = out.split_off(fixed_end);
                self.read_later(live.series.labels(place, [ABSENT; 2]), range, out, &mut sources)?;
                sources.begin_at(out.mark());
                out.append(&mut live_samples);
            }
        }
        if !ordered {
            out.sort_and_dedup(sources.marks());
        }
        Ok(())
    }

    /// Reads what sources younger than the selection have: of two samples with one time theirs, not the live source's, is the
    /// one to keep.
    fn read_later(
        &self,
        labels: &Labels,
        range: TimeRange,
        out: &mut Columns,
        sources: &mut Sources,
    ) -> Result<(), EngineError> {
        for later in self.later(labels, range) {
            let (source, series) = later?;
            let at = out.mark();
            sources.begin_at(at);
            let read = series.read(0, ABSENT, range, out, Mark::default());
            self.confine_read(&*source, read, at, out)?;
        }
        Ok(())
    }

    /// Whether what a source read is in order; nothing is read of one that cannot be asked.
    #[inline]
    fn confine_read(
        &self,
        source: &dyn Source,
        read: Result<bool, EngineError>,
        at: Mark,
        out: &mut Columns,
    ) -> Result<bool, EngineError> {
        let ordered = self.confine(source, read)?;
        if ordered.is_none() {
            out.truncate(at);
        }
        Ok(ordered.unwrap_or(true))
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
