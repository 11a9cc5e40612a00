//! Chunks in the bit layout of Prometheus' XOR encoding, to append to: `docs/format/xor-chunk.md`.

mod append;
mod decode;

pub use append::XorAppender;
pub use decode::{XorChunk, decode};

/// Size of the count field in front of a chunk.
const COUNT_BYTES: usize = 2;
