//! Chunks as the head keeps them.
//!
//! A series' newest samples go into an open XOR chunk, which can be appended to sample by sample. A chunk that is
//! closed is encoded anew as DX: a third of the size, and some five times faster to read.

use mytsdb_codec::{ChunkEncoding, CodecError, DxEncoder, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_model::TimeRange;
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
}

/// Closes chunks; keeps memory from one to the next.
#[derive(Default)]
pub(crate) struct Sealer {
    encoder: DxEncoder,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
    bytes: Vec<u8>,
}

impl Sealer {
    /// The chunk of samples that are in strictly ascending order and not empty.
    pub(crate) fn seal(&mut self, timestamps_ms: &[i64], values: &[f64]) -> Result<SealedChunk, CodecError> {
        self.bytes.clear();
        self.encoder.encode(timestamps_ms, values, &mut self.bytes)?;
        let range = TimeRange::new(timestamps_ms[0], timestamps_ms[timestamps_ms.len() - 1]);
        let (encoding, bytes) = (ChunkEncoding::Dx, Arc::from(&self.bytes[..]));
        Ok(SealedChunk { range, sample_count: timestamps_ms.len() as u32, encoding, bytes })
    }

    /// The chunk of what an open chunk, which is not empty, holds.
    pub(crate) fn seal_open(&mut self, open: &XorAppender) -> Result<SealedChunk, CodecError> {
        let (mut timestamps_ms, mut values) =
            (std::mem::take(&mut self.timestamps_ms), std::mem::take(&mut self.values));
        timestamps_ms.clear();
        values.clear();
        mytsdb_codec::decode(open.bytes(), &mut timestamps_ms, &mut values)?;
        let sealed = self.seal(&timestamps_ms, &values)?;
        (self.timestamps_ms, self.values) = (timestamps_ms, values);
        Ok(sealed)
    }
}
