//! Chunks in the bit layouts of Prometheus: `docs/format/xor-chunk.md` to append to, `docs/format/xor-histogram-chunk.md` to
//! hand out.

mod append;
mod decode;
mod histogram;
mod varbit;
mod window;

pub use append::XorAppender;
pub use decode::{XorChunk, decode};
pub use histogram::XorHistogramAppender;

/// Size of the count field in front of a chunk.
const COUNT_BYTES: usize = 2;
