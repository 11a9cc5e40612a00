//! Prometheus' text format, OpenMetrics and JSON lines: lines to samples, and samples to lines.
//!
//! It is *not* a scraper and keeps no samples: each line is read by itself, and what it says goes to the caller. A line that
//! cannot be read is an error with its number and column, and the next one is read as if it had not been there.
//!
//! Bounds: a line takes memory of the order of its length, which [`BoundedLines`] bounds; a line has at most
//! [`LABEL_COUNT_MAX`] labels.
//!
//! Source: "Exposition formats" of Prometheus' documentation, OpenMetrics 1.0, and names in quotes as Prometheus 3 writes them.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cursor;
mod error;
mod json_float;
mod json_line;
mod labels;
mod lines;
mod number;
mod parser;
mod sample;
mod writer;

pub use error::{LineError, Problem};
pub use json_line::{JsonLine, JsonLineError};
pub use labels::LABEL_COUNT_MAX;
pub use lines::BoundedLines;
pub use parser::{Format, Line, Parser};
pub use sample::{Sample, SentExemplar};
pub use writer::{write_family, write_float, write_sample};
