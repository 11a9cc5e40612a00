//! One histogram in bytes, for the records of a log.

use super::parts::{INTEGER_MAX, Layout, hint_number, hint_of, is_marker, marker, parts_of, put_schema, put_threshold};
use super::parts::{take_array, take_f64, take_schema, take_threshold, to_integer};
use super::{HISTOGRAM_PARTS_MAX, flag};
use crate::CodecError;
use crate::dx::take_count;
use crate::varint::{VARINT_BYTES_MAX, put_uvarint, take_uvarint, take_varint};
use mytsdb_histogram::FloatHistogram;
use mytsdb_varint::zigzag;

/// Bytes of a float.
const FLOAT_BYTES: usize = 8;

/// Appends one histogram, which [`take_histogram`] gives back bit for bit.
///
/// ```
/// use mytsdb_codec::{put_histogram, take_histogram};
/// use mytsdb_histogram::FloatHistogram;
///
/// let histogram = FloatHistogram { count: 3.0, zero_count: 3.0, sum: 0.5, ..FloatHistogram::default() };
/// let mut bytes = Vec::new();
/// put_histogram(&histogram, &mut bytes)?;
/// bytes.push(7); // whatever follows
/// let mut rest = bytes.as_slice();
/// assert_eq!((take_histogram(&mut rest)?, rest), (histogram, &[7][..]));
/// # Ok::<(), mytsdb_codec::CodecError>(())
/// ```
///
/// # Errors
/// [`CodecError::HistogramTooLarge`] or [`CodecError::Histogram`], of sample 0; then `out` is as it was.
pub fn put_histogram(histogram: &FloatHistogram, out: &mut Vec<u8>) -> Result<(), CodecError> {
    if is_marker(histogram) {
        out.push(flag::STALE);
        return Ok(());
    }
    let parts = parts_of(histogram);
    if parts > HISTOGRAM_PARTS_MAX {
        return Err(CodecError::HistogramTooLarge { parts });
    }
    histogram.validate().map_err(|source| CodecError::Histogram { sample: 0, source })?;
    let singles = [histogram.count, histogram.zero_count];
    let counts = [&singles[..], &histogram.positive_buckets, &histogram.negative_buckets];
    let are_integers = counts.into_iter().all(are_integers);
    let is_custom = histogram.uses_custom_buckets();

    let kinds = if are_integers { 0 } else { flag::VALUES } | if is_custom { flag::CUSTOM } else { 0 };
    out.push(kinds | hint_number(histogram.counter_reset_hint) << flag::HINT_SHIFT);
    put_schema(histogram.schema, out);
    if is_custom {
        put_uvarint(out, histogram.custom_values.len() as u64);
        put_floats(&histogram.custom_values, out);
    }
    put_threshold(histogram.zero_threshold, out);
    Layout::put(histogram, out);
    put_floats(&[histogram.sum], out);
    if are_integers {
        for count in singles {
            put_uvarint(out, to_integer(count) as u64);
        }
    } else {
        put_floats(&singles, out);
    }
    for side in [&histogram.positive_buckets, &histogram.negative_buckets] {
        if are_integers {
            put_differences(side, out);
        } else {
            put_floats(side, out);
        }
    }
    Ok(())
}

/// From here on every float is an integer; added to a smaller one it leaves that as an integer in the lowest bits.
const WHOLE: f64 = (1u64 << 52) as f64;

/// Whether counts are integers from 0 to [`INTEGER_MAX`], bit for bit. Nothing branches on a count, so several are looked at at once.
fn are_integers(counts: &[f64]) -> bool {
    let (mut signs, mut all) = (0, 1);
    for &count in counts {
        signs |= count.to_bits();
        let is_whole = u64::from(count >= WHOLE) | u64::from((count + WHOLE) - WHOLE == count);
        all &= is_whole & u64::from(count <= INTEGER_MAX as f64);
    }
    all == 1 && signs >> 63 == 0
}

/// Appends integers, each as its difference to the one before.
fn put_differences(counts: &[f64], out: &mut Vec<u8>) {
    if counts.iter().filter(|&&count| count >= WHOLE).count() == 0 {
        put_differences_of(counts, WHOLE.to_bits() as i64, |count| (count + WHOLE).to_bits() as i64, out);
    } else {
        put_differences_of(counts, 0, |count| count as i64, out);
    }
}

/// Appends the differences between integers, the first of them to `before`. Sizes of neighbours differ, so nothing branches on them but on
/// those that are rare.
#[inline]
fn put_differences_of(counts: &[f64], before: i64, to_integer: impl Fn(f64) -> i64, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + counts.len() * VARINT_BYTES_MAX, 0);
    let (mut at, mut before) = (start, before);
    for &count in counts {
        let count = to_integer(count);
        let value = zigzag(count - before);
        before = count;
        if value >= 1 << 28 {
            at = mytsdb_varint::write(out, at, value);
            continue;
        }
        let bytes: usize = [7, 14, 21].iter().map(|bits| usize::from(value >= 1 << bits)).sum();
        let sevens = value & 0x7f | (value & 0x3f80) << 1 | (value & 0x001f_c000) << 2 | (value & 0x0fe0_0000) << 3;
        let more = 0x0080_8080 & ((1u32 << (8 * bytes)) - 1);
        out[at..at + 4].copy_from_slice(&(sevens as u32 | more).to_le_bytes());
        at += bytes + 1;
    }
    out.truncate(at);
}

/// Reads a valid histogram from the front of `rest` and advances it; on error `rest` may be anywhere.
///
/// Allocates at most 8 bytes for each byte of `rest`, at most 512 KiB.
///
/// # Errors
/// [`CodecError::Truncated`], [`CodecError::Damaged`] or [`CodecError::Histogram`], of sample 0.
pub fn take_histogram(rest: &mut &[u8]) -> Result<FloatHistogram, CodecError> {
    let [flags] = take_array::<1>(rest, "flags of a histogram")?;
    if flags == flag::STALE {
        return Ok(marker());
    }
    if flags & !(flag::VALUES | flag::CUSTOM | flag::HINT_BITS << flag::HINT_SHIFT) != 0 {
        return Err(CodecError::Damaged { reason: "unknown flag of a histogram" });
    }
    let (are_integers, is_custom) = (flags & flag::VALUES == 0, flags & flag::CUSTOM != 0);
    let mut histogram = FloatHistogram {
        counter_reset_hint: hint_of(flags >> flag::HINT_SHIFT),
        schema: take_schema(rest, is_custom)?,
        ..FloatHistogram::default()
    };
    if is_custom {
        let bounds = take_count(rest, HISTOGRAM_PARTS_MAX, "custom bounds")?;
        histogram.custom_values = take_floats(rest, bounds, "custom bounds")?;
    }
    histogram.zero_threshold = take_threshold(rest)?;
    let layout = Layout::take(rest)?;
    if histogram.custom_values.len() + layout.span_count() + layout.bucket_count() > HISTOGRAM_PARTS_MAX {
        return Err(CodecError::Damaged { reason: "a histogram beyond the bounds" });
    }
    histogram.sum = take_f64(rest, "sum")?;
    if are_integers {
        histogram.count = take_uvarint(rest, "count")? as f64;
        histogram.zero_count = take_uvarint(rest, "zero count")? as f64;
    } else {
        histogram.count = take_f64(rest, "count")?;
        histogram.zero_count = take_f64(rest, "zero count")?;
    }
    let take = if are_integers { take_integers } else { take_buckets };
    histogram.positive_buckets = take(rest, layout.positive_count)?;
    histogram.negative_buckets = take(rest, layout.negative_count)?;
    (histogram.positive_spans, histogram.negative_spans) = (layout.positive, layout.negative);
    histogram.validate().map_err(|source| CodecError::Histogram { sample: 0, source })?;
    Ok(histogram)
}

fn put_floats(floats: &[f64], out: &mut Vec<u8>) {
    for float in floats {
        out.extend_from_slice(&float.to_bits().to_le_bytes());
    }
}

fn take_floats(rest: &mut &[u8], count: usize, field: &'static str) -> Result<Vec<f64>, CodecError> {
    let Some((own, behind)) = rest.split_at_checked(count * FLOAT_BYTES) else {
        return Err(CodecError::Truncated { field, bytes: rest.len() });
    };
    *rest = behind;
    Ok(own.as_chunks::<FLOAT_BYTES>().0.iter().map(|bytes| f64::from_bits(u64::from_le_bytes(*bytes))).collect())
}

fn take_buckets(rest: &mut &[u8], count: usize) -> Result<Vec<f64>, CodecError> {
    take_floats(rest, count, "buckets")
}

/// Integers, each as its difference to the one before.
fn take_integers(rest: &mut &[u8], count: usize) -> Result<Vec<f64>, CodecError> {
    if rest.len() < count {
        return Err(CodecError::Truncated { field: "buckets", bytes: rest.len() });
    }
    let mut buckets = Vec::with_capacity(count);
    let mut before = 0i64;
    for _ in 0..count {
        before = before.wrapping_add(take_varint(rest, "bucket")?);
        buckets.push(before as f64);
    }
    Ok(buckets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_histogram::Span;

    #[test]
    fn integers_are_told_and_come_back_up_to_the_bound() {
        let bound = INTEGER_MAX as f64;
        let counts = [0.0, -0.0, 0.5, 1.0, 1.5, 127.0, WHOLE - 1.0, WHOLE - 0.5, WHOLE, WHOLE + 1.0];
        let beyond = [bound - 1.0, bound, bound + 2.0, f64::MAX, f64::INFINITY, f64::NAN, f64::MIN_POSITIVE, -1.0];
        for count in counts.into_iter().chain(beyond) {
            assert_eq!(are_integers(&[3.0, count, 2.0]), to_integer(count) >= 0, "{count}");
            let histogram = FloatHistogram {
                positive_spans: vec![Span { offset: 0, length: 3 }],
                positive_buckets: vec![3.0, count, 2.0],
                ..FloatHistogram::default()
            };
            let mut bytes = Vec::new();
            if put_histogram(&histogram, &mut bytes).is_err() {
                assert!(count < 0.0, "{count}");
                continue;
            }
            let read = take_histogram(&mut &bytes[..]).unwrap();
            let bits = |buckets: &[f64]| buckets.iter().map(|count| count.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read.positive_buckets), bits(&histogram.positive_buckets));
        }
    }
}
