//! Remote write 1.0: protobuf in a Snappy block of literals only.

use super::data::{Data, Point};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::Labels;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
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
    // Optional, or -0 would count as the default and not be sent.
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(double, optional, tag = "2")]
    count_float: Option<f64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(double, optional, tag = "7")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<Span>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    reset_hint: i32,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

/// One request's body for each series.
pub fn requests(data: &Data) -> impl Iterator<Item = Vec<u8>> {
    data.iter().map(|(labels, points)| snappy(&request(labels, points).encode_to_vec()))
}

/// Samples and histograms of a request are appended one kind after the other, so every change of kind starts a new
/// entry.
fn request(labels: &Labels, points: &[(i64, Point)]) -> WriteRequest {
    let label = |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
    let labels: Vec<Label> = labels.iter().map(label).collect();
    let mut out: Vec<TimeSeries> = Vec::new();
    for (timestamp, point) in points {
        let timestamp = *timestamp;
        let float = matches!(point, Point::Float(_));
        if out.last().is_none_or(|last| last.samples.is_empty() == float) {
            out.push(TimeSeries { labels: labels.clone(), ..TimeSeries::default() });
        }
        let Some(last) = out.last_mut() else { continue };
        match point {
            Point::Float(value) => last.samples.push(Sample { value: Some(*value), timestamp }),
            Point::Histogram(h) => last.histograms.push(histogram(h, timestamp)),
        }
    }
    WriteRequest { timeseries: out }
}

fn histogram(h: &FloatHistogram, timestamp: i64) -> Histogram {
    let spans = |spans: &[mytsdb_histogram::Span]| {
        spans.iter().map(|s| Span { offset: s.offset, length: s.length }).collect::<Vec<_>>()
    };
    Histogram {
        count_float: Some(h.count),
        sum: h.sum,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count_float: Some(h.zero_count),
        negative_spans: spans(&h.negative_spans),
        negative_counts: h.negative_buckets.clone(),
        positive_spans: spans(&h.positive_spans),
        positive_counts: h.positive_buckets.clone(),
        reset_hint: match h.counter_reset_hint {
            CounterResetHint::Unknown => 0,
            CounterResetHint::CounterReset => 1,
            CounterResetHint::NotCounterReset => 2,
            CounterResetHint::Gauge => 3,
        },
        timestamp,
        custom_values: h.custom_values.clone(),
    }
}

/// The Snappy block format, with nothing compressed.
fn snappy(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + plain.len() / 60 + 8);
    let mut rest = plain.len();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    for chunk in plain.chunks(60) {
        out.push((chunk.len() as u8 - 1) << 2);
        out.extend_from_slice(chunk);
    }
    out
}
