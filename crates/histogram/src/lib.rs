//! Native histograms with float counts, and the arithmetic Prometheus defines for them.
//!
//! [`FloatHistogram`] is the type: exponential or custom buckets, sparse by [`Span`]s. It adds, subtracts, multiplies,
//! changes its resolution, tells counter resets, gives quantiles and fractions, and [validates](FloatHistogram::validate)
//! what comes from outside. This crate knows nothing of bytes; chunks of histograms are made by `mytsdb-codec`.
//!
//! ```
//! use mytsdb_histogram::{FloatHistogram, Span};
//!
//! let fine = FloatHistogram {
//!     schema: 1, // bounds at 1, sqrt(2), 2, 2*sqrt(2), ...
//!     count: 3.0,
//!     sum: 4.5,
//!     positive_spans: vec![Span { offset: 1, length: 2 }],
//!     positive_buckets: vec![1.0, 2.0],
//!     ..FloatHistogram::default()
//! };
//! assert_eq!(fine.validate(), Ok(()));
//! assert_eq!(fine.copy_to_schema(0)?.to_string(), "{count:3, sum:4.5, (1,2]:3}");
//! # Ok::<(), mytsdb_histogram::HistogramError>(())
//! ```
#![forbid(unsafe_code)]

mod arithmetic;
mod bounds;
mod buckets;
mod compact;
mod custom;
mod display;
mod error;
mod float_histogram;
mod kahan;
mod logarithm;
mod quantile;
mod resets;
mod resolution;
mod spans;
mod trim;
mod validate;
mod zero_bucket;

#[cfg(test)]
mod tests;

pub use arithmetic::Reconciled;
pub use bounds::bucket_bound;
pub use buckets::Bucket;
pub use error::HistogramError;
pub use float_histogram::{
    CUSTOM_SCHEMA, CounterResetHint, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, FloatHistogram,
};
pub use logarithm::{ln, log2};
pub use spans::Span;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
