//! The OTLP/HTTP edge: takes metrics requests in protobuf and JSON, has them stored, and answers in the request's own form.
//!
//! JSON becomes the protobuf bytes that say the same, so that there is one translation behind all protocols. This crate
//! is *not* where requests are bounded and stored (that is `mytsdb-ingest`).
//!
//! | situation | answer | a Collector |
//! |---|---|---|
//! | all stored | 200 | goes on |
//! | some points refused for good | 200 with `partial_success` | logs it, does not retry |
//! | unreadable | 400 | drops the request |
//! | too large | 413 | drops the request |
//! | unknown content type or encoding | 415 | drops the request |
//! | overload | 429 with `Retry-After` | retries |
//! | starting, shutting down, log broken, a bug | 503 with `Retry-After` | retries |
//!
//! ```no_run
//! # async fn example(engine: std::sync::Arc<mytsdb_engine::Engine>) -> Result<(), Box<dyn std::error::Error>> {
//! use mytsdb_ingest::{Ingest, IngestOptions};
//! use mytsdb_ingest_http::{HttpOptions, OtlpHttp, serve};
//! use std::sync::Arc;
//!
//! let otlp = OtlpHttp::new(&mytsdb_telemetry::Registry::new());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:4318").await?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
//! let serving = tokio::spawn(serve(listener, otlp.router("/v1/metrics"), HttpOptions::default(), stop));
//!
//! let translator = Arc::new(mytsdb_otlp::Translator::new(mytsdb_otlp::Options::default()));
//! otlp.open(Arc::new(Ingest::new(engine, translator, IngestOptions::default()))); // until then it answers 503
//! serving.await??;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answer;
mod body;
mod error;
mod export;
mod format;
mod options;
mod server;

pub use error::HttpIngestError;
pub use export::OtlpHttp;
pub use options::HttpOptions;
pub use server::serve;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
