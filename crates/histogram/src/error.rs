//! What can be wrong with a native histogram, or with two of them together.

use thiserror::Error;

/// Why a histogram was refused or an operation could not be applied.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// One operand has exponential buckets, the other custom ones; no bucket of one can hold those of the other.
    #[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
    IncompatibleSchemas,
    /// Buckets can be merged to a lower resolution, never split to a higher one.
    #[error("cannot convert a histogram of schema {from} to schema {to}")]
    CannotRaiseResolution {
        /// The schema the histogram has.
        from: i32,
        /// The schema asked for.
        to: i32,
    },
    /// The compensation given to a Kahan addition does not have the buckets of the sum it belongs to.
    #[error("the compensation has other buckets than the sum")]
    CompensationMismatch,
    /// Neither -4..=8 nor -53.
    #[error("schema {0} is neither exponential (-4 to 8) nor custom (-53)")]
    UnknownSchema(i32),
    /// A span after the first goes back (or, with custom buckets, the first starts below zero).
    #[error("span {span} has the negative offset {offset}")]
    NegativeSpanOffset {
        /// Position in the list of spans, from 0.
        span: usize,
        /// The offset found there.
        offset: i32,
    },
    /// A bucket's index leaves the range of `i32`.
    #[error("the spans reach bucket index {0}, outside of 32 bits")]
    IndexOutOfRange(i64),
    /// Spans and bucket values disagree.
    #[error("spans need {needed} buckets, found {found}")]
    BucketCountMismatch {
        /// Sum of the spans' lengths.
        needed: u64,
        /// Number of bucket values.
        found: usize,
    },
    /// A count below zero: of all observations, of the zero bucket or of one bucket.
    #[error("{part} has the negative observation count {count}")]
    NegativeCount {
        /// Which count.
        part: &'static str,
        /// The value found.
        count: f64,
    },
    /// The buckets of integers hold more or fewer observations than the count says.
    #[error("{in_buckets} observations found in buckets, but the count is {count}")]
    CountMismatch {
        /// Observations in all buckets.
        in_buckets: f64,
        /// All observations.
        count: f64,
    },
    /// The zero bucket's width is below zero or not a number.
    #[error("the zero threshold {0} is not a width")]
    BadZeroThreshold(f64),
    /// Custom bounds must be finite and strictly ascending.
    #[error("custom bound {index} is {bound}: bounds must be finite and strictly ascending")]
    BadCustomBound {
        /// Position in the list of bounds, from 0.
        index: usize,
        /// The bound found there.
        bound: f64,
    },
    /// A custom bucket beyond the one that ends at +Inf.
    #[error("buckets reach index {index}, but {bounds} custom bounds make only one more than that")]
    TooFewCustomBounds {
        /// Highest bucket index.
        index: i64,
        /// Number of bounds.
        bounds: usize,
    },
    /// A part that only the other kind of histogram has.
    #[error("a histogram of this schema must not have {0}")]
    UnexpectedPart(&'static str),
}
