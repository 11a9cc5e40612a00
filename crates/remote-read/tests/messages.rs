//! Requests and both forms of answers, against messages that prost reads and writes.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_codec::XorChunk;
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_remote_read::{Query, ReadRequest, RemoteReadError, ResponseType, Sampled, Streamed};
use prost::Message;
use std::sync::Arc;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<SentQuery>,
    #[prost(int32, repeated, tag = "2")]
    accepted_response_types: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct SentQuery {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<SentMatcher>,
    /// Hints, which are passed over.
    #[prost(bytes = "vec", tag = "4")]
    hints: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SentMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(double, optional, tag = "2")]
    count: Option<f64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(double, optional, tag = "7")]
    zero_count: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<SentSpan>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<SentSpan>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    reset_hint: i32,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct SentSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ChunkedResponse {
    #[prost(message, repeated, tag = "1")]
    series: Vec<ChunkedSeries>,
    #[prost(int64, tag = "2")]
    query_index: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ChunkedSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    chunks: Vec<Chunk>,
}

#[derive(Clone, PartialEq, Message)]
struct Chunk {
    #[prost(int64, tag = "1")]
    min_time: i64,
    #[prost(int64, tag = "2")]
    max_time: i64,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
}

fn request(accepted: &[i32], matchers: &[(i32, &str, &str)]) -> Vec<u8> {
    let matcher = |(kind, name, value): &(i32, &str, &str)| SentMatcher {
        kind: *kind,
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let query = SentQuery {
        start: -5,
        end: 1_700_000_000_000,
        matchers: matchers.iter().map(matcher).collect(),
        hints: vec![8, 1],
    };
    Request { queries: vec![query.clone(), SentQuery::default()], accepted_response_types: accepted.to_vec() }
        .encode_to_vec()
}

#[test]
fn requests_are_queries_and_the_forms_of_answers_that_are_known() {
    let sent = request(&[1, 7, 0], &[(0, "a", "1"), (1, "b", ""), (2, "c", "x|y"), (3, "d", "z")]);
    let read = ReadRequest::parse(&sent).unwrap();
    let matcher = |op, name, value| Matcher::new(op, name, value).unwrap();
    let matchers = vec![
        matcher(MatchOp::Equal, "a", "1"),
        matcher(MatchOp::NotEqual, "b", ""),
        matcher(MatchOp::Regex, "c", "x|y"),
        matcher(MatchOp::NotRegex, "d", "z"),
    ];
    assert_eq!(read.queries[0], Query { range: TimeRange::new(-5, 1_700_000_000_000), matchers });
    assert_eq!(read.queries[1], Query { range: TimeRange::new(0, 0), matchers: Vec::new() });
    assert_eq!(read.accepted, [ResponseType::StreamedXorChunks, ResponseType::Samples]);
    assert_eq!(ReadRequest::parse(&request(&[], &[])).unwrap().accepted, [ResponseType::Samples], "what is not said");
    assert_eq!(ReadRequest::parse(&request(&[5], &[])), Err(RemoteReadError::ResponseType(vec![5])));
}

#[test]
fn wrong_requests_are_refused() {
    let of = |matchers: &[(i32, &str, &str)]| ReadRequest::parse(&request(&[], matchers)).unwrap_err();
    assert_eq!(of(&[(4, "a", "b")]), RemoteReadError::MatcherType(4));
    assert!(matches!(of(&[(2, "a", "(")]), RemoteReadError::Pattern(_)));
    assert!(matches!(of(&vec![(0, "a", "b"); 1_001]), RemoteReadError::TooMany { what: "matchers", .. }));
    let many = Request { queries: vec![SentQuery::default(); 101], accepted_response_types: Vec::new() };
    assert!(matches!(ReadRequest::parse(&many.encode_to_vec()), Err(RemoteReadError::TooMany { what: "queries", .. })));
    let sent = request(&[1], &[(0, "name", "value")]);
    for cut in 0..sent.len() {
        // Cut between two fields it is a request; nothing panics.
        drop(ReadRequest::parse(&sent[..cut]));
    }
    let text = sent.windows(4).position(|four| four == b"name").unwrap();
    let mut bad = sent;
    bad[text] = 0xff;
    assert_eq!(ReadRequest::parse(&bad), Err(RemoteReadError::NotUtf8));
}

fn labels() -> Labels {
    Labels::from_pairs([("__name__", "up"), ("job", "ü")])
}

fn sent_labels() -> Vec<Label> {
    labels().iter().map(|(name, value)| Label { name: name.into(), value: value.into() }).collect()
}

#[test]
fn sampled_answers_have_floats_and_histograms() {
    let histogram = FloatHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema: -3,
        count: 6.5,
        sum: f64::NEG_INFINITY,
        zero_threshold: 0.001,
        zero_count: 0.0,
        positive_spans: vec![Span { offset: -2, length: 1 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![1.0, 0.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![5.5],
        custom_values: vec![0.25],
    };
    let mut columns = Columns::default();
    columns.push_float(-1, 0.0);
    columns.push_float(5, -0.0);
    columns.push_histogram(7, Arc::new(histogram));
    let mut answer = Sampled::default();
    answer.end_query();
    answer.series(&labels(), &columns);
    answer.series(&labels(), &Columns::default());
    answer.end_query();
    let read = Response::decode(&answer.finish()[..]).unwrap();
    assert_eq!(read.results.len(), 2);
    assert!(read.results[0].timeseries.is_empty());
    let [series] = &read.results[1].timeseries[..] else { panic!("{read:?}") };
    assert_eq!(series.labels, sent_labels());
    let samples: Vec<_> = series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).collect();
    assert_eq!(samples, [(-1, 0), (5, (-0.0f64).to_bits())]);
    let span = |offset, length| SentSpan { offset, length };
    let wanted = Histogram {
        count: Some(6.5),
        sum: f64::NEG_INFINITY,
        schema: -3,
        zero_threshold: 0.001,
        zero_count: Some(0.0),
        negative_spans: vec![span(0, 1)],
        negative_counts: vec![5.5],
        positive_spans: vec![span(-2, 1), span(3, 1)],
        positive_counts: vec![1.0, 0.0],
        reset_hint: 3,
        timestamp: 7,
        custom_values: vec![0.25],
    };
    assert_eq!(series.histograms, [wanted]);
}

/// The messages of frames, whose checksums are right.
fn frames(mut bytes: &[u8]) -> Vec<ChunkedResponse> {
    let mut read = Vec::new();
    while !bytes.is_empty() {
        let length = prost::decode_length_delimiter(&mut bytes).unwrap();
        let (crc, rest) = bytes.split_at(4);
        let (message, rest) = rest.split_at(length);
        assert_eq!(u32::from_be_bytes(crc.try_into().unwrap()), crc32c::crc32c(message));
        read.push(ChunkedResponse::decode(message).unwrap());
        bytes = rest;
    }
    read
}

#[test]
fn streamed_answers_are_frames_of_chunks() {
    let mut columns = Columns::default();
    (0..250).for_each(|i| columns.push_float(i * 1_000 - 3, i as f64 / 3.0));
    let mut out = Vec::new();
    Streamed::new(2).series(&labels(), &columns, &mut out).unwrap();
    Streamed::new(2).series(&labels(), &Columns::default(), &mut out).unwrap();
    let read = frames(&out);
    let [ChunkedResponse { series, query_index: 2 }] = &read[..] else { panic!("{read:?}") };
    assert_eq!(series[0].labels, sent_labels());
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for chunk in &series[0].chunks {
        let from = times.len();
        assert_eq!(chunk.kind, 1);
        XorChunk::new(&chunk.data).unwrap().decode(&mut times, &mut values).unwrap();
        assert_eq!((chunk.min_time, chunk.max_time), (times[from], times[times.len() - 1]));
    }
    assert_eq!((series[0].chunks.len(), &times, &values), (3, &columns.timestamps_ms, &columns.values));
}

#[test]
fn floats_and_histograms_are_chunks_of_their_own_in_the_order_of_time() {
    let histogram = |count: f64| {
        let positive_spans = vec![Span { offset: 0, length: 1 }];
        Arc::new(FloatHistogram {
            count,
            sum: 1.0,
            positive_spans,
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        })
    };
    let mut columns = Columns::default();
    (0..3).for_each(|i| columns.push_float(i, 0.5));
    (3..203).for_each(|i| columns.push_histogram(i, histogram(i as f64)));
    // A counter that begins anew.
    (203..205).for_each(|i| columns.push_histogram(i, histogram(2.0)));
    columns.push_float(205, 0.5);
    columns.push_histogram(206, histogram(3.0));
    let mut out = Vec::new();
    Streamed::new(0).series(&labels(), &columns, &mut out).unwrap();
    let read = frames(&out);
    let [ChunkedResponse { series, .. }] = &read[..] else { panic!("{read:?}") };
    let chunks: Vec<_> = series[0].chunks.iter().map(|chunk| (chunk.kind, chunk.min_time, chunk.max_time)).collect();
    let wanted = [(1, 0, 2), (2, 3, 122), (2, 123, 202), (2, 203, 204), (1, 205, 205), (2, 206, 206)];
    assert_eq!(chunks, wanted);
    let counts: Vec<_> =
        series[0].chunks.iter().map(|chunk| u16::from_be_bytes([chunk.data[0], chunk.data[1]])).collect();
    assert_eq!(counts, [3, 120, 80, 2, 1, 1]);
}

#[test]
fn long_series_are_cut_into_frames_of_a_mebibyte() {
    let mut columns = Columns::default();
    for i in 0..400_000i64 {
        let bits = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2;
        columns.push_float(i * 10_000 + i * i % 7_919, f64::from_bits(bits));
    }
    let mut out = Vec::new();
    Streamed::new(0).series(&labels(), &columns, &mut out).unwrap();
    let read = frames(&out);
    assert!(read.len() > 3 && read.iter().all(|frame| frame.encoded_len() < 1 << 20));
    assert!(read.iter().all(|frame| frame.series.len() == 1 && frame.series[0].labels == sent_labels()));
    let chunks: usize = read.iter().map(|frame| frame.series[0].chunks.len()).sum();
    assert_eq!(chunks, 400_000usize.div_ceil(120));
}
