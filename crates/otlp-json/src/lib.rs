//! OTLP/JSON metrics requests to the protobuf bytes that say the same, so that there is one reader behind both forms.
//!
//! The rules are protobuf's JSON mapping as OTLP changes it (OTLP specification, "JSON Protobuf Encoding"): 64-bit
//! integers are text or numbers, doubles may be `"NaN"` and `"Infinity"`, enums are numbers (names are taken too), trace
//! and span ids are hexadecimal, other bytes are base64, names are lowerCamelCase (the original ones are taken too),
//! `null` is absence, and fields nobody knows are skipped. This crate builds no tree and judges no values; it is *not* a
//! JSON library.
//!
//! ```
//! let json = br#"{"resourceMetrics": [{"schemaUrl": "u", "fromTheFuture": [1, {}]}]}"#;
//! let protobuf = mytsdb_otlp_json::transcode(json, 1 << 20)?;
//! assert_eq!(protobuf, b"\x0a\x03\x1a\x01u");
//!
//! let error = mytsdb_otlp_json::transcode(br#"{"resourceMetrics": 7}"#, 1 << 20).unwrap_err();
//! assert_eq!(error.to_string(), "JSON at byte 20, resourceMetrics: expected an array");
//! # Ok::<(), mytsdb_otlp_json::JsonError>(())
//! ```
#![forbid(unsafe_code)]

mod bytes;
mod cursor;
mod error;
mod number;
mod schema;
mod transcode;
mod wire;

pub use error::{JsonError, Problem};
pub use transcode::{DEPTH_MAX, transcode};

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
