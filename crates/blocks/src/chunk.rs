//! Chunks as a writer takes them and as a block describes them.

use mytsdb_model::TimeRange;

/// How a chunk's bytes are to be read; blocks keep the number and do not interpret it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkEncoding(pub u8);

impl ChunkEncoding {
    /// Float samples, `docs/format/xor-chunk.md`.
    pub const XOR: ChunkEncoding = ChunkEncoding(1);
    /// Float samples, `docs/format/dx-chunk.md`.
    pub const DX: ChunkEncoding = ChunkEncoding(2);
}

/// A chunk to be written.
#[derive(Debug, Clone, Copy)]
pub struct ChunkRef<'a> {
    /// Times of the first and the last sample; not empty.
    pub range: TimeRange,
    /// At least 1.
    pub sample_count: u32,
    /// Not 0.
    pub encoding: ChunkEncoding,
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
    /// How the bytes are to be read.
    pub encoding: ChunkEncoding,
    /// Offset in the file.
    pub offset: u64,
    /// Size of the chunk.
    pub bytes: u32,
    /// CRC-32C of the chunk's bytes.
    pub crc32c: u32,
}

impl ChunkMeta {
    /// Largest chunk, in bytes.
    pub const BYTES_MAX: usize = 16 << 20;
}
