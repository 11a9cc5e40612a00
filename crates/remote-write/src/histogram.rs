//! A native histogram's message, the same in both versions.

use crate::tags::{bytes, fixed64, varint};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, EXPONENTIAL_SCHEMA_MAX, FloatHistogram, Span};
use mytsdb_intake::{Limits, PointLimit, RefusalReason, Refused};
use mytsdb_protobuf::{ProtobufError, Reader};
use mytsdb_varint::unzigzag;

const COUNT_INT: u32 = varint(1);
const COUNT_FLOAT: u32 = fixed64(2);
const SUM: u32 = fixed64(3);
const SCHEMA: u32 = varint(4);
const ZERO_THRESHOLD: u32 = fixed64(5);
const ZERO_COUNT_INT: u32 = varint(6);
const ZERO_COUNT_FLOAT: u32 = fixed64(7);
const NEGATIVE_SPANS: u32 = bytes(8);
const NEGATIVE_DELTAS: u32 = bytes(9);
const NEGATIVE_DELTA: u32 = varint(9);
const NEGATIVE_COUNTS: u32 = bytes(10);
const NEGATIVE_COUNT: u32 = fixed64(10);
const POSITIVE_SPANS: u32 = bytes(11);
const POSITIVE_DELTAS: u32 = bytes(12);
const POSITIVE_DELTA: u32 = varint(12);
const POSITIVE_COUNTS: u32 = bytes(13);
const POSITIVE_COUNT: u32 = fixed64(13);
const RESET_HINT: u32 = varint(14);
const TIMESTAMP: u32 = varint(15);
const CUSTOM_VALUES: u32 = bytes(16);
const CUSTOM_VALUE: u32 = fixed64(16);

/// Version 2.0 only: when that which is counted began.
const START_TIMESTAMP: u32 = varint(17);

/// The fields above, as [`Reader::skip`] asks for them.
const KNOWN: u32 = (1 << 18) - (1 << 1);

/// Highest schema that is merged into the highest that is stored; Prometheus has these ones reserved.
const RESERVED_SCHEMA_MAX: i32 = 52;

/// A count of either kind; of two the last on the wire counts.
#[derive(Debug, Clone, Copy)]
enum Count {
    Int(u64),
    Float(f64),
}

impl Count {
    fn int(self) -> u64 {
        if let Self::Int(count) = self { count } else { 0 }
    }

    fn float(self) -> f64 {
        if let Self::Float(count) = self { count } else { 0.0 }
    }
}

/// Numbers of which only so many are kept, so that a message takes no more memory than a valid one.
#[derive(Debug)]
struct Kept<T> {
    list: Vec<T>,
    found: usize,
    max: usize,
}

impl<T> Kept<T> {
    fn new(max: usize) -> Self {
        Self { list: Vec::new(), found: 0, max }
    }

    fn push(&mut self, item: T) {
        self.found += 1;
        if self.found <= self.max {
            self.list.push(item);
        }
    }
}

/// One side's buckets, as sent.
#[derive(Debug)]
struct Side {
    spans: Kept<Span>,
    deltas: Kept<i64>,
    counts: Kept<f64>,
}

impl Side {
    fn new(max: usize) -> Self {
        Self { spans: Kept::new(max), deltas: Kept::new(max), counts: Kept::new(max) }
    }
}

/// A histogram and its times, or why it is none.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub timestamp_ms: i64,
    pub start_ms: i64,
    pub histogram: Result<FloatHistogram, Refused>,
}

/// Reads a histogram with no more buckets, spans and bounds of each kind than there may be buckets.
///
/// # Errors
/// If the bytes are no such message. A histogram that can be read, but is none, is refused in the result.
pub(crate) fn parse(message: &[u8], limits: &Limits) -> Result<Parsed, ProtobufError> {
    let buckets_max = limits.bucket_count_max;
    let mut reader = Reader::new(message);
    let (mut count, mut zero_count) = (Count::Int(0), Count::Int(0));
    let (mut positive, mut negative) = (Side::new(buckets_max), Side::new(buckets_max));
    let mut custom_values = Kept::new(buckets_max);
    let mut out = FloatHistogram::default();
    let (mut timestamp_ms, mut start_ms) = (0, 0);
    while let Some(tag) = reader.tag()? {
        match tag {
            COUNT_INT => count = Count::Int(reader.varint()?),
            COUNT_FLOAT => count = Count::Float(reader.double()?),
            SUM => out.sum = reader.double()?,
            SCHEMA => out.schema = unzigzag(reader.varint()?) as i32,
            ZERO_THRESHOLD => out.zero_threshold = reader.double()?,
            ZERO_COUNT_INT => zero_count = Count::Int(reader.varint()?),
            ZERO_COUNT_FLOAT => zero_count = Count::Float(reader.double()?),
            NEGATIVE_SPANS => negative.spans.push(span(reader.bytes()?)?),
            NEGATIVE_DELTAS => packed_varints(reader.bytes()?, &mut negative.deltas)?,
            NEGATIVE_DELTA => negative.deltas.push(unzigzag(reader.varint()?)),
            NEGATIVE_COUNTS => packed_doubles(reader.bytes()?, &mut negative.counts)?,
            NEGATIVE_COUNT => negative.counts.push(reader.double()?),
            POSITIVE_SPANS => positive.spans.push(span(reader.bytes()?)?),
            POSITIVE_DELTAS => packed_varints(reader.bytes()?, &mut positive.deltas)?,
            POSITIVE_DELTA => positive.deltas.push(unzigzag(reader.varint()?)),
            POSITIVE_COUNTS => packed_doubles(reader.bytes()?, &mut positive.counts)?,
            POSITIVE_COUNT => positive.counts.push(reader.double()?),
            RESET_HINT => out.counter_reset_hint = hint(reader.varint()?),
            TIMESTAMP => timestamp_ms = reader.varint()? as i64,
            START_TIMESTAMP => start_ms = reader.varint()? as i64,
            CUSTOM_VALUES => packed_doubles(reader.bytes()?, &mut custom_values)?,
            CUSTOM_VALUE => custom_values.push(reader.double()?),
            _ => reader.skip(tag, KNOWN)?,
        }
    }
    if let Err(refused) = check_counts(&positive, &negative, &custom_values, limits) {
        return Ok(Parsed { timestamp_ms, start_ms, histogram: Err(refused) });
    }
    out.custom_values = custom_values.list;
    let built = match count {
        Count::Int(count) => integer(out, count, zero_count.int(), positive, negative),
        Count::Float(count) => {
            (out.count, out.zero_count) = (count, zero_count.float());
            (out.positive_spans, out.positive_buckets) = (positive.spans.list, positive.counts.list);
            (out.negative_spans, out.negative_buckets) = (negative.spans.list, negative.counts.list);
            validated(out)
        }
    };
    let histogram = built.map_err(|problem| Refused::new(RefusalReason::Invalid, problem));
    Ok(Parsed { timestamp_ms, start_ms, histogram })
}

fn check_counts(positive: &Side, negative: &Side, bounds: &Kept<f64>, limits: &Limits) -> Result<(), Refused> {
    let buckets = [positive.deltas.found, positive.counts.found, negative.deltas.found, negative.counts.found];
    let most = [buckets.iter().sum(), positive.spans.found + negative.spans.found, bounds.found];
    match ["buckets", "spans", "custom bounds"].iter().zip(most).find(|(_, found)| *found > limits.bucket_count_max) {
        Some((what, found)) => Err(limits.over(PointLimit::Buckets, format_args!("histogram has {found} {what}"))),
        None => Ok(()),
    }
}

/// Finishes a histogram of integers: buckets come as differences, and add up to the count.
fn integer(
    mut out: FloatHistogram,
    count: u64,
    zero_count: u64,
    positive: Side,
    negative: Side,
) -> Result<FloatHistogram, String> {
    let mut total = u128::from(zero_count);
    (out.count, out.zero_count) = (count as f64, zero_count as f64);
    out.positive_buckets = absolute(&positive.deltas.list, "positive", &mut total)?;
    out.negative_buckets = absolute(&negative.deltas.list, "negative", &mut total)?;
    (out.positive_spans, out.negative_spans) = (positive.spans.list, negative.spans.list);
    let out = validated(out)?;
    // Observations of NaN are in no bucket, and then the sum is NaN.
    let right = if out.sum.is_nan() { total <= u128::from(count) } else { total == u128::from(count) };
    if right {
        return Ok(out);
    }
    let wanted = if out.sum.is_nan() { "at least " } else { "" };
    Err(format!(
        "{total} observations found in buckets, but the Count field is {count}: \
         histogram's observation count should equal {wanted}the number of observations found in the buckets"
    ))
}

fn absolute(deltas: &[i64], side: &str, total: &mut u128) -> Result<Vec<f64>, String> {
    let mut count = 0_i128;
    let add = |(index, delta): (usize, &i64)| {
        count += i128::from(*delta);
        if let Ok(count) = u64::try_from(count) {
            *total += u128::from(count);
            return Ok(count as f64);
        }
        let why = if count < 0 {
            "histogram has a bucket whose observation count is negative"
        } else {
            "that is more than 64 bits hold"
        };
        Err(format!("{side} side: bucket number {} has observation count of {count}: {why}", index + 1))
    };
    deltas.iter().enumerate().map(add).collect()
}

/// Checks the parts, and merges buckets that are finer than what is stored.
fn validated(mut histogram: FloatHistogram) -> Result<FloatHistogram, String> {
    let sent = histogram.schema;
    if sent != CUSTOM_SCHEMA && (EXPONENTIAL_SCHEMA_MAX + 1..=RESERVED_SCHEMA_MAX).contains(&sent) {
        // All rules but that of the schema are the same; buckets are merged only once they are known to be valid.
        histogram.schema = EXPONENTIAL_SCHEMA_MAX;
        histogram.validate().map_err(|error| error.to_string())?;
        histogram.schema = sent;
        histogram.reduce_resolution(EXPONENTIAL_SCHEMA_MAX).map_err(|error| error.to_string())?;
    }
    histogram.validate().map_err(|error| error.to_string())?;
    Ok(histogram)
}

fn span(message: &[u8]) -> Result<Span, ProtobufError> {
    const OFFSET: u32 = varint(1);
    const LENGTH: u32 = varint(2);
    let mut reader = Reader::new(message);
    let mut span = Span::default();
    while let Some(tag) = reader.tag()? {
        match tag {
            OFFSET => span.offset = unzigzag(reader.varint()?) as i32,
            LENGTH => span.length = reader.varint()? as u32,
            _ => reader.skip(tag, 1 << 1 | 1 << 2)?,
        }
    }
    Ok(span)
}

fn packed_varints(bytes: &[u8], out: &mut Kept<i64>) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(bytes);
    while reader.position() < bytes.len() {
        out.push(unzigzag(reader.varint()?));
    }
    Ok(())
}

fn packed_doubles(bytes: &[u8], out: &mut Kept<f64>) -> Result<(), ProtobufError> {
    let (doubles, []) = bytes.as_chunks::<8>() else { return Err(ProtobufError::Packed { bytes: bytes.len() }) };
    for double in doubles {
        out.push(f64::from_le_bytes(*double));
    }
    Ok(())
}

fn hint(number: u64) -> CounterResetHint {
    match number {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}
