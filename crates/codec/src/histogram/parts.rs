//! The parts that chunks and single histograms have in common: spans, thresholds, hints, markers.

use super::HISTOGRAM_PARTS_MAX;
use crate::CodecError;
use crate::dx::take_count;
use crate::varint::{put_uvarint, put_varint, take_varint};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_model::{STALE_NAN_BITS, stale_nan};

/// The zero threshold that most client libraries use: 2^-128.
const USUAL_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

/// Counts up to here are exact as integers and as floats.
pub(super) const INTEGER_MAX: i64 = 1 << 53;

/// The integer that a count is, bit for bit; negative if it is none.
#[inline]
pub(super) fn to_integer(count: f64) -> i64 {
    let integer = count as i64;
    let fits = (integer as f64).to_bits() == count.to_bits() && integer <= INTEGER_MAX;
    if fits { integer } else { -1 }
}

/// The histogram that marks the end of a series (a stale marker).
pub(super) fn marker() -> FloatHistogram {
    FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() }
}

pub(super) fn is_marker(histogram: &FloatHistogram) -> bool {
    let zeros = [histogram.zero_threshold, histogram.zero_count, histogram.count];
    histogram.sum.to_bits() == STALE_NAN_BITS
        && histogram.counter_reset_hint == CounterResetHint::Unknown
        && histogram.schema == 0
        && zeros.iter().all(|zero| zero.to_bits() == 0)
        && parts_of(histogram) == 0
}

/// Buckets, spans and bounds.
pub(super) fn parts_of(histogram: &FloatHistogram) -> usize {
    histogram.positive_buckets.len()
        + histogram.negative_buckets.len()
        + spans_of(histogram)
        + histogram.custom_values.len()
}

pub(super) fn spans_of(histogram: &FloatHistogram) -> usize {
    histogram.positive_spans.len() + histogram.negative_spans.len()
}

pub(super) fn hint_number(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

/// The hint in the lowest two bits.
pub(super) fn hint_of(number: u8) -> CounterResetHint {
    match number & 3 {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        _ => CounterResetHint::Gauge,
    }
}

/// Appends the byte of a valid schema.
pub(super) fn put_schema(schema: i32, out: &mut Vec<u8>) {
    out.push(schema as i8 as u8);
}

pub(super) fn take_schema(rest: &mut &[u8], is_custom: bool) -> Result<i32, CodecError> {
    let [byte] = take_array::<1>(rest, "schema")?;
    let schema = i32::from(byte as i8);
    let fits = if is_custom {
        schema == CUSTOM_SCHEMA
    } else {
        (EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX).contains(&schema)
    };
    if fits { Ok(schema) } else { Err(CodecError::Damaged { reason: "a schema of the other kind, or of none" }) }
}

pub(super) fn put_threshold(threshold: f64, out: &mut Vec<u8>) {
    if threshold.to_bits() == 0 {
        out.push(0);
    } else if threshold == USUAL_THRESHOLD {
        out.push(1);
    } else {
        out.push(2);
        out.extend_from_slice(&threshold.to_bits().to_le_bytes());
    }
}

pub(super) fn take_threshold(rest: &mut &[u8]) -> Result<f64, CodecError> {
    match take_array::<1>(rest, "zero threshold")? {
        [0] => Ok(0.0),
        [1] => Ok(USUAL_THRESHOLD),
        [2] => take_f64(rest, "zero threshold"),
        _ => Err(CodecError::Damaged { reason: "unknown code of the zero threshold" }),
    }
}

/// The spans of both sides of a histogram.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) positive: Vec<Span>,
    pub(super) negative: Vec<Span>,
    pub(super) positive_count: usize,
    pub(super) negative_count: usize,
}

impl Layout {
    pub(super) fn put(histogram: &FloatHistogram, out: &mut Vec<u8>) {
        put_uvarint(out, histogram.positive_spans.len() as u64);
        put_uvarint(out, histogram.negative_spans.len() as u64);
        for span in histogram.positive_spans.iter().chain(&histogram.negative_spans) {
            put_varint(out, i64::from(span.offset));
            put_uvarint(out, u64::from(span.length));
        }
    }

    /// Buckets of both sides are at most [`HISTOGRAM_PARTS_MAX`] each, and ascend.
    pub(super) fn take(rest: &mut &[u8]) -> Result<Self, CodecError> {
        let positive = take_count(rest, HISTOGRAM_PARTS_MAX, "positive spans")?;
        let negative = take_count(rest, HISTOGRAM_PARTS_MAX, "negative spans")?;
        if rest.len() < (positive + negative) * SPAN_BYTES_MIN {
            return Err(CodecError::Truncated { field: "spans", bytes: rest.len() });
        }
        let (positive, positive_count) = take_spans(rest, positive)?;
        let (negative, negative_count) = take_spans(rest, negative)?;
        Ok(Self { positive, negative, positive_count, negative_count })
    }

    pub(super) fn span_count(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    pub(super) fn bucket_count(&self) -> usize {
        self.positive_count + self.negative_count
    }
}

const SPAN_BYTES_MIN: usize = 2;

/// Spans whose buckets ascend in 32 bits, and the number of these buckets.
fn take_spans(rest: &mut &[u8], count: usize) -> Result<(Vec<Span>, usize), CodecError> {
    let mut spans = Vec::with_capacity(count);
    let (mut end, mut buckets) = (0i64, 0);
    for number in 0..count {
        let offset = i32::try_from(take_varint(rest, "span offset")?).ok().filter(|&offset| number == 0 || offset >= 0);
        let length = take_count(rest, HISTOGRAM_PARTS_MAX, "span length")?;
        let Some(offset) = offset else {
            return Err(CodecError::Damaged { reason: "a span that goes back" });
        };
        end += i64::from(offset) + length as i64;
        buckets += length;
        if buckets > HISTOGRAM_PARTS_MAX || end > i64::from(i32::MAX) {
            return Err(CodecError::Damaged { reason: "spans beyond the bound" });
        }
        spans.push(Span { offset, length: length as u32 });
    }
    Ok((spans, buckets))
}

/// The indices of the buckets that valid spans describe, ascending.
pub(super) fn indices(spans: &[Span]) -> impl Iterator<Item = i64> + '_ {
    let mut end = 0i64;
    spans.iter().flat_map(move |span| {
        let start = end + i64::from(span.offset);
        end = start + i64::from(span.length);
        start..end
    })
}

pub(super) fn take_array<const N: usize>(rest: &mut &[u8], field: &'static str) -> Result<[u8; N], CodecError> {
    let Some((array, behind)) = rest.split_first_chunk::<N>() else {
        return Err(CodecError::Truncated { field, bytes: rest.len() });
    };
    *rest = behind;
    Ok(*array)
}

pub(super) fn take_f64(rest: &mut &[u8], field: &'static str) -> Result<f64, CodecError> {
    take_array::<8>(rest, field).map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
}
