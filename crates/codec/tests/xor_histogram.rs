//! Histogram chunks in Prometheus' layout, read back by the words of `docs/format/xor-histogram-chunk.md`.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_codec::{CodecError, PrometheusChunk, PrometheusEncoding, encode_prometheus};
use mytsdb_columns::Columns;
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, Span};
use mytsdb_model::STALE_NAN_BITS;
use proptest::prelude::*;
use std::sync::Arc;

/// Bits of a chunk, the most significant of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> u64 {
        (0..count).fold(0, |value, _| {
            let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u64::from(bit)
        })
    }

    /// The field behind a prefix of ones, and how many bits it has.
    fn field(&mut self) -> (u64, usize) {
        let widths = [0, 3, 6, 9, 12, 18, 25, 56, 64];
        let ones = (0..8).take_while(|_| self.take(1) == 1).count();
        (self.take(widths[ones]), widths[ones])
    }

    fn unsigned(&mut self) -> u64 {
        self.field().0
    }

    fn signed(&mut self) -> i64 {
        let (field, width) = self.field();
        if (1..64).contains(&width) && field > 1 << (width - 1) { field as i64 - (1 << width) } else { field as i64 }
    }

    fn spans(&mut self) -> Vec<Span> {
        let count = self.unsigned();
        let mut span = |_| {
            let length = self.unsigned() as u32;
            Span { offset: self.signed() as i32, length }
        };
        (0..count).map(&mut span).collect()
    }

    fn bound(&mut self) -> f64 {
        match self.unsigned() {
            0 => f64::from_bits(self.take(64)),
            thousandths => (thousandths - 1) as f64 / 1000.0,
        }
    }

    /// The XOR with the value before; `window` is what was used last: bits in front, bits in it.
    fn xor(&mut self, window: &mut (usize, usize)) -> u64 {
        if self.take(1) == 0 {
            return 0;
        }
        if self.take(1) == 1 {
            let leading = self.take(5) as usize;
            *window = (leading, [64, self.take(6) as usize].into_iter().rfind(|&bits| bits > 0).unwrap());
        }
        self.take(window.1) << (64 - window.0 - window.1)
    }
}

/// Integers of a sample after the first: differences, of differences from the third on.
#[derive(Clone, Copy, Default)]
struct Steps {
    last: i64,
    step: i64,
}

impl Steps {
    fn next(&mut self, bits: &mut Bits<'_>) -> i64 {
        self.step = self.step.wrapping_add(bits.signed());
        self.last = self.last.wrapping_add(self.step);
        self.last
    }
}

/// The samples of a chunk. What a reader of Prometheus would say of resets: the flags for the first, no reset for the rest.
fn read(chunk: &PrometheusChunk) -> Vec<(i64, FloatHistogram)> {
    let integers = chunk.encoding == PrometheusEncoding::Histogram;
    let chunk = &chunk.bytes;
    let mut bits = Bits { bytes: chunk, at: 0 };
    let count = bits.take(16);
    let first_hint = match bits.take(8) >> 6 {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::NotCounterReset,
        2 => CounterResetHint::CounterReset,
        _ => CounterResetHint::Gauge,
    };
    let zero_threshold = match bits.take(8) {
        0 => 0.0,
        255 => f64::from_bits(bits.take(64)),
        byte => 2.0f64.powi(byte as i32 - 244),
    };
    let mut layout = FloatHistogram { schema: bits.signed() as i32, zero_threshold, ..FloatHistogram::default() };
    (layout.positive_spans, layout.negative_spans) = (bits.spans(), bits.spans());
    if layout.schema == CUSTOM_SCHEMA {
        layout.custom_values = (0..bits.unsigned()).map(|_| bits.bound()).collect();
    }
    let buckets = |spans: &[Span]| spans.iter().map(|span| span.length as usize).sum::<usize>();
    let (positive, negative) = (buckets(&layout.positive_spans), buckets(&layout.negative_spans));
    let mut time = Steps { last: bits.signed(), step: 0 };
    // Count, zero count and sum, then buckets; the place of the sum is that of a float in both forms.
    let mut numbers: Vec<u64> = Vec::new();
    let mut steps: Vec<Steps> = Vec::new();
    let mut windows = vec![(0, 64); 3 + positive + negative];
    let mut samples = Vec::new();
    for index in 0..count {
        if index > 0 {
            time.next(&mut bits);
        }
        for place in 0..3 + positive + negative {
            match (index, integers && place != 2) {
                (0, true) => {
                    let last = if place < 2 { bits.unsigned() as i64 } else { bits.signed() };
                    steps.push(Steps { last, step: 0 });
                    numbers.push(0);
                }
                (0, false) => {
                    steps.push(Steps::default());
                    numbers.push(bits.take(64));
                }
                (_, true) => drop(steps[place].next(&mut bits)),
                (_, false) => numbers[place] ^= bits.xor(&mut windows[place]),
            }
        }
        let mut values: Vec<f64> = numbers.iter().map(|&number| f64::from_bits(number)).collect();
        if integers {
            (values[0], values[1]) = (steps[0].last as f64, steps[1].last as f64);
            for side in [3..3 + positive, 3 + positive..3 + positive + negative] {
                let mut sum = 0;
                for place in side {
                    sum += steps[place].last;
                    values[place] = sum as f64;
                }
            }
        }
        let is_gauge = first_hint == CounterResetHint::Gauge;
        let counter_reset_hint = if index == 0 || is_gauge { first_hint } else { CounterResetHint::NotCounterReset };
        let (positive_buckets, negative_buckets) = (values[3..3 + positive].to_vec(), values[3 + positive..].to_vec());
        let [count, zero_count, sum] = [values[0], values[1], values[2]];
        samples.push((
            time.last,
            FloatHistogram {
                counter_reset_hint,
                count,
                zero_count,
                sum,
                positive_buckets,
                negative_buckets,
                ..layout.clone()
            },
        ));
    }
    assert!(bits.at.div_ceil(8) == chunk.len(), "{} of {} bytes", bits.at.div_ceil(8), chunk.len());
    samples
}

fn chunks(columns: &Columns) -> Vec<PrometheusChunk> {
    let mut found = Vec::new();
    let take = |chunk| {
        found.push(chunk);
        Ok::<_, CodecError>(())
    };
    encode_prometheus(columns, take).unwrap();
    found
}

fn bits_of(histogram: &FloatHistogram) -> Vec<u64> {
    let counts = [histogram.count, histogram.zero_count, histogram.sum, histogram.zero_threshold].into_iter();
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets).copied();
    counts.chain(buckets).chain(histogram.custom_values.iter().copied()).map(f64::to_bits).collect()
}

fn layouts() -> impl Strategy<Value = FloatHistogram> {
    let spans = || {
        let span = (-300i32..300, 0u32..4).prop_map(|(offset, length)| Span { offset, length });
        prop::collection::vec(span, 0..4)
    };
    let threshold = prop_oneof![Just(0.0), (-250i32..20).prop_map(|k| 2.0f64.powi(k)), any::<f64>(), Just(1e-128)];
    let bound = prop_oneof![(0u32..40_000_000).prop_map(|n| f64::from(n) / 1000.0), -1e300..1e300, -5.0..5.0];
    let bounds = prop::collection::vec(bound, 0..6);
    (prop_oneof![-4i32..=8, Just(CUSTOM_SCHEMA)], threshold, spans(), spans(), bounds, any::<bool>()).prop_map(
        |(schema, zero_threshold, positive_spans, negative_spans, custom_values, is_gauge)| FloatHistogram {
            counter_reset_hint: if is_gauge { CounterResetHint::Gauge } else { CounterResetHint::NotCounterReset },
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            custom_values: if schema == CUSTOM_SCHEMA { custom_values } else { Vec::new() },
            ..FloatHistogram::default()
        },
    )
}

/// Layouts with samples: gaps of time, and a factor each for its counts, or any bits.
fn series() -> impl Strategy<Value = (FloatHistogram, i64, Vec<(i64, u64)>)> {
    let gap = prop_oneof![Just(15_000i64), 14_990i64..15_010, 1i64..1 << 40];
    let seed = prop_oneof![0u64..1_000, any::<u64>()];
    (layouts(), -(1i64 << 40)..1 << 41, prop::collection::vec((gap, seed), 1..40))
}

proptest! {
    #[test]
    fn what_was_pushed_is_read_back((layout, start_ms, samples) in series()) {
        let mut columns = Columns::default();
        let (mut pushed, mut time) = (Vec::new(), start_ms);
        for (gap, seed) in samples {
            time += gap;
            let value = |place: u64| match seed {
                0..1_000 => (seed * (place + 1)) as f64,
                _ => f64::from_bits(seed.wrapping_mul(2 * place + 1)),
            };
            let count = |spans: &[Span]| spans.iter().map(|span| u64::from(span.length)).sum::<u64>();
            let (positive, negative) = (count(&layout.positive_spans), count(&layout.negative_spans));
            let histogram = FloatHistogram {
                count: value(1),
                zero_count: value(2),
                sum: seed as f64 / 3.0,
                positive_buckets: (0..positive).map(|i| value(3 + i)).collect(),
                negative_buckets: (0..negative).map(|i| value(3 + positive + i)).collect(),
                ..layout.clone()
            };
            columns.push_histogram(time, Arc::new(histogram.clone()));
            pushed.push((time, histogram));
        }
        let found: Vec<_> = chunks(&columns).iter().flat_map(read).collect();
        prop_assert_eq!(found.len(), pushed.len());
        for ((found_at, found), (time, histogram)) in found.iter().zip(&pushed) {
            prop_assert_eq!((found_at, bits_of(found)), (time, bits_of(histogram)));
            prop_assert_eq!(&found.positive_spans, &histogram.positive_spans);
            prop_assert_eq!(&found.negative_spans, &histogram.negative_spans);
            prop_assert_eq!((found.schema, found.counter_reset_hint), (histogram.schema, histogram.counter_reset_hint));
        }
    }
}

#[test]
fn a_marker_stands_alone_and_thousands_of_buckets_make_short_chunks() {
    let stale = FloatHistogram {
        sum: f64::from_bits(STALE_NAN_BITS),
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![1.0],
        ..FloatHistogram::default()
    };
    let wide = FloatHistogram {
        counter_reset_hint: CounterResetHint::NotCounterReset,
        positive_spans: vec![Span { offset: 0, length: 20_000 }],
        positive_buckets: vec![1.0; 20_000],
        ..FloatHistogram::default()
    };
    let mut columns = Columns::default();
    (0..2).for_each(|time| columns.push_histogram(time, Arc::new(stale.clone())));
    (2..12).for_each(|time| columns.push_histogram(time, Arc::new(wide.clone())));
    let found = chunks(&columns);
    assert_eq!(found.iter().map(|chunk| chunk.samples).collect::<Vec<_>>(), [1, 1, 6, 4]);
    let [(0, marker)] = &read(&found[0])[..] else { panic!("{:?}", found[0]) };
    assert!(marker.is_stale() && marker.positive_spans.is_empty());
}
