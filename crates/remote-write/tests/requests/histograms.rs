//! Native histograms: of integers and of floats, exponential and custom, and those that are none.

use crate::proto::{BucketSpan, Count, Histogram, TimeSeries, ZeroCount};
use crate::{request, series, translate};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::stale_nan;
use mytsdb_remote_write::Version;

fn spans(list: &[(i32, u32)]) -> Vec<BucketSpan> {
    list.iter().map(|&(offset, length)| BucketSpan { offset, length }).collect()
}

/// Integer buckets at 1, sqrt(2), 2 and in (8, 11.3].
fn integers() -> Histogram {
    Histogram {
        count: Some(Count::Int(17)),
        sum: 4.5,
        schema: 1,
        zero_threshold: 0.25,
        zero_count: Some(ZeroCount::Int(2)),
        positive_spans: spans(&[(0, 3), (4, 1)]),
        positive_deltas: vec![1, 2, -1, 3],
        negative_spans: spans(&[(-2, 1)]),
        negative_deltas: vec![4],
        timestamp: 1000,
        ..Histogram::default()
    }
}

fn sent(histogram: &Histogram) -> TimeSeries {
    TimeSeries { histograms: vec![histogram.clone()], ..series(&[("__name__", "h")], &[]) }
}

fn accepted(histogram: &Histogram) -> FloatHistogram {
    let mut found = Version::ALL.map(|version| {
        let (mut rows, written) = translate(&request([sent(histogram)]), version);
        let written = written.unwrap();
        assert_eq!((written.samples, written.histograms, written.refused.messages()), (0, 1, &[][..]));
        rows.histograms.remove(0)
    });
    assert_eq!(format!("{:?}", found[0]), format!("{:?}", found[1]));
    std::mem::take(&mut found[0])
}

#[track_caller]
fn refused(histogram: &Histogram, text: &str) {
    for version in Version::ALL {
        let (rows, written) =
            translate(&request([sent(histogram), series(&[("__name__", "m")], &[(1, 1.0)])]), version);
        let written = written.unwrap();
        assert_eq!((written.samples, written.histograms, written.refused.total()), (1, 0, 1));
        let message = &written.refused.messages()[0];
        assert!(message.contains(text) && message.ends_with(" for series {__name__=\"h\"}"), "{message}");
        assert!(rows.histograms.is_empty());
    }
}

#[test]
fn integers_become_absolute_counts() {
    let span = |offset, length| Span { offset, length };
    let wanted = FloatHistogram {
        schema: 1,
        zero_threshold: 0.25,
        zero_count: 2.0,
        count: 17.0,
        sum: 4.5,
        positive_spans: vec![span(0, 3), span(4, 1)],
        positive_buckets: vec![1.0, 3.0, 2.0, 5.0],
        negative_spans: vec![span(-2, 1)],
        negative_buckets: vec![4.0],
        ..FloatHistogram::default()
    };
    assert_eq!(accepted(&integers()), wanted);
}

#[test]
fn floats_need_not_add_up() {
    let floats = Histogram {
        count: Some(Count::Float(7.5)),
        positive_spans: spans(&[(0, 2)]),
        positive_counts: vec![0.5, 2.0],
        zero_count: Some(ZeroCount::Float(0.25)),
        reset_hint: 3,
        ..Histogram::default()
    };
    let found = accepted(&floats);
    assert_eq!((found.count, found.zero_count, &found.positive_buckets[..]), (7.5, 0.25, &[0.5, 2.0][..]));
    assert_eq!(found.counter_reset_hint, CounterResetHint::Gauge);
}

#[test]
fn custom_bounds_and_staleness_markers_are_histograms_too() {
    let custom = Histogram {
        count: Some(Count::Int(3)),
        schema: -53,
        positive_spans: spans(&[(0, 3)]),
        positive_deltas: vec![1, 0, 0],
        custom_values: vec![0.5, 1.0],
        ..Histogram::default()
    };
    assert_eq!(accepted(&custom).custom_values, [0.5, 1.0]);
    assert!(accepted(&Histogram { sum: stale_nan(), ..Histogram::default() }).is_stale());
}

#[test]
fn finer_buckets_than_are_stored_are_merged() {
    let fine = Histogram { schema: 9, ..integers() };
    let found = accepted(&fine);
    assert_eq!((found.schema, found.count), (8, 17.0));
    // Buckets 0, 1, 2 and 7 of schema 9 lie in 0, 1, 1 and 4 of schema 8.
    assert_eq!((&found.positive_buckets[..], found.positive_spans[0].offset), (&[1.0, 5.0, 5.0][..], 0));
}

#[test]
fn what_is_no_histogram_is_refused_alone() {
    let base = integers();
    let with = |change: &dyn Fn(&mut Histogram)| {
        let mut histogram = base.clone();
        change(&mut histogram);
        histogram
    };
    refused(&with(&|h| h.count = Some(Count::Int(18))), "17 observations found in buckets, but the Count field is 18");
    refused(&with(&|h| h.count = Some(Count::Int(16))), "17 observations found in buckets, but the Count field is 16");
    refused(&with(&|h| h.positive_deltas[1] = -5), "positive side: bucket number 2 has observation count of -4");
    refused(&with(&|h| h.positive_deltas.push(0)), "spans need 4 buckets, found 5");
    refused(&with(&|h| h.positive_deltas.truncate(3)), "spans need 4 buckets, found 3");
    refused(&with(&|h| h.positive_spans[1].offset = -1), "negative offset -1");
    refused(&with(&|h| h.positive_spans[0].length = u32::MAX), "spans need 4294967296 buckets");
    refused(&with(&|h| h.positive_spans[0].offset = i32::MAX), "outside of 32 bits");
    refused(&with(&|h| h.schema = -9), "schema -9");
    refused(&with(&|h| h.schema = 53), "schema 53");
    refused(&with(&|h| h.schema = -53), "zero count");
    refused(&with(&|h| h.zero_threshold = -1.0), "zero threshold");
    refused(&with(&|h| h.zero_count = Some(ZeroCount::Float(2.0))), "15 observations");
    refused(&with(&|h| h.count = Some(Count::Float(17.0))), "spans need 4 buckets, found 0");
    let many = with(&|h| h.positive_deltas = vec![0; 2000]);
    refused(&many, "histogram has 2001 buckets, the limit is 1024 (--max-buckets-per-point)");
    let overflow = with(&|h| h.positive_deltas = vec![i64::MAX, i64::MAX, i64::MAX, 0]);
    refused(&overflow, "more than 64 bits");
}

#[test]
fn observations_of_nan_are_in_the_count_alone() {
    let nan = Histogram { sum: f64::NAN, count: Some(Count::Int(20)), ..integers() };
    assert_eq!(accepted(&nan).count, 20.0);
    refused(&Histogram { count: Some(Count::Int(16)), ..nan }, "should equal at least the number");
}

#[test]
fn floats_and_histograms_of_a_series_are_counted_apart() {
    for version in Version::ALL {
        let mut both = sent(&integers());
        both.samples = series(&[], &[(5, 1.0), (6, 1.0)]).samples;
        both.histograms[0].start_timestamp = 700;
        let bytes = crate::encode(&request([both]), version);
        let mut rows = crate::Store::default();
        let mut written = crate::receiver().translate(version, &bytes, 0, &mut rows).unwrap();
        assert_eq!((written.samples, written.histograms), (2, 1));
        assert!(rows.rows[2].contains(" 1000 {count:17,") && rows.rows[2].ends_with(" since 700"), "{:?}", rows.rows);
        written.refuse_rows(&bytes, [(0, "old".to_owned()), (2, "old".to_owned())]);
        assert_eq!((written.samples, written.histograms, written.refused.total()), (1, 0, 2));
    }
}
