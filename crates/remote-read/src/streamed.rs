//! Streamed answers: frames of chunks, each with its checksum.

use crate::put;
use mytsdb_codec::{CodecError, XorAppender, XorHistogramAppender};
use mytsdb_columns::Columns;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::Labels;
use mytsdb_varint::put_uvarint;
use std::sync::Arc;

/// Samples of a chunk, as Prometheus cuts them.
const CHUNK_SAMPLES: usize = 120;

/// Bytes of chunks in a frame, about: Prometheus' default of 1 MiB with room for labels.
const FRAME_BYTES: usize = 900 << 10;

/// A chunk is cut when it has so many bytes: histograms are large.
const CHUNK_BYTES: usize = 8 << 10;

/// Prometheus' numbers of the encodings.
const XOR: u64 = 1;
const FLOAT_HISTOGRAM: u64 = 3;

/// Writes the frames of one query: length, CRC32C (big-endian) and a `prometheus.ChunkedReadResponse`.
#[derive(Debug)]
pub struct Streamed {
    query_index: u64,
}

impl Streamed {
    /// The frames of the query at that place of the request.
    pub fn new(query_index: usize) -> Self {
        Self { query_index: query_index as u64 }
    }

    /// Appends the frames of a series to `out`: its floats and native histograms as chunks, ascending by time, each of one kind. A
    /// series without samples has no frame.
    ///
    /// # Errors
    /// [`CodecError`] if times do not ascend.
    pub fn series(&self, labels: &Labels, columns: &Columns, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut head = Vec::new();
        put::labels(&mut head, labels);
        let mut frames = Frames { stream: self, series: head.clone(), head, out };
        let (float_times, histogram_times) = (&columns.timestamps_ms, &columns.histogram_timestamps_ms);
        let (mut floats, mut histograms) = (0, 0);
        while floats < float_times.len() || histograms < histogram_times.len() {
            // What stands before the next sample of the other kind is one run.
            let next = histogram_times.get(histograms).copied().unwrap_or(i64::MAX);
            let run = floats..floats + float_times[floats..].partition_point(|&time| time <= next);
            floats = run.end;
            frames.floats(&float_times[run.clone()], &columns.values[run])?;
            let next = float_times.get(floats).copied();
            let is_before = |&time: &i64| next.is_none_or(|next| time < next);
            let run = histograms..histograms + histogram_times[histograms..].partition_point(is_before);
            histograms = run.end;
            frames.histograms(&histogram_times[run.clone()], &columns.histograms[run])?;
        }
        frames.end();
        Ok(())
    }

    fn frame(&self, series: &[u8], out: &mut Vec<u8>) {
        let mut message = Vec::with_capacity(series.len() + 16);
        put::bytes(&mut message, 1, series);
        put::varint(&mut message, 2, self.query_index);
        put_uvarint(out, message.len() as u64);
        out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
        out.extend_from_slice(&message);
    }
}

/// The frames of one series: each begins with its labels.
struct Frames<'a> {
    stream: &'a Streamed,
    head: Vec<u8>,
    series: Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl Frames<'_> {
    fn floats(&mut self, timestamps_ms: &[i64], values: &[f64]) -> Result<(), CodecError> {
        for (timestamps_ms, values) in timestamps_ms.chunks(CHUNK_SAMPLES).zip(values.chunks(CHUNK_SAMPLES)) {
            let mut appender = XorAppender::new();
            for (timestamp_ms, value) in timestamps_ms.iter().zip(values) {
                appender.push(*timestamp_ms, *value)?;
            }
            self.chunk(XOR, timestamps_ms, appender.bytes());
        }
        Ok(())
    }

    fn histograms(&mut self, timestamps_ms: &[i64], found: &[Arc<FloatHistogram>]) -> Result<(), CodecError> {
        let (mut appender, mut first) = (XorHistogramAppender::new(), 0);
        for (index, (timestamp_ms, histogram)) in timestamps_ms.iter().zip(found).enumerate() {
            let is_full = appender.sample_count() == CHUNK_SAMPLES || appender.bytes().len() >= CHUNK_BYTES;
            if is_full || !appender.takes(histogram) {
                self.chunk(FLOAT_HISTOGRAM, &timestamps_ms[first..index], appender.bytes());
                (appender, first) = (XorHistogramAppender::new(), index);
            }
            appender.push(*timestamp_ms, histogram)?;
        }
        self.chunk(FLOAT_HISTOGRAM, &timestamps_ms[first..], appender.bytes());
        Ok(())
    }

    /// A chunk of the samples at these times; nothing if there are none.
    fn chunk(&mut self, encoding: u64, timestamps_ms: &[i64], bytes: &[u8]) {
        let (Some(first), Some(last)) = (timestamps_ms.first(), timestamps_ms.last()) else { return };
        let mut chunk = Vec::with_capacity(bytes.len() + 32);
        put::varint(&mut chunk, 1, *first as u64);
        put::varint(&mut chunk, 2, *last as u64);
        put::varint(&mut chunk, 3, encoding);
        put::bytes(&mut chunk, 4, bytes);
        put::bytes(&mut self.series, 2, &chunk);
        if self.series.len() >= FRAME_BYTES {
            self.end();
        }
    }

    /// Ends a frame, if it has chunks.
    fn end(&mut self) {
        if self.series.len() > self.head.len() {
            self.stream.frame(&self.series, self.out);
            self.series.clone_from(&self.head);
        }
    }
}
