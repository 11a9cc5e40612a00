//! What every write protocol does between its bytes and the store: admit, inflate, translate, append, and report per point.
//!
//! An edge (gRPC, HTTP) reads a request, asks [`Ingest`] for room before it does, and turns the outcome or the
//! [`Refusal`] into the words of its protocol. This crate knows no protocol: it has no status code, header or socket.
//! How names and values are translated is `mytsdb-otlp`'s business.
//!
//! ```
//! # use mytsdb_engine::{Batch, Done, EngineError, Outcome};
//! # use mytsdb_model::{Labels, SeriesRef};
//! # struct Store;
//! # impl mytsdb_ingest::Appender for Store {
//! #     fn resolve(&self, _: &Labels) -> Result<SeriesRef, EngineError> { Ok(SeriesRef(1)) }
//! #     fn epoch(&self) -> u64 { 0 }
//! #     fn touch(&self, _: SeriesRef) -> bool { true }
//! #     fn keeps_exemplars(&self) -> bool { false }
//! #     fn submit(&self, _: Batch, done: Done) { done(Ok(Outcome::default())); }
//! # }
//! use mytsdb_ingest::{Encoding, Ingest, IngestMetrics, IngestOptions};
//! use std::sync::Arc;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let translator = Arc::new(mytsdb_otlp::Translator::new(mytsdb_otlp::Options::default()));
//! let ingest = Ingest::new(Arc::new(Store), translator, IngestOptions::default());
//! let metrics = IngestMetrics::new(&mytsdb_telemetry::Registry::new(), "carrier_pigeon", &["fine", "refused"]);
//!
//! ingest.check_length(4, Encoding::Snappy)?; // before a byte is read
//! let mut room = ingest.admit(4, &metrics).await?;
//! let request = ingest.inflate(bytes::Bytes::from_static(&[2, 4, 0x0a, 0]), Encoding::Snappy, &mut room).await?;
//! let outcome = ingest.store_otlp(&request, room, &metrics).await?;
//! assert_eq!(outcome.refused.total(), 0);
//! # Ok::<(), mytsdb_ingest::Refusal>(())
//! # }).unwrap();
//! ```
#![forbid(unsafe_code)]

mod admission;
mod appender;
mod batch_sink;
mod body_pace;
mod buffers;
mod core;
mod encoding;
mod gzip;
mod inflate;
mod json_lines;
mod metadata;
mod metrics;
mod options;
mod pace;
mod refusal;
mod report;
mod text;

pub use admission::Room;
pub use appender::Appender;
pub use batch_sink::{BatchSink, RefusedRows};
pub use body_pace::BodyPace;
pub use buffers::{Buffer, Buffers};
pub use core::Ingest;
pub use encoding::Encoding;
pub use metadata::EngineMetadata;
pub use metrics::IngestMetrics;
pub use options::IngestOptions;
pub use refusal::{Refusal, Unavailable};
pub use report::Report;
pub use text::TextWritten;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
