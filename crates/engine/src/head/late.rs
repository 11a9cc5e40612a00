//! Samples that came after a newer one of their series.

use super::chunk::{SealedChunk, Sealer};
use super::run::{Entry, Run};
use super::series::find_in;
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
    /// No sample is after this; `None` if there has been none.
    maxt_ms: Option<i64>,
}

impl Late {
    /// The value stored at `timestamp_ms`. Cost: a binary search, and a decode per overlapping run.
    pub(super) fn get(&self, timestamp_ms: i64) -> Result<Option<Value>, CodecError> {
        // Late samples mostly come in the order of their times: then one comparison tells that they are new.
        if self.maxt_ms.is_none_or(|maxt_ms| maxt_ms < timestamp_ms) {
            return Ok(None);
        }
        if let Some(bytes) = self.histograms.get(timestamp_ms) {
            return Ok(Some(Value::Encoded(bytes.clone())));
        }
        match Value::at(timestamp_ms, &self.floats) {
            None => find_in(&self.sealed, timestamp_ms),
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
                if self.histograms.is_full() {
                    self.sealed.extend(sealer.seal_run(&self.histograms)?);
                    self.histograms = Run::default();
                }
                return Ok(());
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
        if floats.len() >= OPEN_SAMPLES_MAX {
            self.sealed.extend(sealer.seal(floats, OPEN_SAMPLES_MAX)?);
            floats.clear();
        }
        Ok(())
    }

    /// Cuts so that every sealed run lies wholly before `cut_ms` or not before it, with the runs before it
    /// first; tells how many those are.
    pub(super) fn freeze_before(&mut self, cut_ms: i64, sealer: &mut Sealer) -> Result<usize, CodecError> {
        let older = self.floats.timestamps_ms.partition_point(|&time| time < cut_ms);
        let newer = self.floats.split_off(Mark { floats: older, histograms: 0 });
        self.sealed.extend(sealer.seal(&self.floats, OPEN_SAMPLES_MAX)?);
        self.floats = newer;
        self.sealed.extend(sealer.seal_run(&self.histograms.take_before(cut_ms))?);
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
    pub(super) fn of(sealed: Vec<SealedChunk>) -> Self {
        let maxt_ms = sealed.iter().map(|chunk| chunk.range.maxt).max();
        Self { sealed, maxt_ms, ..Self::default() }
    }

    /// Compresses everything that is not yet.
    pub(super) fn seal_all(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        self.sealed.extend(sealer.seal(&self.floats, OPEN_SAMPLES_MAX)?);
        self.floats.clear();
        self.sealed.extend(sealer.seal_run(&self.histograms)?);
        self.histograms = Run::default();
        Ok(())
    }

    /// All sealed runs.
    pub(super) fn all_sealed(&self) -> &[SealedChunk] {
        &self.sealed
    }

    /// Forgets the first `count` sealed runs: they are in a block now.
    pub(super) fn drop_sealed(&mut self, count: usize) {
        self.sealed.drain(..count);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty() && self.sealed.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        let sealed = self.sealed.iter().map(|c| c.bytes.len()).sum::<usize>();
        (sealed + self.floats.heap_bytes() + self.histograms.heap_bytes()) as u64
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
