//! Streamed answers: frames of chunks, each with its checksum.

use crate::put;
use mytsdb_codec::{CodecError, encode_prometheus};
use mytsdb_columns::Columns;
use mytsdb_model::Labels;
use mytsdb_varint::put_uvarint;

/// Bytes of chunks in a frame, about: Prometheus' default of 1 MiB with room for labels.
const FRAME_BYTES: usize = 900 << 10;

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
        let (mut series, mut message) = (head.clone(), Vec::new());
        encode_prometheus(columns, |chunk| {
            message.clear();
            put::varint(&mut message, 1, chunk.range.mint as u64);
            put::varint(&mut message, 2, chunk.range.maxt as u64);
            put::varint(&mut message, 3, chunk.encoding as u64);
            put::bytes(&mut message, 4, &chunk.bytes);
            put::bytes(&mut series, 2, &message);
            if series.len() >= FRAME_BYTES {
                self.frame(&series, out);
                series.clone_from(&head);
            }
            Ok::<_, CodecError>(())
        })?;
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
