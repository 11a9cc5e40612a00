//! The encodings of chunks by their numbers on disk, and the one door that reads all of them.

use crate::{CodecError, DxChunk, HistogramChunk, xor_decode};
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
        let mark = out.mark();
        let read = match self {
            Self::Xor => xor_decode::decode(bytes, &mut out.timestamps_ms, &mut out.values),
            Self::Dx => DxChunk::parse(bytes).and_then(|chunk| {
                chunk.decode_times(&mut out.timestamps_ms)?;
                chunk.decode_values(&mut out.values)
            }),
            Self::Histogram => HistogramChunk::parse(bytes).and_then(|chunk| chunk.decode(out)),
        };
        if read.is_err() {
            out.truncate(mark);
        }
        out.pad_starts();
        read
    }
}
