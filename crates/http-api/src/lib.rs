//! The Prometheus HTTP API, health, self metrics and the web page.
//!
//! Requests are read and answers sent on the async runtime; queries are evaluated, rendered and compressed on blocking
//! threads, a bounded number at a time. This crate decides words, shapes and limits of the interface; what a query
//! means is `promql`'s business, and where samples come from is the storage's.
//!
//! ```
//! use mytsdb_http_api::{Api, ApiOptions, serve};
//! use mytsdb_promql_testkit::TestStorage;
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicBool;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let storage = Arc::new(TestStorage::new());
//! let ready = Arc::new(AtomicBool::new(true));
//! let api = Api::new(storage, Vec::new(), mytsdb_telemetry::Registry::new(), ready, ApiOptions::default())?;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let shutdown = async { /* e.g. a signal */ };
//! serve(listener, api, shutdown).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod admin;
mod answer;
mod api;
mod asked;
mod body;
mod cors;
mod delivery;
mod encoding;
mod error;
mod exemplar_source;
mod exemplars;
mod features;
mod federate;
mod form;
mod form_reader;
mod gate;
mod job;
mod json;
mod label_name;
mod lookup;
mod metadata;
mod options;
mod page;
mod params;
mod paths;
mod plan;
mod probes;
mod queries;
mod query;
mod query_metrics;
mod readiness;
mod remote_read;
mod render;
mod request_metrics;
mod server;
mod state;
mod status;
mod syntax;
mod syntax_tree;
mod targets;
mod time;

pub use admin::{Admin, Administration};
pub use api::Api;
pub use error::HttpApiError;
pub use exemplar_source::{ExemplarSource, Exemplars, SeriesExemplars};
pub use metadata::{FamilyMeta, MetadataSource};
pub use options::{ApiOptions, Fault};
pub use server::serve;
