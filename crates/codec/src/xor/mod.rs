//! Chunks in the bit layouts of Prometheus: `docs/format/xor-chunk.md` to append to, `docs/format/xor-histogram-chunk.md` to
//! hand out.

mod append;
mod chunks;
mod decode;
mod histogram;
mod window;
mod writer;

pub use append::XorAppender;
pub use chunks::{PrometheusChunk, PrometheusEncoding, encode_prometheus};
pub use decode::{XorChunk, decode};

/// Size of the count field in front of a chunk.
const COUNT_BYTES: usize = 2;
