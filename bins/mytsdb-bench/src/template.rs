//! OTLP requests that are encoded once; from round to round only times and values are written into them, so that a
//! client costs a copy.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point,
};
use prost::Message;

/// Placeholder of a time, in ns, until a round fills it in. The payload has these bytes nowhere else.
pub(crate) const TIME_MARK: u64 = 0x1122_3344_5566_7788;
/// The same for a value: the bits of a float, or an integer of eight bytes.
pub(crate) const VALUE_MARK: u64 = 0x3fab_bbcc_ddee_ff01;

/// An encoded request, and where its times and values are.
pub(crate) struct Template {
    bytes: Vec<u8>,
    times: Vec<usize>,
    values: Vec<usize>,
}

impl Template {
    /// A request in which [`TIME_MARK`] stands `times` times and [`VALUE_MARK`] `values` times.
    pub(crate) fn new(request: &ExportMetricsServiceRequest, times: usize, values: usize) -> Self {
        let bytes = request.encode_to_vec();
        let offsets = |mark: u64| -> Vec<usize> {
            let mark = mark.to_le_bytes();
            bytes.windows(8).enumerate().filter(|(_, w)| *w == mark).map(|(at, _)| at).collect()
        };
        let template = Self { times: offsets(TIME_MARK), values: offsets(VALUE_MARK), bytes };
        let found = (template.times.len(), template.values.len());
        assert_eq!(found, (times, values), "every time and value is found");
        template
    }

    /// The request with one time and these values, in the order of encoding; values beyond the last place are ignored.
    pub(crate) fn fill(&self, time_unix_ms: i64, values: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let time = (time_unix_ms as u64 * 1_000_000).to_le_bytes();
        for &at in &self.times {
            bytes[at..at + 8].copy_from_slice(&time);
        }
        for (&at, value) in self.values.iter().zip(values) {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// Bytes of the request.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A request of one metric, without resource and scope.
pub(crate) fn request(name: &str, data: Data) -> ExportMetricsServiceRequest {
    let metric = Metric { name: name.to_owned(), data: Some(data), ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
}

/// A text attribute.
pub(crate) fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A point whose time and value are to be filled in.
pub(crate) fn marked_point(attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        time_unix_nano: TIME_MARK,
        value: Some(number_data_point::Value::AsDouble(f64::from_bits(VALUE_MARK))),
        ..NumberDataPoint::default()
    }
}
