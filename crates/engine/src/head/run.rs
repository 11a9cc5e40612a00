//! Histograms of one series that are not in a chunk yet.

use crate::value::{self, Encoded};
use mytsdb_codec::CodecError;
use mytsdb_columns::{Columns, HistogramTable};
use mytsdb_model::TimeRange;
use std::sync::Arc;

/// Histograms after which a run becomes a chunk, as for floats.
pub(super) const RUN_SAMPLES_MAX: usize = 120;

/// Bytes after which it does: 120 histograms of some 400 buckets.
const RUN_BYTES_MAX: usize = 64 << 10;

/// A histogram as it came. A clone shares its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    timestamp_ms: i64,
    start_ms: i64,
    bytes: Encoded,
}

/// Histograms in strictly ascending order of time; the bytes are those that the batch had, and the log.
///
/// Holds at most [`RUN_SAMPLES_MAX`] entries and [`RUN_BYTES_MAX`] bytes and one histogram, if whoever appends asks
/// [`is_full`](Self::is_full).
#[derive(Debug)]
pub(crate) struct Run {
    entries: Vec<Entry>,
    bytes: usize,
    samples_max: usize,
}

impl Default for Run {
    fn default() -> Self {
        Self::with_room(RUN_SAMPLES_MAX)
    }
}

impl Run {
    /// A run that is full when it has so many histograms.
    pub(super) const fn with_room(samples_max: usize) -> Self {
        Self { entries: Vec::new(), bytes: 0, samples_max }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.samples_max || self.bytes >= RUN_BYTES_MAX
    }

    /// Adds a histogram whose time is not there yet. Cost: that of moving those behind it.
    pub(super) fn insert(&mut self, timestamp_ms: i64, start_ms: i64, bytes: &Encoded) {
        let at = self.entries.partition_point(|entry| entry.timestamp_ms < timestamp_ms);
        self.entries.insert(at, Entry { timestamp_ms, start_ms, bytes: bytes.clone() });
        self.bytes += bytes.len();
    }

    pub(super) fn get(&self, timestamp_ms: i64) -> Option<&Encoded> {
        let at = self.entries.binary_search_by_key(&timestamp_ms, |entry| entry.timestamp_ms).ok()?;
        Some(&self.entries[at].bytes)
    }

    pub(super) fn range(&self) -> TimeRange {
        let ends = self.entries.first().zip(self.entries.last());
        ends.map_or(TimeRange::EMPTY, |(first, last)| TimeRange::new(first.timestamp_ms, last.timestamp_ms))
    }

    /// Takes what is not before a time.
    pub(super) fn split_off(&mut self, cut_ms: i64) -> Self {
        let older = self.entries.partition_point(|entry| entry.timestamp_ms < cut_ms);
        let entries = self.entries.split_off(older);
        let bytes = entries.iter().map(|entry| entry.bytes.len()).sum();
        self.bytes -= bytes;
        Self { entries, bytes, samples_max: self.samples_max }
    }

    /// Times, ascending.
    pub(super) fn times_ms(&self) -> impl Iterator<Item = i64> {
        self.entries.iter().map(|entry| entry.timestamp_ms)
    }

    /// Appends the histograms in a range, and the one before it: it tells whether the first continues its counter.
    pub(super) fn collect(&self, range: TimeRange, out: &mut Vec<Entry>) {
        let end = self.entries.partition_point(|entry| entry.timestamp_ms <= range.maxt);
        let start = self.entries[..end].partition_point(|entry| entry.timestamp_ms < range.mint);
        if start < end {
            out.extend_from_slice(&self.entries[start.saturating_sub(1)..end]);
        }
    }

    /// Appends all of them.
    pub(crate) fn decode(&self, out: &mut Columns) -> Result<(), CodecError> {
        decode(&self.entries, out)
    }

    /// Appends times, start times (as many, or none if none is known) and encoded histograms.
    pub(super) fn columns<'a>(&'a self, times_ms: &mut Vec<i64>, starts_ms: &mut Vec<i64>, out: &mut Vec<&'a [u8]>) {
        for entry in &self.entries {
            times_ms.push(entry.timestamp_ms);
            out.push(&entry.bytes);
        }
        if self.entries.iter().any(|entry| entry.start_ms != 0) {
            starts_ms.extend(self.entries.iter().map(|entry| entry.start_ms));
        }
    }

    /// Bytes in memory.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes + self.entries.len() * size_of::<Entry>()
    }
}

/// The time of the first.
pub(super) fn first_ms(entries: &[Entry]) -> Option<i64> {
    entries.first().map(|entry| entry.timestamp_ms)
}

/// Appends histograms to a table, if they are such that it can be done without building them; else `false`, and the table has no
/// meaning.
pub(super) fn decode_table(entries: &[Entry], out: &mut HistogramTable) -> Result<bool, CodecError> {
    let times: Vec<i64> = entries.iter().map(|entry| entry.timestamp_ms).collect();
    let starts: Vec<i64> = entries.iter().map(|entry| entry.start_ms).collect();
    let singles: Vec<&[u8]> = entries.iter().map(|entry| &*entry.bytes).collect();
    mytsdb_codec::take_singles(&times, &starts, &singles, out)
}

/// Appends histograms to the columns.
pub(super) fn decode(entries: &[Entry], out: &mut Columns) -> Result<(), CodecError> {
    for entry in entries {
        out.push_histogram_since(entry.timestamp_ms, entry.start_ms, Arc::new(value::decode(&entry.bytes)?));
    }
    Ok(())
}
