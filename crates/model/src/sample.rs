//! A sample, and the value that marks the end of a series.

/// The bits of the staleness marker: a signalling NaN that Prometheus writes when a series disappears.
///
/// Only these exact bits mean "stale"; every other NaN is an ordinary value
/// (Prometheus, `model/value/value.go`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a float. Compare with [`is_stale_nan`], never with `==`.
#[inline]
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Tells whether `value` is the staleness marker, by its bits.
#[inline]
pub fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// A float sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since the Unix epoch; negative before it.
    pub timestamp_ms: i64,
    /// Any float; NaN payloads are kept.
    pub value: f64,
}
