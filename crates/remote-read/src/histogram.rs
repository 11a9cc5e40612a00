//! The message of a native histogram, in its form for floats.

use crate::put;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_varint::{put_uvarint, zigzag};

pub(crate) fn message(histogram: &FloatHistogram, timestamp_ms: i64) -> Vec<u8> {
    let mut out = Vec::new();
    put::always_double(&mut out, 2, histogram.count);
    put::double(&mut out, 3, histogram.sum);
    put::varint(&mut out, 4, zigzag(histogram.schema.into()));
    put::double(&mut out, 5, histogram.zero_threshold);
    put::always_double(&mut out, 7, histogram.zero_count);
    side(&mut out, 8, &histogram.negative_spans, &histogram.negative_buckets);
    side(&mut out, 11, &histogram.positive_spans, &histogram.positive_buckets);
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    };
    put::varint(&mut out, 14, hint);
    put::varint(&mut out, 15, timestamp_ms as u64);
    packed(&mut out, 16, &histogram.custom_values);
    out
}

/// Spans in `field`, counts two fields behind.
fn side(out: &mut Vec<u8>, field: u32, spans: &[Span], counts: &[f64]) {
    let mut span_message = Vec::new();
    for span in spans {
        span_message.clear();
        put::varint(&mut span_message, 1, zigzag(span.offset.into()));
        put::varint(&mut span_message, 2, span.length.into());
        put::bytes(out, field, &span_message);
    }
    packed(out, field + 2, counts);
}

fn packed(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    put_uvarint(out, u64::from(field << 3 | 2));
    put_uvarint(out, 8 * values.len() as u64);
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}
