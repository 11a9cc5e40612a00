//! Streamed answers: frames of chunks, each with its checksum.

use crate::put;
use mytsdb_codec::{CodecError, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_model::Labels;
use mytsdb_varint::put_uvarint;

/// Samples of a chunk, as Prometheus cuts them.
const CHUNK_SAMPLES: usize = 120;

/// Bytes of chunks in a frame, about: Prometheus' default of 1 MiB with room for labels.
const FRAME_BYTES: usize = 900 << 10;

const XOR: u64 = 1;

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

    /// Appends the frames of a series to `out`: its floats as XOR chunks, ascending by time. Histograms are not looked at. A
    /// series without floats has no frame.
    ///
    /// # Errors
    /// [`CodecError`] if times do not ascend.
    pub fn series(&self, labels: &Labels, columns: &Columns, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut head = Vec::new();
        put::labels(&mut head, labels);
        let mut series = head.clone();
        let chunks = columns.timestamps_ms.chunks(CHUNK_SAMPLES).zip(columns.values.chunks(CHUNK_SAMPLES));
        for (timestamps_ms, values) in chunks {
            let mut appender = XorAppender::new();
            for (timestamp_ms, value) in timestamps_ms.iter().zip(values) {
                appender.push(*timestamp_ms, *value)?;
            }
            let mut chunk = Vec::new();
            put::varint(&mut chunk, 1, timestamps_ms[0] as u64);
            put::varint(&mut chunk, 2, timestamps_ms[timestamps_ms.len() - 1] as u64);
            put::varint(&mut chunk, 3, XOR);
            put::bytes(&mut chunk, 4, appender.bytes());
            put::bytes(&mut series, 2, &chunk);
            if series.len() >= FRAME_BYTES {
                self.frame(&series, out);
                series.clone_from(&head);
            }
        }
        if series.len() > head.len() {
            self.frame(&series, out);
        }
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
