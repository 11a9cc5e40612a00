//! Samples that came after a newer one of their series.

use super::chunk::{SealedChunk, Sealer, find_in};
use super::run::{Entry, Run};
use crate::value::{Row, RowValue, Value};
use mytsdb_codec::CodecError;
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::TimeRange;

/// Floats a series keeps sorted by insertion before they are compressed.
const OPEN_SAMPLES_MAX: usize = 120;

/// The late samples of one series: a short sorted run of each kind, and compressed runs that may overlap each other
/// and the series' other chunks in time. No timestamp occurs twice over all of them.
#[derive(Debug, Default)]
pub(super) struct Late {
    floats: Columns,
    histograms: Run,
    sealed: Vec<SealedChunk>,
    /// Ascending; has the time of each sample of `sealed`, and maybe of others that were there: so what a time that is free costs does not
    /// depend on how many runs lie over each other there.
    sealed_ms: Vec<i64>,
    /// No sample is after this; `None` if there has been none.
    maxt_ms: Option<i64>,
}

impl Late {
    /// The value stored at `timestamp_ms`. Cost: binary searches, and if there may be one, a decode of a run.
    pub(super) fn get(&self, timestamp_ms: i64) -> Result<Option<Value>, CodecError> {
        // Late samples mostly come in the order of their times: then one comparison tells that they are new.
        if self.maxt_ms.is_none_or(|maxt_ms| maxt_ms < timestamp_ms) {
            return Ok(None);
        }
        if let Some(bytes) = self.histograms.get(timestamp_ms) {
            return Ok(Some(Value::Encoded(bytes.clone())));
        }
        match Value::at(timestamp_ms, &self.floats) {
            None if self.sealed_ms.binary_search(&timestamp_ms).is_ok() => find_in(&self.sealed, timestamp_ms),
            found => Ok(found),
        }
    }

    /// Adds a sample whose timestamp is not there yet.
    pub(super) fn insert(&mut self, row: Row<'_>, sealer: &mut Sealer) -> Result<(), CodecError> {
        self.maxt_ms = self.maxt_ms.max(Some(row.timestamp_ms));
        let value = match row.value {
            RowValue::Float(value) => value,
            RowValue::Histogram(bytes) => {
                self.histograms.insert(row.timestamp_ms, row.start_ms, bytes);
                return if self.histograms.is_full() { self.seal_histograms(sealer) } else { Ok(()) };
            }
        };
        let floats = &mut self.floats;
        let times = &floats.timestamps_ms;
        let is_last = times.last().is_none_or(|&last_ms| last_ms < row.timestamp_ms);
        let at = if is_last { times.len() } else { times.partition_point(|&time| time < row.timestamp_ms) };
        if row.start_ms != 0 || !floats.start_timestamps_ms.is_empty() {
            floats.start_timestamps_ms.resize(floats.timestamps_ms.len(), 0);
            floats.start_timestamps_ms.insert(at, row.start_ms);
        }
        floats.timestamps_ms.insert(at, row.timestamp_ms);
        floats.values.insert(at, value);
        let is_full = match floats.len() {
            len if len < OPEN_SAMPLES_MAX / 2 => false,
            len if self.sealed.is_empty() => len >= sealer.first_run_samples(OPEN_SAMPLES_MAX),
            len => len >= OPEN_SAMPLES_MAX,
        };
        if is_full { self.seal_floats(sealer) } else { Ok(()) }
    }

    fn seal_floats(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        self.sealed.extend(sealer.seal(&self.floats, OPEN_SAMPLES_MAX)?);
        note(&mut self.sealed_ms, self.floats.timestamps_ms.iter().copied());
        self.floats.clear();
        Ok(())
    }

    fn seal_histograms(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        self.sealed.extend(sealer.seal_run(&self.histograms)?);
        note(&mut self.sealed_ms, self.histograms.times_ms());
        self.histograms = Run::default();
        Ok(())
    }

    /// Cuts so that every sealed run lies wholly before `cut_ms` or not before it, with the runs before it
    /// first; tells how many those are.
    pub(super) fn freeze_before(&mut self, cut_ms: i64, sealer: &mut Sealer) -> Result<usize, CodecError> {
        let older = self.floats.timestamps_ms.partition_point(|&time| time < cut_ms);
        let newer = self.floats.split_off(Mark { floats: older, histograms: 0 });
        self.seal_floats(sealer)?;
        self.floats = newer;
        let newer = self.histograms.split_off(cut_ms);
        self.seal_histograms(sealer)?;
        self.histograms = newer;
        let mut parts = Vec::with_capacity(self.sealed.len());
        for chunk in std::mem::take(&mut self.sealed) {
            if chunk.range.mint < cut_ms && chunk.range.maxt >= cut_ms {
                parts.extend(sealer.split(&chunk, cut_ms)?.into_iter().flatten());
            } else {
                parts.push(chunk);
            }
        }
        parts.sort_by_key(|c| c.range.maxt >= cut_ms);
        self.sealed = parts;
        Ok(self.sealed.iter().take_while(|c| c.range.maxt < cut_ms).count())
    }

    /// The first `count` sealed runs.
    pub(super) fn sealed(&self, count: usize) -> &[SealedChunk] {
        &self.sealed[..count]
    }

    /// Late samples that are in these runs.
    pub(super) fn of(sealed: Vec<SealedChunk>) -> Result<Self, CodecError> {
        let maxt_ms = sealed.iter().map(|chunk| chunk.range.maxt).max();
        let mut sealed_ms = Vec::new();
        for chunk in &sealed {
            chunk.times_ms(&mut sealed_ms)?;
        }
        sealed_ms.sort_unstable();
        Ok(Self { sealed, sealed_ms, maxt_ms, ..Self::default() })
    }

    /// Compresses everything that is not yet.
    pub(super) fn seal_all(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        self.seal_floats(sealer)?;
        self.seal_histograms(sealer)
    }

    /// All sealed runs.
    pub(super) fn all_sealed(&self) -> &[SealedChunk] {
        &self.sealed
    }

    /// Forgets the first `count` sealed runs: they are in a block now.
    pub(super) fn drop_sealed(&mut self, count: usize) {
        self.sealed.drain(..count);
        let left = self.sealed.iter().fold(TimeRange::EMPTY, |left, chunk| left.cover(chunk.range));
        self.sealed_ms.retain(|&time| left.contains(time));
        self.sealed_ms.shrink_to_fit();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty() && self.sealed.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        let sealed = self.sealed.iter().map(|c| c.bytes.len()).sum::<usize>();
        let times = self.sealed_ms.len() * size_of::<i64>();
        (sealed + times + self.floats.heap_bytes() + self.histograms.heap_bytes()) as u64
    }

    pub(super) fn range(&self) -> TimeRange {
        let open = self.floats.range(Mark::default()).cover(self.histograms.range());
        self.sealed.iter().fold(open, |range, chunk| range.cover(chunk.range))
    }

    /// Copies what overlaps `range`: sealed runs and histograms by reference, open floats by value.
    pub(super) fn collect(&self, range: TimeRange, runs: &mut Vec<SealedChunk>, open: &mut Open) {
        runs.extend(self.sealed.iter().filter(|c| c.range.overlaps(range)).cloned());
        open.floats.extend_from(&self.floats, range);
        self.histograms.collect(range, &mut open.histograms);
    }
}

/// Adds times that ascend to others that do.
#[expect(clippy::stable_sort_primitive, reason = "the stable sort merges what is sorted in parts, in linear time")]
fn note(sealed_ms: &mut Vec<i64>, times_ms: impl Iterator<Item = i64>) {
    let before = sealed_ms.len();
    sealed_ms.extend(times_ms);
    // Late samples mostly come in the order of their times. If not, there are two ascending halves, which this sort finds and merges.
    if sealed_ms[before.saturating_sub(1)..].get(..2).is_some_and(|pair| pair[0] > pair[1]) {
        sealed_ms.sort();
    }
}

/// Late samples that are in no run yet.
#[derive(Default)]
pub(super) struct Open {
    floats: Columns,
    histograms: Vec<Entry>,
}

impl Open {
    pub(super) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Appends them to the columns.
    pub(super) fn decode(mut self, out: &mut Columns) -> Result<(), CodecError> {
        out.append(&mut self.floats);
        super::run::decode(&self.histograms, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(timestamp_ms: i64) -> Row<'static> {
        Row { timestamp_ms, start_ms: 0, value: RowValue::Float(timestamp_ms as f64) }
    }

    #[test]
    fn a_time_is_found_however_often_runs_went_over_it_and_after_some_are_dropped() {
        let (mut late, mut sealer) = (Late::default(), Sealer::default());
        // Ten passes over the same hour, each a little further.
        for pass in 0..10 {
            for at in 0..300 {
                assert!(late.get(at * 100 + pass * 7).unwrap().is_none());
                late.insert(row(at * 100 + pass * 7), &mut sealer).unwrap();
            }
        }
        let check = |late: &Late, from: i64| {
            for time in 0..30_100 {
                let is_there = time >= from && time < 30_000 && time % 100 % 7 == 0 && time % 100 <= 63;
                let found = late.get(time).unwrap();
                assert_eq!(found.is_some(), is_there, "{time}");
                assert!(found.is_none_or(|value| value.is(row(time).value).unwrap()));
            }
        };
        check(&late, 0);
        let frozen = late.freeze_before(12_345, &mut sealer).unwrap();
        check(&late, 0);
        late.drop_sealed(frozen);
        check(&late, 12_345);
        late.seal_all(&mut sealer).unwrap();
        let late = Late::of(late.all_sealed().to_vec()).unwrap();
        check(&late, 12_345);
    }
}
