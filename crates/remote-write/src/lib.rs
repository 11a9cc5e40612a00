//! Prometheus remote write 1.0 and 2.0 to series: zero-copy walks over the requests, labels, floats and native histograms.
//!
//! Pure: bytes and an epoch come in, samples go to a [`Sink`]. This crate is *not* a server, opens nothing, waits for
//! nothing and knows no storage; it undoes no compression. A series seen before costs one hash of its labels.
//!
//! Of a request that can be read, everything that is well is handed on; the rest is counted in [`Written`]. What is skipped
//! (unknown fields) is checked for length only. Every length is checked before it is believed,
//! and a request takes no more memory than [`MEMORY_BYTES_MAX`] beside its own bytes and its symbols.
//!
//! Source: the specifications of remote write 1.0 and 2.0, and the answers of a running Prometheus 3.16.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod exemplar;
mod histogram;
mod labels;
mod metadata;
mod receiver;
mod sample;
mod series;
mod sink;
mod symbols;
mod tags;
mod version;
mod written;

pub use error::RemoteWriteError;
pub use receiver::{MEMORY_BYTES_MAX, Options, Receiver};
pub use sink::Sink;
pub use version::Version;
pub use written::Written;
