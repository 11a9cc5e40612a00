//! The encodings of chunks by their numbers on disk, and one function that reads all of them.

use crate::dx::decode_with_starts;
use crate::{CodecError, DxChunk, HistogramChunk, xor};
use mytsdb_columns::Columns;

/// How the bytes of a chunk are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ChunkEncoding {
    /// Float samples, `docs/format/xor-chunk.md`.
    Xor = 1,
    /// Float samples, `docs/format/dx-chunk.md`.
    Dx = 2,
    /// Native histograms, `docs/format/histogram-chunk.md`.
    Histogram = 3,
    /// Float samples with start times, `docs/format/dx-chunk.md`.
    DxStarts = 4,
}

impl ChunkEncoding {
    /// The encoding of that number.
    ///
    /// # Errors
    /// [`CodecError::UnknownEncoding`].
    pub fn from_number(number: u8) -> Result<Self, CodecError> {
        match number {
            1 => Ok(Self::Xor),
            2 => Ok(Self::Dx),
            3 => Ok(Self::Histogram),
            4 => Ok(Self::DxStarts),
            _ => Err(CodecError::UnknownEncoding { number }),
        }
    }

    /// The number on disk; not 0.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Appends the samples of a whole chunk, ascending in time.
    ///
    /// ```
    /// use mytsdb_codec::{ChunkEncoding, DxEncoder};
    /// use mytsdb_columns::Columns;
    ///
    /// let mut bytes = Vec::new();
    /// DxEncoder::default().encode(&[1_000, 16_000], &[0.5, 0.75], &mut bytes)?;
    /// let mut columns = Columns::default();
    /// ChunkEncoding::from_number(2)?.decode(&bytes, &mut columns)?;
    /// assert_eq!(columns.values, [0.5, 0.75]);
    /// # Ok::<(), mytsdb_codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// What the encoding finds wrong; then `out` has the samples that it had.
    pub fn decode(self, bytes: &[u8], out: &mut Columns) -> Result<(), CodecError> {
        self.decode_columns(None, bytes, out)
    }

    /// The same for a chunk whose time column, if there is one here, is kept apart from `bytes`, as
    /// [`DxChunk::time_column`] and [`DxChunk::value_column`] part it. Every encoding but XOR begins as a DX chunk does.
    ///
    /// # Errors
    /// What the encoding finds wrong, also if it has no time column; then `out` has the samples that it had.
    pub fn decode_columns(self, times: Option<&[u8]>, bytes: &[u8], out: &mut Columns) -> Result<(), CodecError> {
        let mark = out.mark();
        out.pad_starts();
        let read = match self {
            Self::Xor if times.is_some() => {
                Err(CodecError::Damaged { reason: "a time column apart from an XOR chunk" })
            }
            Self::Xor => xor::decode(bytes, &mut out.timestamps_ms, &mut out.values),
            Self::Dx => front(times, bytes).and_then(|chunk| {
                chunk.decode_times(&mut out.timestamps_ms)?;
                chunk.decode_values(&mut out.values)
            }),
            Self::Histogram => match times {
                Some(times) => HistogramChunk::from_columns(times, bytes),
                None => HistogramChunk::parse(bytes),
            }
            .and_then(|chunk| chunk.decode(out)),
            Self::DxStarts => front(times, bytes).and_then(|chunk| decode_with_starts(&chunk, out)),
        };
        if read.is_err() {
            out.truncate(mark);
        }
        out.pad_starts();
        read
    }
}

#[inline]
fn front<'a>(times: Option<&'a [u8]>, bytes: &'a [u8]) -> Result<DxChunk<'a>, CodecError> {
    match times {
        Some(times) => DxChunk::from_columns(times, bytes),
        None => DxChunk::parse(bytes),
    }
}
