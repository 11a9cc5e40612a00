//! Chunks as the head keeps them.
//!
//! A series' newest floats are open ([`OpenFloats`]). When they are closed they are encoded anew as DX, at once or soon afterwards: a third of the size, and some five times faster to read. Histograms wait one by
//! one in a run, and become a chunk of columns.

use super::backlog::{Backlog, FullRun, Waiting};
use super::open::OpenFloats;
use super::run::Run;
use crate::value::Value;
use mytsdb_codec::{ChunkEncoding, CodecError, DxChunk, DxEncoder, DxStartsEncoder, HistogramEncoder};
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::{SeriesRef, TimeRange};
use std::sync::Arc;

/// A chunk that does not change any more.
#[derive(Debug, Clone)]
pub(crate) struct SealedChunk {
    pub(crate) range: TimeRange,
    pub(crate) sample_count: u32,
    pub(crate) encoding: ChunkEncoding,
    pub(crate) bytes: Arc<[u8]>,
}

impl SealedChunk {
    /// Appends the samples, in strictly ascending time.
    pub(crate) fn decode(&self, out: &mut Columns) -> Result<(), CodecError> {
        self.encoding.decode(&self.bytes, out)
    }

    /// Appends the times, ascending, of one that is no XOR chunk: late ones are not.
    pub(super) fn times_ms(&self, out: &mut Vec<i64>) -> Result<(), CodecError> {
        DxChunk::parse(&self.bytes)?.decode_times(out)
    }

    /// Whether a sample may have a time; one that is packed tells it exactly. Cost: some ns if times are evenly spaced.
    fn may_have_time(&self, timestamp_ms: i64) -> Result<bool, CodecError> {
        if !self.range.contains(timestamp_ms) || self.encoding == ChunkEncoding::Xor {
            return Ok(self.range.contains(timestamp_ms));
        }
        DxChunk::parse(&self.bytes)?.has_time(timestamp_ms)
    }
}

/// The value at a time in the first chunk that has it.
pub(super) fn find_in(chunks: &[SealedChunk], timestamp_ms: i64) -> Result<Option<Value>, CodecError> {
    for chunk in chunks {
        if !chunk.may_have_time(timestamp_ms)? {
            continue;
        }
        let mut columns = Columns::default();
        chunk.decode(&mut columns)?;
        if let Some(value) = Value::at(timestamp_ms, &columns) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Closes chunks; keeps memory from one to the next.
#[derive(Default)]
pub(crate) struct Sealer {
    floats: DxEncoder,
    with_starts: DxStartsEncoder,
    histograms: HistogramEncoder,
    columns: Columns,
    bytes: Vec<u8>,
    /// Where what is full may wait, if it may.
    backlog: Option<Arc<Backlog>>,
    /// The series whose samples are being stored.
    series: Option<SeriesRef>,
    /// What was put off.
    put_off: Vec<Waiting>,
}

impl Sealer {
    /// A sealer that [puts off](Self::put_off) what is full as long as there is room for it.
    pub(super) fn with_backlog(backlog: Arc<Backlog>) -> Self {
        Self { backlog: Some(backlog), ..Self::default() }
    }

    /// Tells whose samples are stored from here on.
    #[inline]
    pub(super) fn begin(&mut self, series: SeriesRef) {
        self.series = Some(series);
    }

    /// How many histograms the first run of a span has: half of `samples_max` or more, not as many for each series, so that series that
    /// began together do not fill their runs together.
    pub(super) fn first_run_samples(&self, samples_max: usize) -> usize {
        let number = self.number() as usize;
        samples_max - number % (samples_max / 2 + 1)
    }

    /// Leaves a run that is full to somebody else, or gives it back if it has to become a chunk now.
    pub(super) fn put_off(&mut self, run: Run) -> Result<Arc<FullRun>, Run> {
        let Some(backlog) = &self.backlog else { return Err(run) };
        let put_off = backlog.take(run)?;
        // The run itself says when its bytes are free.
        self.put_off.extend(self.series.map(|series| Waiting { series, bytes: 0 }));
        Ok(put_off)
    }

    /// The chunk of what is open as it is, which is left to somebody else to be packed; `None` if that has to be done now.
    pub(super) fn put_off_floats(&mut self, open: &mut OpenFloats) -> Result<Option<SealedChunk>, CodecError> {
        let Some((backlog, series)) = self.backlog.as_ref().zip(self.series) else { return Ok(None) };
        let (range, sample_count) = (open.range(), open.len() as u32);
        let bytes = open.chunk()?;
        if !backlog.take_bytes(bytes.len()) {
            return Ok(None);
        }
        self.put_off.push(Waiting { series, bytes: bytes.len() });
        Ok(Some(SealedChunk { range, sample_count, encoding: ChunkEncoding::Xor, bytes: Arc::from(bytes) }))
    }

    /// The number of the series whose samples are being stored.
    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.series.map_or(0, |series| series.0)
    }

    /// Tells who works the backlog off of what was put off.
    pub(crate) fn hand_on(&mut self) {
        if let Some(backlog) = &self.backlog {
            backlog.note(&mut self.put_off);
        }
    }

    /// Chunks of samples that are in order, each of at most `samples_max`, ascending by their first times: one is enough for
    /// so many floats, and mostly for so many histograms.
    pub(crate) fn seal(&mut self, columns: &Columns, samples_max: usize) -> Result<Vec<SealedChunk>, CodecError> {
        let mut sealed = Vec::new();
        let (times, values, starts) = (&columns.timestamps_ms, &columns.values, &columns.start_timestamps_ms);
        for from in (0..times.len()).step_by(samples_max) {
            let part = from..times.len().min(from + samples_max);
            let starts = starts.get(part.clone()).unwrap_or_default();
            sealed.push(self.seal_floats(&times[part.clone()], starts, &values[part])?);
        }
        let (times, starts) = (&columns.histogram_timestamps_ms, &columns.histogram_start_timestamps_ms);
        let mut from = 0;
        while from < times.len() {
            let part = from..times.len().min(from + samples_max);
            let starts = starts.get(part.clone()).unwrap_or_default();
            self.bytes.clear();
            let own = &columns.histograms[part.clone()];
            let taken = self.histograms.encode(&times[part], starts, own, &mut self.bytes)?;
            sealed.push(self.sealed(&times[from..from + taken], ChunkEncoding::Histogram));
            from += taken;
        }
        if !columns.timestamps_ms.is_empty() && !columns.histograms.is_empty() {
            sealed.sort_by_key(|chunk| chunk.range.mint);
        }
        Ok(sealed)
    }

    /// The chunk of floats that are in strictly ascending order and not empty, and of as many start times, or none.
    fn seal_floats(&mut self, times: &[i64], starts: &[i64], values: &[f64]) -> Result<SealedChunk, CodecError> {
        self.bytes.clear();
        if starts.iter().all(|&start_ms| start_ms == 0) {
            self.floats.encode(times, values, &mut self.bytes)?;
            return Ok(self.sealed(times, ChunkEncoding::Dx));
        }
        self.with_starts.encode(times, starts, values, &mut self.bytes)?;
        Ok(self.sealed(times, ChunkEncoding::DxStarts))
    }

    fn sealed(&self, times: &[i64], encoding: ChunkEncoding) -> SealedChunk {
        let range = TimeRange::new(times[0], times[times.len() - 1]);
        SealedChunk { range, sample_count: times.len() as u32, encoding, bytes: Arc::from(&self.bytes[..]) }
    }

    /// The chunk of what is open, which is not empty.
    pub(super) fn seal_open(&mut self, open: &OpenFloats, starts_ms: &[i64]) -> Result<SealedChunk, CodecError> {
        self.seal_decoded(|columns| open.decode(starts_ms, columns))
    }

    /// What a chunk of floats holds that waits to be packed.
    pub(super) fn pack(&mut self, waiting: &SealedChunk) -> Result<SealedChunk, CodecError> {
        self.seal_decoded(|columns| waiting.decode(columns))
    }

    fn seal_decoded(
        &mut self,
        decode: impl FnOnce(&mut Columns) -> Result<(), CodecError>,
    ) -> Result<SealedChunk, CodecError> {
        let mut columns = std::mem::take(&mut self.columns);
        columns.clear();
        decode(&mut columns)?;
        let Columns { timestamps_ms, values, start_timestamps_ms, .. } = &columns;
        let sealed = self.seal_floats(timestamps_ms, start_timestamps_ms, values)?;
        self.columns = columns;
        Ok(sealed)
    }

    /// The chunks of what a run of histograms holds, which is in order; none if it holds none.
    pub(crate) fn seal_run(&mut self, run: &Run) -> Result<Vec<SealedChunk>, CodecError> {
        if run.is_empty() {
            return Ok(Vec::new());
        }
        let (mut times, mut starts, mut singles) = (Vec::new(), Vec::new(), Vec::new());
        run.columns(&mut times, &mut starts, &mut singles);
        self.bytes.clear();
        // Mostly the histograms of a series are alike, and need not be built.
        if self.histograms.encode_singles(&times, &starts, &singles, &mut self.bytes)? {
            return Ok(vec![self.sealed(&times, ChunkEncoding::Histogram)]);
        }
        let mut columns = Columns::default();
        run.decode(&mut columns)?;
        self.seal(&columns, usize::MAX)
    }

    /// The chunks of what a chunk has before a time, and from it on.
    pub(crate) fn split(&mut self, chunk: &SealedChunk, cut_ms: i64) -> Result<[Vec<SealedChunk>; 2], CodecError> {
        let mut before = Columns::default();
        chunk.decode(&mut before)?;
        let behind = before.split_off(Mark {
            floats: before.timestamps_ms.partition_point(|&time| time < cut_ms),
            histograms: before.histogram_timestamps_ms.partition_point(|&time| time < cut_ms),
        });
        Ok([self.seal(&before, usize::MAX)?, self.seal(&behind, usize::MAX)?])
    }
}
