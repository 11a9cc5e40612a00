//! What tests of PromQL share: series in Prometheus' notation, a storage in memory that holds them, and random queries.
//!
//! No product code imports this crate.
#![forbid(unsafe_code)]

mod load;
mod nhcb;
mod queries;
mod series_notation;
mod storage;

pub use load::{LoadedSample, LoadedSeries, parse_load};
pub use queries::{Judge, QueryWriter, Words};
pub use series_notation::{
    HistogramItem, SequenceItem, SeriesDescription, StartTimes, parse_series_description, parse_start_times,
};
pub use storage::TestStorage;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
