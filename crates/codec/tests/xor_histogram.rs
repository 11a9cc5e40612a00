//! Histogram chunks in Prometheus' layout, read back by the words of `docs/format/xor-histogram-chunk.md`.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_codec::{CodecError, XorHistogramAppender};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, Span};
use mytsdb_model::STALE_NAN_BITS;
use proptest::prelude::*;

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

/// The samples of a chunk. What a reader of Prometheus would say of resets: the flags for the first, no reset for the rest.
fn read(chunk: &[u8]) -> Vec<(i64, FloatHistogram)> {
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
    let (mut time, mut delta) = (bits.signed(), 0i64);
    let mut numbers: Vec<u64> = (0..3 + positive + negative).map(|_| bits.take(64)).collect();
    let mut windows = vec![(0, 64); numbers.len()];
    let mut samples = Vec::new();
    for index in 0..count {
        if index > 0 {
            delta = delta.wrapping_add(bits.signed());
            time = time.wrapping_add(delta);
            numbers.iter_mut().zip(&mut windows).for_each(|(number, window)| *number ^= bits.xor(window));
        }
        let values: Vec<f64> = numbers.iter().map(|&number| f64::from_bits(number)).collect();
        let is_gauge = first_hint == CounterResetHint::Gauge;
        let counter_reset_hint = if index == 0 || is_gauge { first_hint } else { CounterResetHint::NotCounterReset };
        let (positive_buckets, negative_buckets) = (values[3..3 + positive].to_vec(), values[3 + positive..].to_vec());
        let [count, zero_count, sum] = [values[0], values[1], values[2]];
        samples.push((
            time,
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
        let mut appender = XorHistogramAppender::new();
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
            prop_assert!(appender.takes(&histogram));
            appender.push(time, &histogram).unwrap();
            pushed.push((time, histogram));
        }
        let found = read(appender.bytes());
        prop_assert_eq!(found.len(), pushed.len());
        for ((found_at, found), (time, histogram)) in found.iter().zip(&pushed) {
            prop_assert_eq!((found_at, bits_of(found)), (time, bits_of(histogram)));
            prop_assert_eq!(&found.positive_spans, &histogram.positive_spans);
            prop_assert_eq!(&found.negative_spans, &histogram.negative_spans);
            prop_assert_eq!((found.schema, found.counter_reset_hint), (histogram.schema, histogram.counter_reset_hint));
        }
    }
}

fn counter(count: f64) -> FloatHistogram {
    FloatHistogram {
        count,
        sum: 1.0,
        positive_spans: vec![Span { offset: 2, length: 1 }],
        positive_buckets: vec![count],
        ..FloatHistogram::default()
    }
}

#[test]
fn a_chunk_ends_before_a_reset_a_gauge_another_layout_and_a_marker() {
    let mut appender = XorHistogramAppender::new();
    appender.push(1, &counter(5.0)).unwrap();
    appender.push(2, &counter(5.0)).unwrap();
    let with = |change: fn(&mut FloatHistogram)| {
        let mut histogram = counter(6.0);
        change(&mut histogram);
        histogram
    };
    assert!(appender.takes(&with(|_| {})));
    let stale = FloatHistogram { sum: f64::from_bits(STALE_NAN_BITS), ..FloatHistogram::default() };
    let others = [
        counter(4.0),
        stale.clone(),
        with(|h| h.counter_reset_hint = CounterResetHint::CounterReset),
        with(|h| h.counter_reset_hint = CounterResetHint::Gauge),
        with(|h| h.schema = 1),
        with(|h| h.zero_threshold = 0.1),
        with(|h| h.positive_spans[0].offset = 3),
        with(|h| h.negative_spans = vec![Span { offset: 0, length: 0 }]),
    ];
    let before = appender.bytes().to_vec();
    for other in &others {
        assert!(!appender.takes(other), "{other:?}");
        assert_eq!(appender.push(3, other), Err(CodecError::Full { count: 2 }));
    }
    assert_eq!(appender.push(2, &counter(6.0)), Err(CodecError::OutOfOrder { timestamp_ms: 2, last_ms: 2 }));
    assert_eq!(appender.bytes(), before);

    let mut alone = XorHistogramAppender::new();
    alone.push(4, &FloatHistogram { sum: f64::from_bits(STALE_NAN_BITS), ..counter(9.0) }).unwrap();
    assert!(!alone.takes(&stale) && !alone.takes(&counter(9.0)));
    let [(4, marker)] = &read(alone.bytes())[..] else { panic!("{:?}", alone.bytes()) };
    assert!(marker.is_stale() && marker.positive_spans.is_empty());
}
