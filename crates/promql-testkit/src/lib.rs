//! What tests of PromQL share: series in Prometheus' notation, and a storage in memory that holds them.
//!
//! No product code imports this crate.
#![forbid(unsafe_code)]

mod load;
mod nhcb;
mod series_notation;
mod storage;

pub use load::{LoadedSample, LoadedSeries, parse_load};
pub use series_notation::{
    HistogramItem, SequenceItem, SeriesDescription, StartTimes, parse_series_description, parse_start_times,
};
pub use storage::TestStorage;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
