//! One series in memory: what is open, sealed chunks, and whatever came late.
//!
//! Floats and histograms may take turns: a sample of the other kind closes what is open, so `sealed` has chunks of both.
//! What is full may wait to be packed ([`Backlog`](super::Backlog)): runs of histograms as they came, floats as an XOR chunk in `sealed`.
//!
//! Invariant K: only one of the open chunk of floats and the runs of histograms has samples.
//!
//! Invariant T: `sealed`, then the full runs, then what is open is strictly ascending in time, and no timestamp of `late` occurs in
//! them; so a timestamp is in a series' memory at most once.

mod more;
mod pack;
mod purge;

use super::chunk::{SealedChunk, Sealer, find_in};
use super::late::{Late, Open};
use super::open::OpenFloats;
use super::run::{self, RUN_SAMPLES_MAX, Run};
use crate::changes::place_of;
use crate::value::{Row, RowValue, Value};
use more::More;
use mytsdb_codec::{ChunkEncoding, CodecError, HistogramChunk};
use mytsdb_columns::{Columns, HistogramTable, Mark};
use mytsdb_model::{Labels, Sample, SeriesRef, TimeRange};
use mytsdb_sync::{Stamp, prefetch};
use parking_lot::Mutex;

/// Samples after which an open chunk is sealed, as in Prometheus.
const CHUNK_SAMPLES_MAX: usize = 120;

/// How much of a series goes into blocks, and is to be forgotten once they are published: so many of the first sealed chunks, and of the
/// first late runs. They stay where they are meanwhile.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frozen {
    pub(crate) ordered: u32,
    pub(crate) late: u32,
}

/// What a series knows of a time.
#[derive(Debug)]
pub(crate) struct Look {
    /// It is after all times of the group that this was asked of before.
    pub(crate) is_first: bool,
    /// It is after the times of all samples that were appended in order.
    pub(crate) is_newest: bool,
    /// The value in memory.
    pub(crate) value: Option<Value>,
}

#[derive(Debug, Default)]
struct Judged {
    group: u64,
    maxt_ms: i64,
}

#[derive(Debug, Default)]
struct State {
    open: OpenFloats,
    /// The newest sample ever appended in order since the series came into the head, flushed or not. The value is none if it
    /// was a histogram.
    newest: Option<Sample>,
    /// What series of floats without start times do not have.
    more: Option<Box<More>>,
    /// The newest row of the last group that asked here for any, stored or not, and the number of that group.
    judged: Judged,
    sealed: Vec<SealedChunk>,
    late: Option<Box<Late>>,
}

/// A series of the head. Shared by the catalog, the committer and queries; state behind one short lock.
#[derive(Debug)]
pub(crate) struct MemSeries {
    pub(crate) series: SeriesRef,
    pub(crate) labels: Labels,
    /// Where changes of its metric are noted.
    pub(crate) place: u16,
    stamp: Stamp,
    state: Mutex<State>,
}

impl MemSeries {
    pub(crate) fn new(series: SeriesRef, labels: Labels, epoch: u64) -> Self {
        let place = place_of(labels.metric_name());
        Self { series, labels, place, stamp: Stamp::new(epoch), state: Mutex::default() }
    }

    /// Keeps the series in the head through `epoch`, samples or not.
    pub(crate) fn touch(&self, epoch: u64) {
        self.stamp.touch(epoch);
    }

    /// Whether nobody has asked for the series in an epoch that has just been opened, nor in the one before.
    pub(crate) fn is_idle(&self, epoch: u64) -> bool {
        self.stamp.is_idle(epoch)
    }

    /// Asks for the state to be in the caches soon.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.state);
    }

    /// Adds a sample whose time is free.
    pub(crate) fn store(&self, row: Row<'_>, block_ms: i64, sealer: &mut Sealer) -> Result<(), CodecError> {
        sealer.begin(self.series);
        self.state.lock().store(row, block_ms, sealer)
    }

    /// Adds a sample unless its time is taken in the head; tells whether it did.
    pub(crate) fn restore(&self, row: Row<'_>, block_ms: i64, sealer: &mut Sealer) -> Result<bool, CodecError> {
        let mut state = self.state.lock();
        let is_taken = !state.is_newer(row.timestamp_ms) && state.get(row.timestamp_ms)?.is_some();
        if !is_taken {
            sealer.begin(self.series);
            state.store(row, block_ms, sealer)?;
        }
        Ok(!is_taken)
    }

    /// The value at a time, if there is one. `stored_value` looks the time up outside the head, in the blocks.
    pub(crate) fn value_at(
        &self,
        timestamp_ms: i64,
        stored_value: impl FnOnce() -> Option<Value>,
    ) -> Result<Option<Value>, CodecError> {
        let state = self.state.lock();
        match stored_value() {
            None if !state.is_newer(timestamp_ms) => state.get(timestamp_ms),
            found => Ok(found),
        }
    }

    /// The time of the newest sample since the series came into the head, flushed or not.
    pub(crate) fn newest_ms(&self) -> Option<i64> {
        self.state.lock().newest.map(|newest| newest.timestamp_ms)
    }

    /// The newest sample since the series came into the head, flushed or not, if it is a float.
    pub(crate) fn newest_float(&self) -> Option<(i64, f64)> {
        let state = self.state.lock();
        let is_float = state.more.as_ref().is_none_or(|more| !more.newest_is_histogram);
        state.newest.filter(|_| is_float).map(|newest| (newest.timestamp_ms, newest.value))
    }

    /// What has to be known of a time before a row of `group`, which is not 0, is stored there.
    pub(crate) fn judge(&self, group: u64, timestamp_ms: i64) -> Result<Look, CodecError> {
        let mut state = self.state.lock();
        let is_first = state.judged.group != group || timestamp_ms > state.judged.maxt_ms;
        if is_first {
            state.judged = Judged { group, maxt_ms: timestamp_ms };
        }
        let is_newest = state.is_newer(timestamp_ms);
        let value = if is_newest { None } else { state.get(timestamp_ms)? };
        Ok(Look { is_first, is_newest, value })
    }

    /// The times of the samples in memory; `TimeRange::EMPTY` if there are none.
    pub(crate) fn range(&self) -> TimeRange {
        self.state.lock().range()
    }

    /// Decodes every run that overlaps `range` behind what the columns hold; tells whether what it added is in order. Samples
    /// outside the range may come with it.
    pub(crate) fn read(&self, range: TimeRange, out: &mut Columns) -> Result<bool, CodecError> {
        let mut chunks = Vec::new();
        let (mut open, mut histograms, mut late_open) = (None, Vec::new(), None);
        {
            // Only references and the open chunk's bytes are copied under the lock.
            let state = self.state.lock();
            let from = state.sealed.partition_point(|c| c.range.maxt < range.mint);
            chunks.extend(state.sealed[from..].iter().take_while(|c| c.range.mint <= range.maxt).cloned());
            if let Some(late) = &state.late {
                late.collect(range, &mut chunks, late_open.get_or_insert_with(Open::default));
            }
            if let Some(more) = &state.more {
                more.collect(range, &mut histograms);
            }
            if state.open.range().overlaps(range) {
                if chunks.is_empty() && state.late.is_none() && state.starts_ms().is_empty() {
                    // Most reads of the last minutes end here: one short chunk, not worth a copy.
                    if !state.open.read_newest(range, out) {
                        state.open.decode(&[], out)?;
                    }
                    out.pad_starts();
                    return Ok(true);
                }
                open = Some(state.open.copy(state.starts_ms()));
            }
        }
        let mut ordered = true;
        let from = out.mark();
        for chunk in &chunks {
            let at = out.mark();
            chunk.decode(out)?;
            ordered &= out.continues_at(at, from);
        }
        let at = out.mark();
        if let Some(open) = open {
            open.decode(out)?;
        }
        run::decode(&histograms, out)?;
        ordered &= out.continues_at(at, from);
        if let Some(open) = late_open {
            ordered &= open.is_empty();
            open.decode(out)?;
        }
        Ok(ordered)
    }

    /// Appends what [`read`](Self::read) would give to a table, if that is nothing but histograms, none of them late, behind those that the
    /// table holds. Else `false`, and the table has no meaning.
    pub(crate) fn read_table(&self, range: TimeRange, out: &mut HistogramTable) -> Result<bool, CodecError> {
        let (mut chunks, mut histograms) = (Vec::new(), Vec::new());
        {
            // Only references are copied under the lock.
            let state = self.state.lock();
            let has_late = state.late.as_ref().is_some_and(|late| late.range().overlaps(range));
            if has_late || state.open.range().overlaps(range) {
                return Ok(false);
            }
            let from = state.sealed.partition_point(|c| c.range.maxt < range.mint);
            for chunk in state.sealed[from..].iter().take_while(|c| c.range.mint <= range.maxt) {
                if chunk.encoding != ChunkEncoding::Histogram {
                    return Ok(false);
                }
                chunks.push(chunk.clone());
            }
            if let Some(more) = &state.more {
                more.collect(range, &mut histograms);
            }
        }
        // The rows of one series are in order among themselves.
        let first_ms = chunks.first().map(|chunk| chunk.range.mint).or_else(|| run::first_ms(&histograms));
        if first_ms.is_some_and(|first_ms| out.timestamps_ms().last().is_some_and(|&last_ms| first_ms <= last_ms)) {
            return Ok(false);
        }
        for chunk in &chunks {
            HistogramChunk::parse(&chunk.bytes)?.decode_table(range, out)?;
        }
        run::decode_table(&histograms, out)
    }

    /// Prepares everything before `cut_ms` for blocks: tells how much it is, and the time of the first sample; `None` if there is nothing. The
    /// samples stay readable.
    pub(crate) fn freeze_before(&self, cut_ms: i64, sealer: &mut Sealer) -> Result<Option<(Frozen, i64)>, CodecError> {
        let mut state = self.state.lock();
        if state.open.range().mint < cut_ms {
            // A cut inside the open chunk leaves its second part behind as a short sealed one.
            state.seal_open(sealer)?;
        }
        if state.more.as_ref().is_some_and(|more| more.histograms().mint < cut_ms) {
            state.seal_runs(sealer)?;
        }
        let mut ordered = state.sealed.partition_point(|c| c.range.maxt < cut_ms);
        if let Some(across) = state.sealed.get(ordered).filter(|c| c.range.mint < cut_ms) {
            let [before, behind] = sealer.split(across, cut_ms)?;
            let parts = before.len();
            state.sealed.splice(ordered..=ordered, before.into_iter().chain(behind));
            ordered += parts;
        }
        state.pack_chunks(ordered, sealer)?;
        let late = state.late.as_mut().map_or(Ok(0), |late| late.freeze_before(cut_ms, sealer))?;
        let frozen = Frozen { ordered: ordered as u32, late: late as u32 };
        Ok(state.chunks(frozen).map(|chunk| chunk.range.mint).min().map(|first_ms| (frozen, first_ms)))
    }

    /// The chunk that is all of what is frozen, if it is one and lies in a range: it can be kept as it is.
    pub(crate) fn only_frozen_chunk(&self, frozen: Frozen, range: TimeRange) -> Option<SealedChunk> {
        let state = self.state.lock();
        let mut chunks = state.chunks(frozen);
        let only = chunks.next().filter(|chunk| range.encloses(chunk.range))?;
        chunks.next().is_none().then(|| only.clone())
    }

    /// Puts the samples of what is frozen in a range, in order, into the columns, which are empty. Tells what of the rest is the first from
    /// the end of the range on: a time that no sample is before, which may be no sample's; `None` if there is none.
    pub(crate) fn frozen_samples(
        &self,
        frozen: Frozen,
        range: TimeRange,
        out: &mut Columns,
    ) -> Result<Option<i64>, CodecError> {
        let (mut chunks, mut rest) = (Vec::new(), None);
        {
            // Only references are copied under the lock.
            let state = self.state.lock();
            for chunk in state.chunks(frozen) {
                if chunk.range.overlaps(range) {
                    chunks.push(chunk.clone());
                }
                if let Some(next_ms) = range.maxt.checked_add(1).filter(|next_ms| chunk.range.maxt >= *next_ms) {
                    let first_ms = chunk.range.mint.max(next_ms);
                    rest = Some(rest.map_or(first_ms, |rest: i64| rest.min(first_ms)));
                }
            }
        }
        let mut ordered = true;
        for chunk in chunks {
            let at = out.mark();
            chunk.decode(out)?;
            ordered &= out.continues_at(at, Mark::default());
        }
        if !ordered {
            out.sort_and_dedup(&[Mark::default()]);
        }
        out.clip(Mark::default(), range);
        Ok(rest)
    }

    /// Forgets what is frozen: it is published in blocks.
    pub(crate) fn drop_frozen(&self, frozen: Frozen) {
        let mut state = self.state.lock();
        state.sealed.drain(..frozen.ordered as usize);
        if let Some(late) = &mut state.late {
            late.drop_sealed(frozen.late as usize);
            if late.is_empty() {
                state.late = None;
            }
        }
        if state.sealed.is_empty() {
            state.sealed = Vec::new();
        }
    }

    /// Bytes of chunks in memory.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        let state = self.state.lock();
        let late = state.late.as_ref().map_or(0, |late| late.bytes());
        let more = state.more.as_ref().map_or(0, |more| more.heap_bytes());
        let sealed = state.sealed.iter().map(|c| c.bytes.len()).sum::<usize>();
        (sealed + state.open.bytes() + more) as u64 + late
    }
}

impl State {
    /// The chunks that are frozen.
    fn chunks(&self, frozen: Frozen) -> impl Iterator<Item = &SealedChunk> {
        let late = self.late.iter().flat_map(move |late| late.sealed(frozen.late as usize));
        self.sealed[..frozen.ordered as usize].iter().chain(late)
    }

    fn range(&self) -> TimeRange {
        let mut range = self.open.range();
        if let (Some(first), Some(last)) = (self.sealed.first(), self.sealed.last()) {
            range = range.cover(TimeRange::new(first.range.mint, last.range.maxt));
        }
        if let Some(more) = &self.more {
            range = range.cover(more.histograms());
        }
        match &self.late {
            Some(late) => range.cover(late.range()),
            None => range,
        }
    }

    /// Whether a time is after that of every sample that was appended in order.
    #[inline]
    fn is_newer(&self, timestamp_ms: i64) -> bool {
        self.newest.is_none_or(|newest| timestamp_ms > newest.timestamp_ms)
    }

    /// Adds a sample whose time is free.
    #[inline]
    fn store(&mut self, row: Row<'_>, block_ms: i64, sealer: &mut Sealer) -> Result<(), CodecError> {
        if self.is_newer(row.timestamp_ms) {
            self.push(row, block_ms, sealer)
        } else {
            self.late.get_or_insert_default().insert(row, sealer)
        }
    }

    /// The value in memory at a time not after the newest.
    fn get(&self, timestamp_ms: i64) -> Result<Option<Value>, CodecError> {
        let newest_is_float = self.more.as_ref().is_none_or(|more| !more.newest_is_histogram);
        if let Some(newest) = self.newest.filter(|n| n.timestamp_ms == timestamp_ms && newest_is_float) {
            return Ok(Some(Value::Float(newest.value)));
        }
        if let Some(value) = self.open.get(timestamp_ms)? {
            return Ok(Some(Value::Float(value)));
        }
        if let Some(bytes) = self.more.as_ref().and_then(|more| more.get(timestamp_ms)) {
            return Ok(Some(Value::Encoded(bytes.clone())));
        }
        if self.sealed.first().is_none_or(|first| timestamp_ms < first.range.mint) {
            return self.late.as_ref().map_or(Ok(None), |late| late.get(timestamp_ms));
        }
        let at = self.sealed.partition_point(|c| c.range.maxt < timestamp_ms);
        if let Some(value) = find_in(self.sealed.get(at..=at).unwrap_or(&[]), timestamp_ms)? {
            return Ok(Some(value));
        }
        self.late.as_ref().map_or(Ok(None), |late| late.get(timestamp_ms))
    }

    #[inline]
    fn push(&mut self, row: Row<'_>, block_ms: i64, sealer: &mut Sealer) -> Result<(), CodecError> {
        let RowValue::Float(value) = row.value else { return self.push_histogram(row, block_ms, sealer) };
        if self.more.is_some() {
            self.seal_runs(sealer)?;
        }
        if !self.open.is_empty() {
            // A chunk never crosses the grid that blocks are cut on, so a flush moves chunks as they are.
            let crosses = crosses(self.open.range().mint, row.timestamp_ms, block_ms);
            if crosses || self.open.len() >= CHUNK_SAMPLES_MAX {
                self.close_open(sealer)?;
            }
        }
        self.open.push(row.timestamp_ms, value, sealer.number())?;
        self.newest = Some(Sample { timestamp_ms: row.timestamp_ms, value });
        if row.start_ms != 0 || self.more.is_some() {
            self.push_start(row.start_ms);
        }
        Ok(())
    }

    /// Notes the start time of the float that was just pushed, and that it is one.
    fn push_start(&mut self, start_ms: i64) {
        let more = self.more.get_or_insert_default();
        more.newest_is_histogram = false;
        if start_ms != 0 || !more.starts_ms.is_empty() {
            more.starts_ms.resize(self.open.len() - 1, 0);
            more.starts_ms.push(start_ms);
        }
    }

    #[inline(never)]
    fn push_histogram(&mut self, row: Row<'_>, block_ms: i64, sealer: &mut Sealer) -> Result<(), CodecError> {
        let RowValue::Histogram(bytes) = row.value else { return Ok(()) };
        if !self.open.is_empty() {
            self.seal_open(sealer)?;
        }
        let run = &self.more.get_or_insert_default().run;
        if run.is_full() || !run.is_empty() && crosses(run.range().mint, row.timestamp_ms, block_ms) {
            self.close_run(sealer)?;
        }
        let more = self.more.get_or_insert_default();
        let begins_span = |newest: Sample| crosses(newest.timestamp_ms, row.timestamp_ms, block_ms);
        if more.run.is_empty() && self.newest.is_none_or(begins_span) {
            more.run = Run::with_room(sealer.first_run_samples(RUN_SAMPLES_MAX));
        }
        more.run.insert(row.timestamp_ms, row.start_ms, bytes);
        more.newest_is_histogram = true;
        self.newest = Some(Sample { timestamp_ms: row.timestamp_ms, value: f64::NAN });
        Ok(())
    }

    /// The start times of the open chunk of floats: as many as it has samples, or none.
    fn starts_ms(&self) -> &[i64] {
        self.more.as_ref().map_or(&[], |more| &more.starts_ms)
    }

    fn seal_open(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        let sealed = sealer.seal_open(&self.open, self.starts_ms())?;
        self.replace_open(sealed);
        Ok(())
    }

    /// Puts the chunk of what is open behind the others.
    fn replace_open(&mut self, sealed: SealedChunk) {
        self.sealed.push(sealed);
        self.open = OpenFloats::default();
        if let Some(more) = &mut self.more {
            more.starts_ms.clear();
        }
    }

    /// Closes the run, which is full: it waits, or becomes a chunk with those before it.
    fn close_run(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        let is_put_off = self.more.as_mut().is_none_or(|more| more.put_off_run(sealer));
        if is_put_off { Ok(()) } else { self.seal_runs(sealer) }
    }

    /// Makes chunks of all runs. After an error those that are left are as they were.
    fn seal_runs(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        let Some(more) = &mut self.more else { return Ok(()) };
        while let Some(first) = more.first_full().cloned() {
            self.sealed.extend(sealer.seal_run(&first.run)?);
            more.take_first_full(&first);
        }
        self.sealed.extend(sealer.seal_run(&more.run)?);
        more.run = Run::default();
        Ok(())
    }
}

/// Whether two times lie in different spans of the grid that blocks are cut on.
#[inline]
fn crosses(left_ms: i64, right_ms: i64, block_ms: i64) -> bool {
    left_ms.div_euclid(block_ms) != right_ms.div_euclid(block_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_MS: i64 = 1_000;

    #[derive(Debug, PartialEq)]
    enum Put {
        Stored,
        Known,
        Conflict,
    }

    fn series() -> MemSeries {
        MemSeries::new(SeriesRef(1), Labels::from_pairs([("a", "b")]), 0)
    }

    fn put(series: &MemSeries, timestamp_ms: i64, value: f64) -> Put {
        let row = Row { timestamp_ms, start_ms: 0, value: RowValue::Float(value) };
        if let Some(known) = series.judge(1, timestamp_ms).unwrap().value {
            assert!(!series.restore(row, BLOCK_MS, &mut Sealer::default()).unwrap());
            return if known.is(row.value).unwrap() { Put::Known } else { Put::Conflict };
        }
        series.store(row, BLOCK_MS, &mut Sealer::default()).unwrap();
        Put::Stored
    }

    fn all(series: &MemSeries) -> Vec<(i64, f64)> {
        let mut columns = Columns::default();
        series.read(TimeRange::ALL, &mut columns).unwrap();
        let mut samples: Vec<_> = columns.timestamps_ms.into_iter().zip(columns.values).collect();
        samples.sort_by_key(|s| s.0);
        samples
    }

    #[test]
    fn a_time_is_taken_once_in_order_or_late() {
        let s = series();
        for i in 0..500 {
            assert_eq!(put(&s, i * 10, 1.0), Put::Stored);
        }
        assert_eq!(put(&s, 4_990, 1.0), Put::Known, "newest");
        assert_eq!(put(&s, 4_990, 2.0), Put::Conflict, "newest");
        assert_eq!(put(&s, 20, 1.0), Put::Known, "sealed");
        assert_eq!(put(&s, 20, 2.0), Put::Conflict, "sealed");
        for i in 0..500 {
            assert_eq!(put(&s, 5 + (499 - i) * 10, 2.0), Put::Stored, "late, newest first");
        }
        assert_eq!(put(&s, 25, 2.0), Put::Known);
        assert_eq!(put(&s, 25, 3.0), Put::Conflict);
        assert_eq!(all(&s).len(), 1_000);
    }

    #[test]
    fn freezing_parts_a_series_at_the_cut_and_dropping_loses_nothing_newer() {
        let s = series();
        for i in 0..300 {
            put(&s, i * 10, f64::from(i as i32));
        }
        for i in 0..300 {
            put(&s, 5 + i * 10, -1.0);
        }
        let before = all(&s);
        let frozen = s.freeze_before(1_505, &mut Sealer::default()).unwrap().unwrap();
        assert_eq!(all(&s), before, "still readable");
        let (frozen, first_ms) = frozen;
        assert_eq!(first_ms, 0);
        // In two parts, the second of which begins in the middle of a chunk.
        let mut parts = Vec::new();
        for (part, rest) in [(TimeRange::new(0, 722), Some(723)), (TimeRange::new(723, i64::MAX), None)] {
            let mut columns = Columns::default();
            assert_eq!(s.frozen_samples(frozen, part, &mut columns).unwrap(), rest);
            assert!(columns.timestamps_ms.iter().all(|time| part.contains(*time)));
            parts.extend(columns.timestamps_ms.into_iter().zip(columns.values));
        }
        assert_eq!(parts, before.iter().filter(|s| s.0 < 1_505).copied().collect::<Vec<_>>());
        // A late sample that arrives between freezing and dropping stays.
        put(&s, 7, 9.0);
        s.drop_frozen(frozen);
        let mut expected: Vec<_> = before.into_iter().filter(|s| s.0 >= 1_505).collect();
        expected.insert(0, (7, 9.0));
        assert_eq!(all(&s), expected);
        assert!(s.freeze_before(7, &mut Sealer::default()).unwrap().is_none());
    }

    #[test]
    fn a_conflict_is_a_difference_of_bits() {
        let s = series();
        put(&s, 1, f64::NAN);
        assert_eq!(put(&s, 1, f64::NAN), Put::Known);
        assert_eq!(put(&s, 1, mytsdb_model::stale_nan()), Put::Conflict);
        put(&s, 2, 0.0);
        assert_eq!(put(&s, 2, -0.0), Put::Conflict);
    }
}
