//! The OTLP/gRPC edge: takes `MetricsService/Export` requests, has them stored, and answers so that senders do the right thing.
//!
//! It reads gRPC frames itself, so that requests are never turned into message objects and compression is bounded
//! before it is undone. It is *not* where requests are bounded and stored (that is `mytsdb-ingest`).
//!
//! | situation | answer | a Collector |
//! |---|---|---|
//! | all stored | OK | goes on |
//! | some points refused for good | OK with `partial_success` | logs it, does not retry |
//! | undecodable | `INVALID_ARGUMENT` | drops the request |
//! | too large | `RESOURCE_EXHAUSTED` without `RetryInfo` | drops the request |
//! | overload | `RESOURCE_EXHAUSTED` with `RetryInfo` | retries |
//! | credentials missing or wrong | `UNAUTHENTICATED` | drops the request |
//! | credentials not good for writing | `PERMISSION_DENIED` | drops the request |
//! | shutting down, log broken, a bug | `UNAVAILABLE` | retries |
//!
//! ```no_run
//! # async fn example(engine: std::sync::Arc<mytsdb_engine::Engine>) -> Result<(), Box<dyn std::error::Error>> {
//! use mytsdb_ingest::{Ingest, IngestOptions};
//! use mytsdb_ingest_grpc::{GrpcOptions, metrics, serve};
//! use mytsdb_otlp::{Options, Translator};
//! use std::sync::Arc;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:4317").await?;
//! let translator = Arc::new(Translator::new(Options::default()));
//! let ingest = Arc::new(Ingest::new(engine, translator, IngestOptions::default()));
//! let metrics = metrics(&mytsdb_telemetry::Registry::new());
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
//! serve(listener, ingest, GrpcOptions::default(), metrics, stop).await;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod export;
mod frame;
mod options;
mod response;
mod server;
mod service;
mod status;

pub use options::GrpcOptions;
pub use server::{metrics, serve};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
