//! A native histogram with float counts.

use crate::custom;
use crate::spans::{IndexedBuckets, Span};
use mytsdb_model::is_stale_nan;

/// The schema of histograms whose bucket bounds are listed ("NHCB").
pub const CUSTOM_SCHEMA: i32 = -53;
/// Lowest exponential schema: one bucket per factor of 65536.
pub const EXPONENTIAL_SCHEMA_MIN: i32 = -4;
/// Highest exponential schema: 256 buckets per factor of 2.
pub const EXPONENTIAL_SCHEMA_MAX: i32 = 8;

/// What is known about a counter reset between this histogram and the one before it in its series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CounterResetHint {
    /// Nothing is known: compare buckets to find out.
    #[default]
    Unknown,
    /// The counter was reset before this histogram.
    CounterReset,
    /// The counter was not reset.
    NotCounterReset,
    /// Not a counter; resets have no meaning.
    Gauge,
}

/// A native histogram with float counts.
///
/// Exponential (schema -4..=8): positive bucket `i` holds `(base^(i-1), base^i]` with `base = 2^(2^-schema)`, negative
/// ones mirror that, and the zero bucket holds `[-zero_threshold, zero_threshold]`. Custom (schema -53): positive
/// bucket `i` ends at `custom_values[i]`, the one behind the last bound at `+Inf`; there are no negative buckets and no
/// zero bucket. Bucket values are absolute counts, one per bucket that the spans describe.
///
/// The fields are public because codecs fill them; [`validate`](Self::validate) tells whether they fit together.
/// Every operation is total on any content: bad spans give a meaningless histogram, never a panic.
///
/// ```
/// use mytsdb_histogram::{FloatHistogram, Span};
///
/// let fine = FloatHistogram {
///     schema: 1, // bounds at 1, sqrt(2), 2, 2*sqrt(2), ...
///     count: 3.0,
///     sum: 4.5,
///     positive_spans: vec![Span { offset: 1, length: 2 }],
///     positive_buckets: vec![1.0, 2.0],
///     ..FloatHistogram::default()
/// };
/// let mut sum = fine.copy_to_schema(0)?;
/// sum.add(&fine)?;
/// assert_eq!(sum.to_string(), "{count:6, sum:9, (1,2]:6}");
/// # Ok::<(), mytsdb_histogram::HistogramError>(())
/// ```
///
/// `==` compares fields as they are, hint included, and no NaN equals another; PromQL's comparison is
/// [`equals`](Self::equals). Source: the Prometheus native histogram specification.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FloatHistogram {
    /// What is known about a reset before this sample.
    pub counter_reset_hint: CounterResetHint,
    /// -4..=8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Half the width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations, those of NaN included, which no bucket holds.
    pub count: f64,
    /// Sum of the observed values; the staleness marker in a stale histogram.
    pub sum: f64,
    /// Layout of `positive_buckets`.
    pub positive_spans: Vec<Span>,
    /// Layout of `negative_buckets`.
    pub negative_spans: Vec<Span>,
    /// Counts, ascending by index.
    pub positive_buckets: Vec<f64>,
    /// Counts, ascending by index, which is descending by value.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets but the last, ascending; empty for exponential schemas.
    pub custom_values: Vec<f64>,
}

impl FloatHistogram {
    /// Whether the bucket bounds are listed rather than exponential.
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// Whether this is the marker that ends a series.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Size in bytes as Prometheus counts it against the sample limit: 168 for the frame, 8 per span, bucket and bound.
    ///
    /// One histogram weighs `(size + 8) / 16` samples there.
    pub fn size(&self) -> usize {
        let words = self.positive_spans.len()
            + self.negative_spans.len()
            + self.positive_buckets.len()
            + self.negative_buckets.len()
            + self.custom_values.len();
        168 + 8 * words
    }

    /// Bytes behind its pointers, unused room included: what a histogram holds beside `size_of::<FloatHistogram>()`. Cost:
    /// five additions; what the allocator adds is not in it.
    pub fn heap_bytes(&self) -> usize {
        let words = self.positive_spans.capacity()
            + self.negative_spans.capacity()
            + self.positive_buckets.capacity()
            + self.negative_buckets.capacity()
            + self.custom_values.capacity();
        // A span is as large as a float.
        words * size_of::<f64>()
    }

    /// Equality as PromQL's `==` sees it: bit by bit (NaN equals the same NaN), the hint left out, and the buckets
    /// compared by index, so that equal buckets in differently cut spans are equal. Empty buckets count as buckets;
    /// [`compact`](Self::compact) both sides with 0 first to ignore them.
    pub fn equals(&self, other: &Self) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        self.schema == other.schema
            && bits(self.count, other.count)
            && bits(self.sum, other.sum)
            && bits(self.zero_count, other.zero_count)
            && self.zero_threshold == other.zero_threshold
            && custom::same_bounds(&self.custom_values, &other.custom_values)
            && same_buckets(self.positive(), other.positive())
            && same_buckets(self.negative(), other.negative())
    }

    /// Whether any count or the sum has left the range of floats.
    pub fn has_overflow(&self) -> bool {
        let singles = [self.zero_count, self.count, self.sum];
        let mut all = singles.iter().chain(&self.positive_buckets).chain(&self.negative_buckets);
        all.any(|value| value.is_infinite())
    }

    pub(crate) fn positive(&self) -> IndexedBuckets<'_> {
        IndexedBuckets::new(&self.positive_spans, &self.positive_buckets)
    }

    pub(crate) fn negative(&self) -> IndexedBuckets<'_> {
        IndexedBuckets::new(&self.negative_spans, &self.negative_buckets)
    }
}

fn same_buckets(left: IndexedBuckets<'_>, right: IndexedBuckets<'_>) -> bool {
    left.len() == right.len() && left.zip(right).all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits())
}
