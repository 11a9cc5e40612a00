//! Chunks as a writer takes them, as a block describes them, and as it hands them out.

use mytsdb_codec::{ChunkEncoding, CodecError, DxChunk, HistogramChunk};
use mytsdb_columns::Columns;
use mytsdb_model::TimeRange;

/// Whether a number stands for an encoding of floats without start times. A block that is plain has chunks of no other that
/// it can read.
pub(crate) fn is_plain(encoding: u8) -> bool {
    [ChunkEncoding::Xor, ChunkEncoding::Dx].iter().any(|plain| plain.number() == encoding)
}

/// A chunk to be written.
#[derive(Debug, Clone, Copy)]
pub struct ChunkRef<'a> {
    /// Times of the first and the last sample; not empty.
    pub range: TimeRange,
    /// At least 1.
    pub sample_count: u32,
    /// The number of a [`ChunkEncoding`], or of one that this release does not know; not 0.
    pub encoding: u8,
    /// 1 byte to [`ChunkMeta::BYTES_MAX`].
    pub bytes: &'a [u8],
}

/// Where a chunk of a block lies, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Times of the first and the last sample.
    pub range: TimeRange,
    /// At least 1.
    pub sample_count: u32,
    /// The number of a [`ChunkEncoding`], or of one that this release does not know.
    pub encoding: u8,
    /// Offset in the file.
    pub offset: u64,
    /// Size of the chunk.
    pub bytes: u32,
    /// CRC-32C of the chunk's bytes.
    pub crc32c: u32,
    /// Number of the time column it shares with others.
    pub(crate) shared_times: Option<u32>,
    pub(crate) stats: StatsPlace,
}

/// Where the statistics of a chunk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatsPlace {
    Nowhere,
    /// All values have the same bits.
    OneValue,
    Stored {
        offset: u64,
        bytes: u8,
    },
}

/// Statistics of the values of a chunk. None of them is a NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChunkStats {
    /// The first value.
    pub first: f64,
    /// The last value.
    pub last: f64,
    /// The least value; of 0 and -0 the earlier one.
    pub min: f64,
    /// The greatest value; of 0 and -0 the earlier one.
    pub max: f64,
    /// How often a value is below the one before.
    pub resets: u32,
}

/// The bytes of a chunk, their checksums verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkData<'a> {
    /// The number of a [`ChunkEncoding`], or of one that this release does not know.
    pub encoding: u8,
    /// The encoded time column, if the block keeps it apart.
    pub times: Option<&'a [u8]>,
    /// The other columns; all of the chunk if `times` is `None`.
    pub bytes: &'a [u8],
}

impl ChunkData<'_> {
    /// Appends the samples, each kind in strictly ascending time; gives their range and number.
    ///
    /// # Errors
    /// [`CodecError`], also for an encoding that is not known; then `out` has the samples that it had.
    pub(crate) fn decode(&self, out: &mut Columns) -> Result<(TimeRange, usize), CodecError> {
        let (mark, before) = (out.mark(), out.len());
        ChunkEncoding::from_number(self.encoding)?.decode_columns(self.times, self.bytes, out)?;
        Ok((out.range(mark), out.len() - before))
    }

    /// Appends those in a range, and others of encodings that are not read in parts; gives range and number of all of the chunk.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(crate) fn decode_within(&self, range: TimeRange, out: &mut Columns) -> Result<(TimeRange, usize), CodecError> {
        if self.encoding != ChunkEncoding::Dx.number() {
            return self.decode(out);
        }
        let chunk = self.dx()?;
        out.pad_starts();
        let ends = chunk.decode_within(range, &mut out.timestamps_ms, &mut out.values)?;
        out.pad_starts();
        Ok((ends, chunk.sample_count()))
    }

    pub(crate) fn histograms(&self) -> Result<HistogramChunk<'_>, CodecError> {
        match self.times {
            Some(times) => HistogramChunk::from_columns(times, self.bytes),
            None => HistogramChunk::parse(self.bytes),
        }
    }

    pub(crate) fn dx(&self) -> Result<DxChunk<'_>, CodecError> {
        match self.times {
            Some(times) => DxChunk::from_columns(times, self.bytes),
            None => DxChunk::parse(self.bytes),
        }
    }
}

impl ChunkMeta {
    /// Largest chunk, in bytes.
    pub const BYTES_MAX: usize = 16 << 20;

    /// Whether its samples are floats without start times.
    pub fn has_plain_floats(&self) -> bool {
        is_plain(self.encoding)
    }

    /// A number that is the same for chunks of one block only if they have the same times.
    pub fn times_key(&self) -> u64 {
        // Offsets in a file are far below the topmost bit.
        self.shared_times.map_or(self.offset | 1 << 63, u64::from)
    }
}

/// Why the format cannot hold a chunk.
pub(crate) fn refusal(chunk: &ChunkRef<'_>) -> Option<&'static str> {
    if chunk.range.is_empty() {
        Some("first time after last")
    } else if chunk.sample_count == 0 {
        Some("no samples")
    } else if chunk.encoding == 0 {
        Some("encoding 0")
    } else if chunk.bytes.is_empty() || chunk.bytes.len() > ChunkMeta::BYTES_MAX {
        Some("size not in 1 byte to 16 MiB")
    } else {
        None
    }
}
