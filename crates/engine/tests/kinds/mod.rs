//! Samples of both kinds as numbers: below 10 a float, from 10 on one of a few histograms; some series have start times.

use mytsdb_columns::{Columns, Mark};
use mytsdb_engine::{Batch, Selection};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{SeriesRef, TimeRange, stale_nan};

/// The first number that stands for a histogram.
pub const HISTOGRAM: f64 = 10.0;

/// How many there are.
pub const HISTOGRAMS: u64 = 4;

/// A stale marker, one of integers, one of floats with bounds of its own, a gauge.
pub fn histogram(number: f64) -> FloatHistogram {
    let integers = FloatHistogram {
        counter_reset_hint: CounterResetHint::NotCounterReset,
        schema: 2,
        count: 7.0,
        sum: 3.5,
        zero_threshold: 0.001,
        zero_count: 1.0,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![1.0, 2.0, 1.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![2.0],
        ..FloatHistogram::default()
    };
    match number - HISTOGRAM {
        0.0 => FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() },
        1.0 => integers,
        2.0 => FloatHistogram {
            schema: CUSTOM_SCHEMA,
            count: 1.75,
            sum: 0.1,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![0.5, 0.25, 1.0],
            custom_values: vec![0.1, 10.0],
            ..FloatHistogram::default()
        },
        _ => FloatHistogram { counter_reset_hint: CounterResetHint::Gauge, sum: -1.0, ..integers },
    }
}

/// Since when a sample counts: known of every third series below 12, and there not always.
pub fn start_ms(series: u64, timestamp_ms: i64) -> i64 {
    if series < 12 && series.is_multiple_of(3) && timestamp_ms % 4 != 0 {
        timestamp_ms.div_euclid(500) * 500 - 1
    } else {
        0
    }
}

/// Adds the sample that a number stands for.
pub fn push(batch: &mut Batch, reference: SeriesRef, series: u64, timestamp_ms: i64, number: f64) {
    let start_ms = start_ms(series, timestamp_ms);
    if number < HISTOGRAM {
        batch.push_since(reference, timestamp_ms, start_ms, number);
    } else {
        batch.push_histogram(reference, timestamp_ms, start_ms, &histogram(number)).expect("a valid histogram");
    }
}

/// All samples of a series, each with the number that it stands for. Asserts that they are in order, are exactly what they
/// were, and have the start times they had.
pub fn read(found: &Selection<'_>, index: usize, series: u64) -> Vec<(i64, f64)> {
    let mut columns = Columns::default();
    found.read(index, TimeRange::ALL, &mut columns).expect("readable");
    assert!(columns.is_in_order(Mark::default()), "doubled or unsorted: {columns:?}");
    let start = |starts: &[i64], at: usize| starts.get(at).copied().unwrap_or(0);
    let mut all = Vec::new();
    for (at, (&time, &value)) in columns.timestamps_ms.iter().zip(&columns.values).enumerate() {
        assert_eq!(start(&columns.start_timestamps_ms, at), start_ms(series, time));
        all.push((time, value));
    }
    for (at, (&time, read)) in columns.histogram_timestamps_ms.iter().zip(&columns.histograms).enumerate() {
        assert_eq!(start(&columns.histogram_start_timestamps_ms, at), start_ms(series, time));
        let is = |number: &f64| {
            let histogram = histogram(*number);
            let gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
            read.equals(&histogram) && gauge(read) == gauge(&histogram)
        };
        let number = (0..HISTOGRAMS).map(|i| HISTOGRAM + i as f64).find(is);
        all.push((time, number.unwrap_or_else(|| panic!("nobody stored {read:?}"))));
    }
    all.sort_by_key(|sample| sample.0);
    all
}
