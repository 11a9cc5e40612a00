//! Samples of a series as buckets of time, and what can be told from them. Pure: no disk, no clock.
//!
//! [`Buckets`] is what a series' samples become, and what queries compute with where the samples are gone. It is *not* a file format, and
//! it knows nothing of where buckets are kept.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod buckets;
mod make;
mod resolution;
mod rule;

pub use buckets::{Bucket, Buckets};
pub use resolution::Resolution;
pub use rule::Rule;

/// What there is of a series in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Samples alone.
    Samples,
    /// Buckets, with floats beside them or without.
    Buckets,
    /// Buckets, and histograms beside them.
    Mixed,
}
