//! The data: requests of gauges with realistic attributes, encoded once and patched from round to round.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Points of one metric in a request.
const POINTS_PER_METRIC: usize = 20;
/// Time that the encoder writes and [`Template::fill`] finds: no payload byte sequence equals it by chance.
const TIME_MARK: u64 = 0x1122_3344_5566_7788;
const VALUE_MARK: u64 = 0x99aa_bbcc_ddee_ff01;

/// A request whose times and values are patched in place, so that a client costs a copy.
pub(crate) struct Template {
    bytes: Vec<u8>,
    time_offsets: Vec<usize>,
    value_offsets: Vec<usize>,
    first_series: usize,
}

fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

impl Template {
    /// A request with one point for each of `point_count` series from `first_series` on.
    pub(crate) fn new(first_series: usize, point_count: usize) -> Self {
        let series: Vec<usize> = (first_series..first_series + point_count).collect();
        let metrics = series
            .chunks(POINTS_PER_METRIC)
            .map(|chunk| Metric {
                name: format!("bench.queue.depth.m{}", chunk[0] / POINTS_PER_METRIC % 50),
                description: "Depth of a work queue".into(),
                data: Some(Data::Gauge(Gauge { data_points: chunk.iter().map(|&s| point(s)).collect() })),
                ..Metric::default()
            })
            .collect();
        let resource = Resource {
            attributes: vec![
                attribute("service.name", format!("bench-{}", first_series % 8)),
                attribute("service.instance.id", format!("instance-{first_series}")),
                attribute("host.name", "host-0".into()),
            ],
            ..Resource::default()
        };
        let scope = InstrumentationScope { name: "bench".into(), ..InstrumentationScope::default() };
        let scope_metrics = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource),
                scope_metrics: vec![scope_metrics],
                ..ResourceMetrics::default()
            }],
        };
        let bytes = request.encode_to_vec();
        let offsets = |mark: u64| -> Vec<usize> {
            let mark = mark.to_le_bytes();
            bytes.windows(8).enumerate().filter(|(_, w)| *w == mark).map(|(at, _)| at).collect()
        };
        let (time_offsets, value_offsets) = (offsets(TIME_MARK), offsets(VALUE_MARK));
        assert_eq!(time_offsets.len(), point_count, "every point's time is found");
        assert_eq!(value_offsets.len(), point_count, "every point's value is found");
        Self { bytes, time_offsets, value_offsets, first_series }
    }

    /// The request of one round.
    pub(crate) fn fill(&mut self, time_unix_ms: i64, round: usize) -> bytes::Bytes {
        let time = (time_unix_ms as u64 * 1_000_000).to_le_bytes();
        for &at in &self.time_offsets {
            self.bytes[at..at + 8].copy_from_slice(&time);
        }
        for (index, &at) in self.value_offsets.iter().enumerate() {
            let value = value(self.first_series + index, round).to_le_bytes();
            self.bytes[at..at + 8].copy_from_slice(&value);
        }
        bytes::Bytes::copy_from_slice(&self.bytes)
    }

    /// Bytes of one request.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The value of a series in a round: a gauge with two decimals that wanders.
pub(crate) fn value(series: usize, round: usize) -> f64 {
    let wobble = (series * 31 + round * 17) % 1_000;
    (series % 100) as f64 + wobble as f64 / 100.0
}

fn point(series: usize) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![
            attribute("http.request.method", ["GET", "POST", "PUT", "DELETE"][series % 4].into()),
            attribute("http.route", format!("/api/v1/resource{}", series % 997)),
            attribute("series", series.to_string()),
        ],
        time_unix_nano: TIME_MARK,
        value: Some(number_data_point::Value::AsDouble(f64::from_bits(VALUE_MARK))),
        ..NumberDataPoint::default()
    }
}
