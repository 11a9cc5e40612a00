//! Self-monitoring: metric handles, the registry that knows them, their text form, and figures of the process.
//!
//! Handles are one shared atomic each (a histogram: one per bucket), so any layer may hold and bump them.
//! This crate starts no thread, opens no port and reads no clock; it is *not* a client library for other programs.
//!
//! ```
//! use mytsdb_telemetry::{Description, Registry, write_text};
//!
//! const REQUESTS: Description = Description::new("mytsdb_ingest_requests_total", "Requests answered, by code.");
//! let registry = Registry::new();
//! let ok = registry.counter(&REQUESTS, &[("code", "ok")]);
//! ok.add(3);
//!
//! let mut text = String::new();
//! write_text(&registry.gather(), &mut text);
//! assert!(text.contains("mytsdb_ingest_requests_total{code=\"ok\"} 3\n"));
//! ```
#![forbid(unsafe_code)]

mod family;
mod metric;
mod process;
mod registry;
mod text;

pub use family::{Description, Family, FamilySample, MetricKind};
pub use metric::{Counter, Gauge, Histogram, LATENCY_SECONDS};
pub use process::process_families;
pub use registry::Registry;
pub use text::write_text;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
