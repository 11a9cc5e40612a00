//! Chunks of native histograms in the bit layout of Prometheus, to hand out: what is stored is smaller and read by columns. One layout of buckets in front, then a column for each field, interleaved by sample.
//!
//! | part | encoding |
//! |---|---|
//! | count of samples | u16, big-endian |
//! | what is known of a counter reset | u8: 0x80 reset, 0x40 none, 0xc0 a gauge, 0 nothing |
//! | zero threshold | 0; or 1 to 254 for 2^(n-244); or 255 and 64 bits |
//! | schema, positive spans, negative spans, bounds if the schema is -53 | numbers of variable length |
//! | samples | time, count, zero count, sum, positive buckets, negative buckets |
//!
//! `docs/format/xor-histogram-chunk.md` has the rest.

use super::writer::{BitWriter, XorColumn};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};

/// Counts up to here are integers that a float holds exactly.
const INTEGER_MAX: f64 = (1u64 << 53) as f64;

/// Bounds that are thousandths up to here are written as integers.
const THOUSANDTHS_MAX: f64 = 33_554_430.0;

/// Whether all counts are integers, so that the smaller of the two kinds of chunks can hold it.
pub(super) fn is_integer(histogram: &FloatHistogram) -> bool {
    let fits = |count: &f64| count.is_sign_positive() && *count <= INTEGER_MAX && count.fract() == 0.0;
    fits(&histogram.count)
        && fits(&histogram.zero_count)
        && histogram.positive_buckets.iter().all(fits)
        && histogram.negative_buckets.iter().all(fits)
}

/// Whether two histograms can be in one chunk, as far as that depends on their buckets.
pub(super) fn same_layout(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let same_bits = |a: &[f64], b: &[f64]| a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()));
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && same_bits(&a.custom_values, &b.custom_values)
}

/// The chunk of histograms of one layout; none is stale, unless it is the only one. `integers` says that all counts are.
pub(super) fn encode(times_ms: &[i64], histograms: &[&FloatHistogram], integers: bool) -> Vec<u8> {
    let Some(first) = histograms.first() else { return vec![0, 0, 0] };
    let mut bytes = (histograms.len() as u16).to_be_bytes().to_vec();
    bytes.push(match first.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 0x80,
        CounterResetHint::NotCounterReset => 0x40,
        CounterResetHint::Gauge => 0xc0,
    });
    let mut out = BitWriter::behind(bytes);
    put_layout(first, &mut out);
    if integers {
        put_integers(times_ms, histograms, &mut out);
    } else {
        put_floats(times_ms, histograms, &mut out);
    }
    out.into_bytes()
}

fn put_layout(histogram: &FloatHistogram, out: &mut BitWriter) {
    put_threshold(histogram.zero_threshold, out);
    out.put_int(i64::from(histogram.schema));
    put_spans(&histogram.positive_spans, out);
    put_spans(&histogram.negative_spans, out);
    if histogram.uses_custom_buckets() {
        out.put_uint(histogram.custom_values.len() as u64);
        for bound in &histogram.custom_values {
            let thousandths = bound * 1_000.0;
            let is_whole = thousandths.fract() == 0.0 && thousandths / 1_000.0 == *bound && bound.is_sign_positive();
            if is_whole && thousandths <= THOUSANDTHS_MAX {
                // Never 0, so it begins with a one.
                out.put_uint(thousandths as u64 + 1);
            } else {
                out.put(0, 1);
                out.put_float(*bound);
            }
        }
    }
}

fn put_threshold(threshold: f64, out: &mut BitWriter) {
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i64 - 1_023;
    if bits == 0 {
        out.put(0, 8);
    } else if bits & ((1 << 52) - 1) == 0 && (-243..=10).contains(&exponent) {
        out.put((exponent + 244) as u64, 8);
    } else {
        out.put(255, 8);
        out.put(bits, 64);
    }
}

fn put_spans(spans: &[Span], out: &mut BitWriter) {
    out.put_uint(spans.len() as u64);
    for span in spans {
        out.put_uint(u64::from(span.length));
        out.put_int(i64::from(span.offset));
    }
}

/// Times: the first, the difference, then differences of differences.
#[derive(Default)]
struct Steps {
    last: i64,
    step: i64,
}

impl Steps {
    /// What is written for the `at`-th value.
    fn next(&mut self, at: usize, value: i64) -> i64 {
        let step = value.wrapping_sub(self.last);
        let written = match at {
            0 => value,
            1 => step,
            _ => step.wrapping_sub(self.step),
        };
        self.last = value;
        // The first is no step.
        self.step = if at == 0 { 0 } else { step };
        written
    }
}

fn put_integers(times_ms: &[i64], histograms: &[&FloatHistogram], out: &mut BitWriter) {
    let (mut times, mut counts, mut zeros) = (Steps::default(), Steps::default(), Steps::default());
    let mut sums: Option<XorColumn> = None;
    let mut buckets: Vec<Steps> = Vec::new();
    for (at, (time, histogram)) in times_ms.iter().zip(histograms).enumerate() {
        out.put_int(times.next(at, *time));
        let (count, zero_count) = (histogram.count as i64, histogram.zero_count as i64);
        if at == 0 {
            out.put_uint(counts.next(at, count) as u64);
            out.put_uint(zeros.next(at, zero_count) as u64);
            sums = Some(XorColumn::begin(histogram.sum, out));
        } else {
            out.put_int(counts.next(at, count));
            out.put_int(zeros.next(at, zero_count));
            if let Some(sums) = &mut sums {
                sums.put(histogram.sum, out);
            }
        }
        // Each side as differences to the bucket before, and these over time.
        let sides = [&histogram.positive_buckets, &histogram.negative_buckets];
        let differences = sides.into_iter().flat_map(|side| {
            side.iter().scan(0, |before, count| {
                let count = *count as i64;
                Some(count - std::mem::replace(before, count))
            })
        });
        for (place, difference) in differences.enumerate() {
            if place == buckets.len() {
                buckets.push(Steps::default());
            }
            out.put_int(buckets[place].next(at, difference));
        }
    }
}

fn put_floats(times_ms: &[i64], histograms: &[&FloatHistogram], out: &mut BitWriter) {
    let mut times = Steps::default();
    let mut columns: Vec<XorColumn> = Vec::new();
    for (at, (time, histogram)) in times_ms.iter().zip(histograms).enumerate() {
        out.put_int(times.next(at, *time));
        let fields = [histogram.count, histogram.zero_count, histogram.sum];
        let values = fields.iter().chain(&histogram.positive_buckets).chain(&histogram.negative_buckets);
        for (place, value) in values.enumerate() {
            if at == 0 {
                columns.push(XorColumn::begin(*value, out));
            } else {
                columns[place].put(*value, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_that_are_powers_of_two_take_a_byte() {
        let written = |threshold: f64| {
            let mut bits = BitWriter::default();
            put_threshold(threshold, &mut bits);
            bits.into_bytes()
        };
        assert_eq!(written(0.0), [0]);
        assert_eq!(written(f64::powi(2.0, -128)), [116]);
        assert_eq!(written(f64::powi(2.0, -243)), [1]);
        assert_eq!(written(1024.0), [254]);
        for other in [0.001, 2048.0, f64::powi(2.0, -244), f64::MIN_POSITIVE / 4.0] {
            assert_eq!(written(other), [&[255][..], &other.to_bits().to_be_bytes()].concat());
        }
    }

    #[test]
    fn integers_are_told_from_other_counts() {
        let of = |count: f64| FloatHistogram { count, ..FloatHistogram::default() };
        for count in [0.0, 1.0, INTEGER_MAX] {
            assert!(is_integer(&of(count)), "{count}");
        }
        for count in [-0.0, 0.5, -1.0, f64::NAN, f64::INFINITY, INTEGER_MAX * 2.0] {
            assert!(!is_integer(&of(count)), "{count}");
        }
    }
}
