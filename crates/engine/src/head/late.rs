//! Samples that came after a newer one of their series.

use super::series::{find_in, split};
use crate::chunk::{SealedChunk, Sealer};
use mytsdb_codec::CodecError;
use mytsdb_model::{Sample, TimeRange};

/// Samples a series keeps sorted by insertion before they are compressed.
const OPEN_SAMPLES_MAX: usize = 120;

/// The late samples of one series: a short sorted run, and compressed runs that may overlap each other
/// and the series' other chunks in time. No timestamp occurs twice over all of them.
#[derive(Debug, Default)]
pub(super) struct Late {
    open: Vec<Sample>,
    sealed: Vec<SealedChunk>,
}

impl Late {
    /// The value stored at `timestamp_ms`. Cost: a binary search, and a decode per overlapping run.
    pub(super) fn get(&self, timestamp_ms: i64) -> Result<Option<f64>, CodecError> {
        if let Ok(at) = self.open.binary_search_by_key(&timestamp_ms, |s| s.timestamp_ms) {
            return Ok(Some(self.open[at].value));
        }
        find_in(&self.sealed, timestamp_ms)
    }

    /// Adds a sample whose timestamp is not there yet.
    pub(super) fn insert(&mut self, sample: Sample, sealer: &mut Sealer) -> Result<(), CodecError> {
        let at = self.open.partition_point(|s| s.timestamp_ms < sample.timestamp_ms);
        self.open.insert(at, sample);
        if self.open.len() >= OPEN_SAMPLES_MAX {
            self.sealed.push(seal(&self.open, sealer)?);
            self.open.clear();
        }
        Ok(())
    }

    /// Cuts so that every sealed run lies wholly before `cut_ms` or not before it, with the runs before it
    /// first; tells how many those are.
    pub(super) fn freeze_before(&mut self, cut_ms: i64, sealer: &mut Sealer) -> Result<usize, CodecError> {
        let older = self.open.partition_point(|s| s.timestamp_ms < cut_ms);
        if older > 0 {
            let before: Vec<Sample> = self.open.drain(..older).collect();
            self.sealed.push(seal(&before, sealer)?);
        }
        let mut parts = Vec::with_capacity(self.sealed.len());
        for chunk in std::mem::take(&mut self.sealed) {
            if chunk.range.mint < cut_ms && chunk.range.maxt >= cut_ms {
                parts.extend(split(&chunk, cut_ms, sealer)?);
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

    /// Forgets the first `count` sealed runs: they are in a block now.
    pub(super) fn drop_sealed(&mut self, count: usize) {
        self.sealed.drain(..count);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.sealed.iter().map(|c| c.bytes.len()).sum::<usize>() + self.open.len() * size_of::<Sample>()) as u64
    }

    pub(super) fn range(&self) -> TimeRange {
        let mut range = TimeRange::EMPTY;
        for chunk in &self.sealed {
            range = range.cover(chunk.range);
        }
        if let (Some(first), Some(last)) = (self.open.first(), self.open.last()) {
            range = range.including(first.timestamp_ms).including(last.timestamp_ms);
        }
        range
    }

    /// Copies what overlaps `range`: sealed runs by reference, the open run by value.
    pub(super) fn collect(&self, range: TimeRange, runs: &mut Vec<SealedChunk>, open: &mut Vec<Sample>) {
        runs.extend(self.sealed.iter().filter(|c| c.range.overlaps(range)).cloned());
        open.extend(self.open.iter().filter(|s| range.contains(s.timestamp_ms)));
    }
}

/// Closes samples that are in strictly ascending order and not empty.
fn seal(samples: &[Sample], sealer: &mut Sealer) -> Result<SealedChunk, CodecError> {
    let (timestamps, values): (Vec<i64>, Vec<f64>) = samples.iter().map(|s| (s.timestamp_ms, s.value)).unzip();
    sealer.seal(&timestamps, &values)
}
