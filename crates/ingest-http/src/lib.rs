//! The HTTP edge of ingest: takes OTLP/HTTP in protobuf and JSON and Prometheus remote write, has it stored, and answers.
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
//! Prometheus remote write ([`RemoteWrite`]), where a sender drops what it hears 400 for and retries 5xx for ever:
//!
//! | situation | answer |
//! |---|---|
//! | all stored, a sample that was there already too | 204 |
//! | some samples refused for good | 400, after the others are stored |
//! | unreadable | 400 |
//! | too large | 413 |
//! | unknown content type, message or encoding | 415 |
//! | overload, starting, shutting down, log broken, a bug | 503 with `Retry-After` |
//!
//! Text ([`TextImport`]) and JSON lines ([`JsonImport`]) have the same answers; 400 names lines by their numbers.
//!
//! Answers to 2.0 say how many samples, histograms and exemplars are stored.
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
mod edge;
mod error;
mod export;
mod format;
mod import;
mod negotiate;
mod options;
mod remote_write;
mod server;

pub use edge::{Edge, Protocol};
pub use error::HttpIngestError;
pub use export::{Otlp, OtlpHttp};
pub use import::{JsonImport, JsonLines, Text, TextImport};
pub use options::HttpOptions;
pub use remote_write::{Remote, RemoteWrite};
pub use server::serve;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
