//! Samples to bytes and back.
//!
//! [`XorAppender`] grows a chunk sample by sample; [`decode`] turns a chunk into two columns. The layout is that of
//! Prometheus' XOR chunk (`docs/format/xor-chunk.md`). [`DxEncoder`] packs finished columns into a chunk a third as
//! long that decodes several times as fast, [`DxChunk`] reads it (`docs/format/dx-chunk.md`).
//! [`DxStartsEncoder`] adds the start times of counters.
//! [`HistogramEncoder`] and [`HistogramChunk`] do the same with native histograms (`docs/format/histogram-chunk.md`).
//! [`encode_prometheus`] makes chunks of both kinds of samples as Prometheus has them, for its clients and its files.
//! [`ChunkEncoding`] reads chunks of every kind into `Columns`. This crate knows nothing
//! of files, series or checksums.
//!
//! ```
//! use mytsdb_codec::{XorAppender, decode};
//!
//! let mut chunk = XorAppender::new();
//! chunk.push(1_000, 0.5)?;
//! chunk.push(16_000, 0.75)?;
//!
//! let (mut timestamps_ms, mut values) = (Vec::new(), Vec::new());
//! decode(chunk.bytes(), &mut timestamps_ms, &mut values)?;
//! assert_eq!(timestamps_ms, [1_000, 16_000]);
//! assert_eq!(values, [0.5, 0.75]);
//!
//! use mytsdb_codec::{DxChunk, DxEncoder};
//!
//! let mut bytes = Vec::new();
//! DxEncoder::default().encode(&timestamps_ms, &values, &mut bytes)?;
//! let packed = DxChunk::parse(&bytes)?;
//! let mut same_values = Vec::new();
//! packed.decode_values(&mut same_values)?; // and `decode_times`, if they are needed
//! assert_eq!((packed.sample_count(), same_values), (2, values));
//! # Ok::<(), mytsdb_codec::CodecError>(())
//! ```
#![deny(unsafe_code)]

mod bits;
mod dx;
mod encoding;
mod error;
mod histogram;
mod varint;
mod xor;

pub use dx::{DX_SAMPLES_MAX, DxChunk, DxEncoder, DxStartsEncoder, dx_kernel};
pub use encoding::ChunkEncoding;
pub use error::CodecError;
pub use histogram::{
    HISTOGRAM_PARTS_MAX, HISTOGRAM_SAMPLES_MAX, HistogramChunk, HistogramEncoder, put_histogram, take_histogram,
    take_singles,
};
pub use xor::{PrometheusChunk, PrometheusEncoding, XorAppender, XorChunk, decode, encode_prometheus};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
