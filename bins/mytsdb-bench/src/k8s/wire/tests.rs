//! Requests, read by the messages that their protocols define.

use super::*;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data as Otlp, number_data_point::Value};
use prost::Message;

/// Of remote write 1.0, what is looked at.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
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
    time_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint64, repeated, tag = "12")]
    deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    time_ms: i64,
}

/// Of remote write 2.0.
#[derive(Clone, PartialEq, Message)]
struct RequestV2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<TimeSeriesV2>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeriesV2 {
    #[prost(uint32, repeated, tag = "1")]
    references: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
}

const TIMES_MS: [i64; 2] = [1_790_000_000_000, 1_790_000_015_000];

fn described(name: &str, kind: Kind) -> Described {
    let labels = [("pod", "p-1"), ("job", "j")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Described { name: name.to_owned(), kind, labels: labels.into() }
}

fn request(protocol: Protocol) -> Vec<u8> {
    let series = [
        described("c_total", Kind::Counter),
        described("g", Kind::Gauge),
        described("h_bucket", Kind::Classic),
        described("n", Kind::Native),
    ];
    let series = protocol.prepare(&series);
    let part = || Part { series: &series, times_ms: &TIMES_MS };
    protocol.encode(&[part(), part()], &|part, row, time| {
        let number = (part * 100 + row * 10 + time) as f64;
        match row {
            // The gauge has no sample at the second time.
            1 if time == 1 => None,
            0 | 1 => Some(Datum::Number(number)),
            2 => Some(Datum::Classic { counts: [2; 12], sum: number }),
            _ => Some(Datum::Native { counts: [1, 2, 3, 4, 5, 6, 7, 1], sum: number }),
        }
    })
}

#[test]
fn otlp_carries_every_point() {
    let request = ExportMetricsServiceRequest::decode(&request(Protocol::OtlpHttp)[..]).unwrap();
    assert_eq!(request.resource_metrics.len(), 2);
    let metrics = &request.resource_metrics[1].scope_metrics[0].metrics;
    let names: Vec<&str> = metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["c_total", "g", "h", "n"]);
    let Some(Otlp::Sum(sum)) = &metrics[0].data else { panic!("{:?}", metrics[0]) };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    assert_eq!(sum.data_points[1].value, Some(Value::AsDouble(101.0)));
    assert_eq!(sum.data_points[1].time_unix_nano, TIMES_MS[1] as u64 * 1_000_000);
    assert_eq!(sum.data_points[0].attributes[1].key, "job");
    let Some(Otlp::Gauge(gauge)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
    assert_eq!(gauge.data_points.len(), 1);
    let Some(Otlp::Histogram(classic)) = &metrics[2].data else { panic!("{:?}", metrics[2]) };
    let point = &classic.data_points[1];
    assert_eq!((point.count, point.sum, point.bucket_counts.len()), (24, Some(121.0), 12));
    assert_eq!((point.explicit_bounds.as_slice(), point.attributes.len()), (&BOUNDS[..], 2));
    let Some(Otlp::ExponentialHistogram(native)) = &metrics[3].data else { panic!("{:?}", metrics[3]) };
    let point = &native.data_points[0];
    let buckets = point.positive.as_ref().unwrap();
    assert_eq!((point.count, point.scale, buckets.offset), (29, 2, -25));
    assert_eq!(buckets.bucket_counts, [1, 2, 3, 4, 5, 6, 7, 1]);
}

#[test]
fn both_versions_of_remote_write_carry_the_same_series() {
    let unpacked = |protocol| snap::raw::Decoder::new().decompress_vec(&request(protocol)).unwrap();
    let first = WriteRequest::decode(&unpacked(Protocol::Rw1)[..]).unwrap();
    let second = RequestV2::decode(&unpacked(Protocol::Rw2)[..]).unwrap();
    assert_eq!(first.series.len(), 2 * (2 + 14 + 1));
    assert_eq!(first.series.len(), second.series.len());
    let text = |number: u32| second.symbols[number as usize].clone();
    for (first, second) in first.series.iter().zip(&second.series) {
        let labels = second.references.chunks(2).map(|pair| Pair { name: text(pair[0]), value: text(pair[1]) });
        assert_eq!(first.labels, labels.collect::<Vec<_>>());
        assert!(first.labels.is_sorted_by_key(|pair| &pair.name));
        assert_eq!((&first.samples, &first.histograms), (&second.samples, &second.histograms));
    }
    let samples = |at: usize| first.series[at].samples.iter().map(|s| s.value).collect::<Vec<_>>();
    assert_eq!((samples(0), samples(1)), (vec![0.0, 1.0], vec![10.0]));
    // Buckets are cumulative; sum and count follow.
    assert_eq!(
        (samples(2), samples(13), samples(14), samples(15)),
        (vec![2.0; 2], vec![24.0; 2], vec![20.0, 21.0], vec![24.0; 2])
    );
    let histogram = &first.series[16].histograms[1];
    assert_eq!((histogram.count, histogram.time_ms), (29, TIMES_MS[1]));
    assert_eq!(histogram.deltas, [1, 1, 1, 1, 1, 1, 1, -6]);
}
