//! DX chunks with a column of start times between times and values.

use super::encode::ColumnWriter;
use super::read_columns::{take_integers, take_values};
use super::{DX_SAMPLES_MAX, DxChunk};
use crate::CodecError;
use crate::varint::put_uvarint;
use mytsdb_columns::Columns;

/// Writes chunks of [`ChunkEncoding::DxStarts`](crate::ChunkEncoding::DxStarts); keeps its scratch memory from one to the
/// next, at most 2 MiB.
#[derive(Debug, Default)]
pub struct DxStartsEncoder {
    writer: ColumnWriter,
}

impl DxStartsEncoder {
    /// Appends one chunk to `out`: times in ms since the epoch, strictly ascending, as many start times (0 = not known), and
    /// as many values, 1 to [`DX_SAMPLES_MAX`] of each.
    ///
    /// Any i64 is a legal start time and any bits are a legal value. Cost: that of
    /// [`DxEncoder`](crate::DxEncoder::encode) and one more column.
    ///
    /// ```
    /// use mytsdb_codec::{ChunkEncoding, DxStartsEncoder};
    /// use mytsdb_columns::Columns;
    ///
    /// let mut bytes = Vec::new();
    /// DxStartsEncoder::default().encode(&[1_000, 16_000], &[500, 500], &[3.0, 4.0], &mut bytes)?;
    /// let mut columns = Columns::default();
    /// ChunkEncoding::DxStarts.decode(&bytes, &mut columns)?;
    /// assert_eq!((columns.start_timestamps_ms, columns.values), (vec![500, 500], vec![3.0, 4.0]));
    /// # Ok::<(), mytsdb_codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// [`CodecError::Columns`] or [`CodecError::OutOfOrder`]; then `out` is as it was.
    pub fn encode(
        &mut self,
        timestamps_ms: &[i64],
        start_timestamps_ms: &[i64],
        values: &[f64],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let count = timestamps_ms.len();
        if count == 0 || count > DX_SAMPLES_MAX || values.len() != count || start_timestamps_ms.len() != count {
            return Err(CodecError::Columns { timestamps: count, values: values.len().min(start_timestamps_ms.len()) });
        }
        if let Some(pair) = timestamps_ms.windows(2).find(|pair| pair[1] <= pair[0]) {
            return Err(CodecError::OutOfOrder { timestamp_ms: pair[1], last_ms: pair[0] });
        }
        let mut times = Vec::new();
        put_uvarint(&mut times, count as u64 - 1);
        self.writer.put_integers(timestamps_ms, &mut times);
        put_uvarint(out, times.len() as u64);
        out.extend_from_slice(&times);
        self.writer.put_integers(start_timestamps_ms, out);
        self.writer.put_values(values, out);
        Ok(())
    }
}

/// Appends the samples of a chunk whose value column is one of start times and one of values; on error some may have been
/// appended. `out` has its start times in order.
///
/// Allocates as [`DxChunk::decode_times`] does, for three columns.
pub(crate) fn decode_with_starts(chunk: &DxChunk<'_>, out: &mut Columns) -> Result<(), CodecError> {
    let count = chunk.sample_count();
    let mut rest = chunk.value_column();
    let mut starts = Vec::new();
    take_integers(&mut rest, count, &mut starts)?;
    take_values(&mut rest, count, &mut out.values)?;
    if !rest.is_empty() {
        return Err(CodecError::Damaged { reason: "bytes behind the values" });
    }
    let before = out.timestamps_ms.len();
    chunk.decode_times(&mut out.timestamps_ms)?;
    out.start_timestamps_ms.resize(before, 0);
    out.start_timestamps_ms.append(&mut starts);
    Ok(())
}
