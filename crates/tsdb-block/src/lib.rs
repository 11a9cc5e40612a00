//! Blocks of Prometheus' TSDB: samples of many series as a folder that Prometheus, `promtool`, Thanos and Mimir read.
//!
//! [`BlockWriter`] writes one, of floats and native histograms. It is *not* a reader, and keeps no start times and exemplars: the format, `docs/format/tsdb-block.md`, has no room for them.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod chunk_files;
mod error;
mod file;
mod index;
mod meta;
mod writer;

pub use error::TsdbBlockError;
pub use meta::Details;
pub use writer::{BlockWriter, Written};
