//! Samples cut into chunks so that series share time columns.

use crate::chunk::ChunkRef;
use crate::error::BlockError;
use crate::v2::BlockWriter;
use mytsdb_codec::{ChunkEncoding, CodecError, DxEncoder, DxStartsEncoder, HistogramEncoder};
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, TimeRange};
use std::collections::HashSet;
use std::ops::Range;

/// Most samples of a chunk.
const CHUNK_SAMPLES_MAX: usize = 1_024;

/// A chunk with at least this many samples ends early where other series begin a chunk.
const CHUNK_SAMPLES_MIN: usize = 120;

/// Places between chunks that are remembered. Beyond that all are forgotten: series that share times are mostly neighbours.
const CUTS_MAX: usize = 1 << 16;

/// Encodes series and hands them to a writer; keeps its memory from one to the next.
#[derive(Default)]
pub(super) struct Cutter {
    floats: DxEncoder,
    floats_since: DxStartsEncoder,
    histograms: HistogramEncoder,
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
    /// Where chunks of this block end and begin: the times before and behind. Both, because one alone is often that of a
    /// series of another rhythm.
    cuts: HashSet<(i64, i64), foldhash::fast::FixedState>,
}

/// A chunk that has been encoded.
struct Chunk {
    range: TimeRange,
    sample_count: u32,
    encoding: ChunkEncoding,
    /// Where its bytes are.
    place: Range<usize>,
}

impl Cutter {
    /// Writes a series whose samples are in order and not empty.
    pub(super) fn write(
        &mut self,
        labels: &Labels,
        columns: &Columns,
        writer: &mut BlockWriter,
    ) -> Result<(), BlockError> {
        self.bytes.clear();
        self.chunks.clear();
        let encoded = self.put_floats(columns).and_then(|()| self.put_histograms(columns));
        encoded.map_err(|error| BlockError::NotEncoded { labels: labels.to_string(), source: error })?;
        self.chunks.sort_by_key(|chunk| chunk.range.mint);
        let chunks = self.chunks.iter().map(|chunk| ChunkRef {
            range: chunk.range,
            sample_count: chunk.sample_count,
            encoding: chunk.encoding.number(),
            bytes: &self.bytes[chunk.place.clone()],
        });
        writer.add_series(labels, chunks)
    }

    fn put_floats(&mut self, columns: &Columns) -> Result<(), CodecError> {
        let (times, mut at) = (&columns.timestamps_ms, 0);
        while at < times.len() {
            let samples = at..at + self.end(&times[at..]);
            let starts = columns.start_timestamps_ms.get(samples.clone()).unwrap_or_default();
            let (times, values) = (&times[samples.clone()], &columns.values[samples.clone()]);
            let from = self.bytes.len();
            let encoding = if starts.iter().any(|&start_ms| start_ms != 0) {
                self.floats_since.encode(times, starts, values, &mut self.bytes)?;
                ChunkEncoding::DxStarts
            } else {
                self.floats.encode(times, values, &mut self.bytes)?;
                ChunkEncoding::Dx
            };
            self.push(times, encoding, from);
            at = samples.end;
        }
        Ok(())
    }

    fn put_histograms(&mut self, columns: &Columns) -> Result<(), CodecError> {
        let (times, mut at) = (&columns.histogram_timestamps_ms, 0);
        while at < times.len() {
            let samples = at..at + self.end(&times[at..]);
            let starts = columns.histogram_start_timestamps_ms.get(samples.clone()).unwrap_or_default();
            let from = self.bytes.len();
            let histograms = &columns.histograms[samples.clone()];
            // Fewer, if they are large.
            let taken = self.histograms.encode(&times[samples], starts, histograms, &mut self.bytes)?;
            self.push(&times[at..at + taken], ChunkEncoding::Histogram, from);
            at += taken;
        }
        Ok(())
    }

    fn push(&mut self, times: &[i64], encoding: ChunkEncoding, from: usize) {
        let range = TimeRange::new(times[0], times[times.len() - 1]);
        self.chunks.push(Chunk { range, sample_count: times.len() as u32, encoding, place: from..self.bytes.len() });
    }

    /// How many samples the next chunk takes.
    fn end(&mut self, times: &[i64]) -> usize {
        if times.len() <= CHUNK_SAMPLES_MAX {
            return times.len();
        }
        let cut = |end: usize| (times[end - 1], times[end]);
        let shared = (CHUNK_SAMPLES_MIN..=CHUNK_SAMPLES_MAX).rev().find(|&end| self.cuts.contains(&cut(end)));
        shared.unwrap_or_else(|| {
            if self.cuts.len() >= CUTS_MAX {
                self.cuts.clear();
            }
            self.cuts.insert(cut(CHUNK_SAMPLES_MAX));
            CHUNK_SAMPLES_MAX
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_with_a_gap_falls_back_into_step() {
        let mut cutter = Cutter::default();
        let mut ends = |times: &[i64]| {
            let (mut at, mut ends) = (0, Vec::new());
            while at < times.len() {
                at += cutter.end(&times[at..]);
                ends.push(times[at - 1]);
            }
            ends
        };
        let all: Vec<i64> = (0..5_000).collect();
        assert_eq!(ends(&all), [1_023, 2_047, 3_071, 4_095, 4_999]);
        let gap: Vec<i64> = all.iter().copied().filter(|time| !(700..900).contains(time)).collect();
        assert_eq!(ends(&gap), [1_023, 2_047, 3_071, 4_095, 4_999], "one chunk is short");
        let late = &all[100..];
        assert_eq!(ends(late), [1_023, 2_047, 3_071, 4_095, 4_999], "a series that begins later");
        assert_eq!(ends(&all[600..]), [1_023, 2_047, 3_071, 4_095, 4_999], "one that begins later still");
        assert_eq!(ends(&all[1_000..])[..2], [2_023, 3_047], "a chunk of two dozen samples is none");
        assert_eq!(ends(&all[4_500..]), [4_999]);
    }
}
