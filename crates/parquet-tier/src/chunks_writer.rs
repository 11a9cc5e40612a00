//! `chunks.parquet`: the samples once more, as chunks of Prometheus in blobs, for programs that read prometheus-community/parquet-common.
//!
//! A row is a series, in the row groups of the labels file. Column `s_data_N` has eight hours of the day. A blob is one chunk after
//! the other, those of floats first: encoding (1 XOR, 2 histograms, 3 with float counts), first time, last time and length, each a
//! uvarint; then the bytes. `docs/format/parquet-tier.md`.

use crate::error::{Result, TierError};
use crate::labels_writer::{CHUNK_COLUMN_MS, footer};
use crate::numbers::Encodings;
use crate::schema::{self, FileKind, LabelNames};
use crate::sink::{FileDigest, FileWriter};
use crate::{DAY_MS, Day};
use mytsdb_codec::{CodecError, PrometheusEncoding, encode_prometheus};
use mytsdb_columns::Columns;
use mytsdb_model::TimeRange;
use mytsdb_varint::put_uvarint;
use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::ByteArray;
use parquet::schema::types::SchemaDescPtr;
use std::io::Write;

/// Columns of a day.
const COLUMNS: usize = (DAY_MS / CHUNK_COLUMN_MS) as usize;

/// Bytes of blobs after which the row group ends.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// Writes the file; holds the blobs of one row group.
pub(crate) struct ChunksWriter<W: Write + Send> {
    file: FileWriter<W>,
    columns: SchemaDescPtr,
    day: Day,
    rows: [Vec<ByteArray>; COLUMNS],
    bytes: usize,
    /// A column of a series, while it is written.
    part: Columns,
}

impl<W: Write + Send> ChunksWriter<W> {
    pub fn new(inner: W, day: Day) -> Result<Self> {
        let data = (0..COLUMNS)
            .map(|column| schema::plain(&format!("s_data_{column}"), Physical::BYTE_ARRAY, Repetition::REQUIRED));
        let schema = schema::file(FileKind::Chunks, &LabelNames::none(), data.collect());
        let columns = FileWriter::<W>::columns(&schema);
        let file = FileWriter::new(inner, schema, FileKind::Chunks, day, &[], footer(day))?;
        Ok(Self { file, columns, day, rows: std::array::from_fn(|_| Vec::new()), bytes: 0, part: Columns::default() })
    }

    /// Appends a series with its samples of the day, which are in order.
    pub fn push(&mut self, samples: &Columns) -> Result<()> {
        let mut from_ms = self.day.range().mint;
        for rows in &mut self.rows {
            self.part.clear();
            self.part.extend_from(samples, TimeRange::new(from_ms, from_ms + CHUNK_COLUMN_MS - 1));
            from_ms += CHUNK_COLUMN_MS;
            let blob = blob(&self.part)?;
            self.bytes += blob.len();
            rows.push(ByteArray::from(blob));
        }
        Ok(())
    }

    /// Whether the row group should end here, in the labels file too.
    pub fn is_full(&self) -> bool {
        self.bytes >= ROW_GROUP_BYTES
    }

    /// Ends the row group, if it has rows.
    pub fn flush(&mut self) -> Result<()> {
        if self.rows[0].is_empty() {
            return Ok(());
        }
        let encodings = Encodings::new();
        let mut chunks = Vec::with_capacity(COLUMNS);
        for (column, rows) in self.rows.iter_mut().enumerate() {
            chunks.push(encodings.blobs(&self.columns.column(column), &std::mem::take(rows))?);
        }
        self.bytes = 0;
        self.file.append(chunks)
    }

    pub fn finish(mut self) -> Result<(W, FileDigest)> {
        self.flush()?;
        self.file.finish()
    }
}

/// The chunks of a column of a series; nothing for no samples.
fn blob(samples: &Columns) -> Result<Vec<u8>> {
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    let made = encode_prometheus(samples, |chunk| {
        let out = if chunk.encoding == PrometheusEncoding::Xor { &mut floats } else { &mut histograms };
        put_uvarint(out, chunk.encoding as u64);
        // Times before 1970 are as they are in 64 bits.
        put_uvarint(out, chunk.range.mint as u64);
        put_uvarint(out, chunk.range.maxt as u64);
        put_uvarint(out, chunk.bytes.len() as u64);
        out.extend_from_slice(&chunk.bytes);
        Ok::<_, CodecError>(())
    });
    made.map_err(|error| TierError::corrupt(FileKind::Chunks.name(), "samples", error))?;
    floats.append(&mut histograms);
    Ok(floats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_histogram::FloatHistogram;
    use std::sync::Arc;

    #[test]
    fn chunks_of_floats_stand_before_those_of_histograms() {
        let mut samples = Columns::default();
        samples.push_histogram(5, Arc::new(FloatHistogram::default()));
        samples.push_float(300, 1.0);
        let blob = blob(&samples).unwrap();
        assert_eq!(blob[..5], [1, 0xac, 2, 0xac, 2]);
        let float_bytes = usize::from(blob[5]);
        assert_eq!(blob[6 + float_bytes..][..3], [2, 5, 5]);
    }
}
