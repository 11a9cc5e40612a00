//! Grows a chunk of native histograms with float counts, in the bit layout of Prometheus: `docs/format/xor-histogram-chunk.md`.
//!
//! To hand out only: what is stored is [`HistogramEncoder`](crate::HistogramEncoder)'s, which is smaller and read by columns.

use super::COUNT_BYTES;
use super::varbit::{put_uvarbit, put_varbit};
use super::window::Window;
use crate::CodecError;
use crate::bits::put_bits;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};

/// A zero threshold of 2^k is one byte, k + this, if k is -243 to 10.
const THRESHOLD_BIAS: i32 = 244;
const THRESHOLD_EXPONENTS: std::ops::RangeInclusive<i32> = -243..=10;

/// A bound that is a whole number of thousandths up to this many is a short integer.
const SHORT_BOUND_MAX: f64 = 33_554_430.0;

/// A number of every sample: the last one's bits, and the window of the last XOR.
#[derive(Debug, Clone, Copy)]
struct Column {
    last: u64,
    window: Window,
}

/// A chunk that is being written; its bytes are a complete chunk after every push.
///
/// Holds the last histogram and 10 bytes for each of its buckets beside the chunk. A push costs some 10 ns a bucket.
#[derive(Debug, Default)]
pub struct XorHistogramAppender {
    bytes: Vec<u8>,
    free_bits: u8,
    count: u16,
    last_ms: i64,
    last_delta: i64,
    /// The last sample: its layout is the chunk's.
    last: FloatHistogram,
    columns: Vec<Column>,
}

impl XorHistogramAppender {
    /// A chunk without samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `histogram` may be pushed: a chunk has one layout, holds gauges or counters, no reset behind its first sample and
    /// 65,535 samples at most; a staleness marker has one to itself.
    pub fn takes(&self, histogram: &FloatHistogram) -> bool {
        let last = &self.last;
        let is_gauge = |histogram: &FloatHistogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
        self.count == 0
            || self.count < u16::MAX
                && !last.is_stale()
                && !histogram.is_stale()
                && last.schema == histogram.schema
                && last.zero_threshold.to_bits() == histogram.zero_threshold.to_bits()
                && last.positive_spans == histogram.positive_spans
                && last.negative_spans == histogram.negative_spans
                && last.custom_values == histogram.custom_values
                && is_gauge(last) == is_gauge(histogram)
                && (is_gauge(last) || !histogram.detect_reset(last))
    }

    /// Appends a histogram that the chunk [takes](Self::takes), later than all before it. Of a staleness marker the sum alone is
    /// kept.
    ///
    /// # Errors
    /// [`CodecError::OutOfOrder`], and [`CodecError::Full`] if the chunk does not take it; the chunk is unchanged.
    pub fn push(&mut self, timestamp_ms: i64, histogram: &FloatHistogram) -> Result<(), CodecError> {
        if self.count > 0 && timestamp_ms <= self.last_ms {
            return Err(CodecError::OutOfOrder { timestamp_ms, last_ms: self.last_ms });
        }
        if !self.takes(histogram) {
            return Err(CodecError::Full { count: usize::from(self.count) });
        }
        if histogram.is_stale() {
            self.last = FloatHistogram { sum: histogram.sum, ..FloatHistogram::default() };
        } else {
            self.last.clone_from(histogram);
        }
        if self.count == 0 {
            self.begin(timestamp_ms);
        } else {
            self.go_on(timestamp_ms);
        }
        self.last_ms = timestamp_ms;
        self.count += 1;
        self.bytes[..COUNT_BYTES].copy_from_slice(&self.count.to_be_bytes());
        Ok(())
    }

    /// The number of histograms pushed.
    pub fn sample_count(&self) -> usize {
        usize::from(self.count)
    }

    /// The chunk as it stands, complete and decodable; without samples no bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn begin(&mut self, timestamp_ms: i64) {
        let Self { bytes, free_bits, last, .. } = self;
        let flags = match last.counter_reset_hint {
            CounterResetHint::Unknown => 0,
            CounterResetHint::NotCounterReset => 0b0100_0000,
            CounterResetHint::CounterReset => 0b1000_0000,
            CounterResetHint::Gauge => 0b1100_0000,
        };
        bytes.extend_from_slice(&[0, 0, flags]);
        put_threshold(bytes, last.zero_threshold);
        put_varbit(bytes, free_bits, last.schema.into());
        put_spans(bytes, free_bits, &last.positive_spans);
        put_spans(bytes, free_bits, &last.negative_spans);
        if last.uses_custom_buckets() {
            put_uvarbit(bytes, free_bits, last.custom_values.len() as u64);
            last.custom_values.iter().for_each(|&bound| put_bound(bytes, free_bits, bound));
        }
        put_varbit(bytes, free_bits, timestamp_ms);
        for value in numbers(last) {
            put_bits(bytes, free_bits, value.to_bits(), 64);
            self.columns.push(Column { last: value.to_bits(), window: Window::NONE });
        }
    }

    fn go_on(&mut self, timestamp_ms: i64) {
        let Self { bytes, free_bits, last, .. } = self;
        let delta = timestamp_ms.wrapping_sub(self.last_ms);
        put_varbit(bytes, free_bits, delta.wrapping_sub(self.last_delta));
        self.last_delta = delta;
        for (column, value) in self.columns.iter_mut().zip(numbers(last)) {
            column.window.put(bytes, free_bits, value.to_bits() ^ column.last);
            column.last = value.to_bits();
        }
    }
}

/// What a sample has beside its time, in the order of the layout.
fn numbers(histogram: &FloatHistogram) -> impl Iterator<Item = f64> {
    let counts = [histogram.count, histogram.zero_count, histogram.sum].into_iter();
    counts.chain(histogram.positive_buckets.iter().copied()).chain(histogram.negative_buckets.iter().copied())
}

fn put_spans(out: &mut Vec<u8>, free_bits: &mut u8, spans: &[Span]) {
    put_uvarbit(out, free_bits, spans.len() as u64);
    for span in spans {
        put_uvarbit(out, free_bits, span.length.into());
        put_varbit(out, free_bits, span.offset.into());
    }
}

/// Bytes are whole here: 0, an exponent of 2, or all bits set and the eight bytes.
fn put_threshold(out: &mut Vec<u8>, threshold: f64) {
    let exponent = (threshold.to_bits() >> 52) as i32 - 1023;
    if threshold.to_bits() == 0 {
        out.push(0);
    } else if threshold.to_bits() << 12 == 0 && THRESHOLD_EXPONENTS.contains(&exponent) {
        out.push((exponent + THRESHOLD_BIAS) as u8);
    } else {
        out.push(u8::MAX);
        out.extend_from_slice(&threshold.to_bits().to_be_bytes());
    }
}

fn put_bound(out: &mut Vec<u8>, free_bits: &mut u8, bound: f64) {
    let thousandths = bound * 1000.0;
    if (0.0..=SHORT_BOUND_MAX).contains(&thousandths) && thousandths.fract() == 0.0 {
        return put_uvarbit(out, free_bits, thousandths as u64 + 1);
    }
    put_bits(out, free_bits, 0, 1);
    put_bits(out, free_bits, bound.to_bits(), 64);
}
