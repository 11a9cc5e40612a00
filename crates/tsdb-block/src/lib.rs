//! Blocks of Prometheus' TSDB: samples of many series as a folder that Prometheus, `promtool`, Thanos and Mimir read.
//!
//! [`BlockWriter`] writes one, [`encode_chunks`] makes the chunks of one series, floats and native histograms. It is *not* a
//! reader, and keeps no start times and exemplars: the format, `docs/format/tsdb-block.md`, has no room for them.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bits;
mod chunk_files;
mod chunks;
mod error;
mod file;
mod histogram_chunk;
mod index;
mod meta;
mod writer;

pub use chunks::{Chunk, Encoding, encode_chunks};
pub use error::TsdbBlockError;
pub use meta::Details;
pub use writer::{BlockWriter, Written};
