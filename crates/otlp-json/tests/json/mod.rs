//! Writes requests as JSON, each value in one of its forms, with white space, nulls and unknown fields in between.

use mytsdb_testkit::Random;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, SummaryDataPoint, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use std::fmt::Write;

const SPACES: [&str; 6] = ["", "", "", " ", "\n\t", "\r\n  "];

/// Members that no message has.
const UNKNOWN: [&str; 4] =
    [r#""futureField":7"#, r#""x":{"a":[1,{"b":null},"\"}"]}"#, r#""":[]"#, r#""NAME":"upper case is another name""#];

/// Fields of one object: their names and their values as JSON, `None` if they have their default.
type Fields = Vec<(&'static str, Option<String>)>;

/// Chooses among the forms at random.
pub struct Writer<'a> {
    random: &'a mut Random,
}

impl<'a> Writer<'a> {
    pub fn new(random: &'a mut Random) -> Self {
        Self { random }
    }

    pub fn request(&mut self, request: &ExportMetricsServiceRequest) -> String {
        let resources = self.list(&request.resource_metrics, Self::resource_metrics);
        self.object(vec![("resource_metrics", resources)])
    }

    fn space(&mut self) -> &'static str {
        self.random.pick(&SPACES)
    }

    /// An object of the fields that are set, in any order, under either name.
    fn object(&mut self, mut fields: Fields) -> String {
        for i in (1..fields.len()).rev() {
            fields.swap(i, self.random.index(i + 1));
        }
        let mut members = Vec::new();
        for (name, value) in fields {
            let value = match value {
                Some(value) => value,
                None if self.random.one_in(8) => "null".to_owned(),
                None => continue,
            };
            let name = if self.random.one_in(2) { name.to_owned() } else { camel(name) };
            let name = if self.random.one_in(20) { name.replace('e', "\\u0065") } else { name };
            members.push(format!("\"{name}\"{}:{}{value}", self.space(), self.space()));
        }
        if self.random.one_in(6) {
            let at = self.random.index(members.len() + 1);
            members.insert(at, self.random.pick(&UNKNOWN).to_owned());
        }
        self.joined('{', '}', &members)
    }

    fn joined(&mut self, open: char, close: char, parts: &[String]) -> String {
        let mut out = format!("{}{open}", self.space());
        for (i, part) in parts.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let (before, after) = (self.space(), self.space());
            write!(out, "{comma}{before}{part}{after}").unwrap();
        }
        out.push_str(self.space());
        out.push(close);
        out.push_str(self.space());
        out
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T) -> String) -> Option<String> {
        if items.is_empty() && self.random.one_in(2) {
            return None;
        }
        let parts: Vec<String> = items.iter().map(|item| write(self, item)).collect();
        Some(self.joined('[', ']', &parts))
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for letter in text.chars() {
            let must = letter < ' ' || matches!(letter, '"' | '\\');
            match letter {
                '\n' if self.random.one_in(2) => out.push_str("\\n"),
                '"' | '\\' if self.random.one_in(2) => out.extend(['\\', letter]),
                '/' if self.random.one_in(2) => out.push_str("\\/"),
                _ if must || self.random.one_in(6) => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        write!(out, "\\u{unit:04x}").unwrap();
                    }
                }
                _ => out.push(letter),
            }
        }
        out.push('"');
        out
    }

    /// A text that is left out when it is empty, mostly.
    fn text_field(&mut self, text: &str) -> Option<String> {
        if text.is_empty() && self.random.one_in(2) { None } else { Some(self.text(text)) }
    }

    fn integer(&mut self, value: i128) -> String {
        let form = self.random.index(8);
        let digits = match form {
            0 if value % 10 == 0 && value != 0 => format!("{}e1", value / 10),
            1 => format!("{value}.0"),
            2 if value != 0 => format!("{value}0E-1"),
            _ => value.to_string(),
        };
        if self.random.one_in(2) { format!("\"{digits}\"") } else { digits }
    }

    fn integer_field(&mut self, value: impl Into<i128>) -> Option<String> {
        let value = value.into();
        if value == 0 && self.random.one_in(2) { None } else { Some(self.integer(value)) }
    }

    fn double(&mut self, value: f64) -> String {
        let text = match value {
            v if v.is_nan() => return "\"NaN\"".to_owned(),
            v if v == f64::INFINITY => return "\"Infinity\"".to_owned(),
            v if v == f64::NEG_INFINITY => return "\"-Infinity\"".to_owned(),
            v if self.random.one_in(2) => format!("{v:e}"),
            v => format!("{v}"),
        };
        if self.random.one_in(4) { format!("\"{text}\"") } else { text }
    }

    /// A plain double: 0 may be left out, but not -0.
    fn double_field(&mut self, value: f64) -> Option<String> {
        if value.to_bits() == 0 && self.random.one_in(2) { None } else { Some(self.double(value)) }
    }

    fn hex(&mut self, bytes: &[u8]) -> Option<String> {
        let upper = self.random.one_in(2);
        let digits: String =
            bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect();
        self.text_field(&digits)
    }

    fn base64(&mut self, bytes: &[u8]) -> String {
        let plus = if self.random.one_in(2) { *b"+/" } else { *b"-_" };
        let digit = |value: u8| {
            char::from(match value {
                0..26 => b'A' + value,
                26..52 => b'a' + value - 26,
                52..62 => b'0' + value - 52,
                _ => plus[usize::from(value - 62)],
            })
        };
        let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).rev().map(move |bit| b >> bit & 1)).collect();
        let value = |group: &[u8]| (0..6).fold(0, |value, i| value << 1 | group.get(i).copied().unwrap_or(0));
        let mut text: String = bits.chunks(6).map(|group| digit(value(group))).collect();
        while !text.len().is_multiple_of(4) {
            text.push('=');
        }
        if self.random.one_in(2) {
            text.truncate(text.trim_end_matches('=').len());
        }
        format!("\"{text}\"")
    }

    fn resource_metrics(&mut self, resource: &ResourceMetrics) -> String {
        let fields = vec![
            ("resource", resource.resource.as_ref().map(|r| self.resource(r))),
            ("scope_metrics", self.list(&resource.scope_metrics, Self::scope_metrics)),
            ("schema_url", self.text_field(&resource.schema_url)),
        ];
        self.object(fields)
    }

    fn resource(&mut self, resource: &Resource) -> String {
        let fields = vec![
            ("attributes", self.list(&resource.attributes, Self::key_value)),
            ("dropped_attributes_count", self.integer_field(resource.dropped_attributes_count)),
            ("entity_refs", self.list(&resource.entity_refs, Self::entity)),
        ];
        self.object(fields)
    }

    fn entity(&mut self, entity: &EntityRef) -> String {
        let fields = vec![
            ("schema_url", self.text_field(&entity.schema_url)),
            ("type", self.text_field(&entity.r#type)),
            ("id_keys", self.list(&entity.id_keys, |w, text| w.text(text))),
            ("description_keys", self.list(&entity.description_keys, |w, text| w.text(text))),
        ];
        self.object(fields)
    }

    fn scope_metrics(&mut self, scope: &ScopeMetrics) -> String {
        let fields = vec![
            ("scope", scope.scope.as_ref().map(|s| self.scope(s))),
            ("metrics", self.list(&scope.metrics, Self::metric)),
            ("schema_url", self.text_field(&scope.schema_url)),
        ];
        self.object(fields)
    }

    fn scope(&mut self, scope: &InstrumentationScope) -> String {
        let fields = vec![
            ("name", self.text_field(&scope.name)),
            ("version", self.text_field(&scope.version)),
            ("attributes", self.list(&scope.attributes, Self::key_value)),
            ("dropped_attributes_count", self.integer_field(scope.dropped_attributes_count)),
        ];
        self.object(fields)
    }

    fn metric(&mut self, metric: &Metric) -> String {
        let mut fields = vec![
            ("name", self.text_field(&metric.name)),
            ("description", self.text_field(&metric.description)),
            ("unit", self.text_field(&metric.unit)),
            ("metadata", self.list(&metric.metadata, Self::key_value)),
        ];
        match &metric.data {
            None => {}
            Some(metric::Data::Gauge(gauge)) => {
                let points = vec![("data_points", self.list(&gauge.data_points, Self::number_point))];
                fields.push(("gauge", Some(self.object(points))));
            }
            Some(metric::Data::Sum(sum)) => {
                let monotonic = sum.is_monotonic.then(|| "true".to_owned());
                let points = vec![
                    ("data_points", self.list(&sum.data_points, Self::number_point)),
                    ("aggregation_temporality", self.enumeration(sum.aggregation_temporality)),
                    ("is_monotonic", monotonic.or(self.random.one_in(2).then(|| "false".to_owned()))),
                ];
                fields.push(("sum", Some(self.object(points))));
            }
            Some(metric::Data::Histogram(histogram)) => {
                let points = vec![
                    ("data_points", self.list(&histogram.data_points, Self::histogram_point)),
                    ("aggregation_temporality", self.enumeration(histogram.aggregation_temporality)),
                ];
                fields.push(("histogram", Some(self.object(points))));
            }
            Some(metric::Data::ExponentialHistogram(histogram)) => {
                let points = vec![
                    ("data_points", self.list(&histogram.data_points, Self::exponential_point)),
                    ("aggregation_temporality", self.enumeration(histogram.aggregation_temporality)),
                ];
                fields.push(("exponential_histogram", Some(self.object(points))));
            }
            Some(metric::Data::Summary(summary)) => {
                let points = vec![("data_points", self.list(&summary.data_points, Self::summary_point))];
                fields.push(("summary", Some(self.object(points))));
            }
        }
        self.object(fields)
    }

    fn enumeration(&mut self, value: i32) -> Option<String> {
        let names = [
            "\"AGGREGATION_TEMPORALITY_UNSPECIFIED\"",
            "\"AGGREGATION_TEMPORALITY_DELTA\"",
            "\"AGGREGATION_TEMPORALITY_CUMULATIVE\"",
        ];
        match usize::try_from(value).ok().and_then(|index| names.get(index)) {
            Some(name) if self.random.one_in(3) => Some((*name).to_owned()),
            _ => self.integer_field(value),
        }
    }

    fn number_point(&mut self, point: &NumberDataPoint) -> String {
        let mut fields = vec![
            ("attributes", self.list(&point.attributes, Self::key_value)),
            ("start_time_unix_nano", self.integer_field(point.start_time_unix_nano)),
            ("time_unix_nano", self.integer_field(point.time_unix_nano)),
            ("exemplars", self.list(&point.exemplars, Self::exemplar)),
            ("flags", self.integer_field(point.flags)),
        ];
        match point.value {
            None => {}
            Some(number_data_point::Value::AsDouble(value)) => fields.push(("as_double", Some(self.double(value)))),
            Some(number_data_point::Value::AsInt(value)) => fields.push(("as_int", Some(self.integer(value.into())))),
        }
        self.object(fields)
    }

    fn histogram_point(&mut self, point: &HistogramDataPoint) -> String {
        let fields = vec![
            ("attributes", self.list(&point.attributes, Self::key_value)),
            ("start_time_unix_nano", self.integer_field(point.start_time_unix_nano)),
            ("time_unix_nano", self.integer_field(point.time_unix_nano)),
            ("count", self.integer_field(point.count)),
            ("sum", point.sum.map(|value| self.double(value))),
            ("bucket_counts", self.list(&point.bucket_counts, |w, count| w.integer((*count).into()))),
            ("explicit_bounds", self.list(&point.explicit_bounds, |w, bound| w.double(*bound))),
            ("exemplars", self.list(&point.exemplars, Self::exemplar)),
            ("flags", self.integer_field(point.flags)),
            ("min", point.min.map(|value| self.double(value))),
            ("max", point.max.map(|value| self.double(value))),
        ];
        self.object(fields)
    }

    fn exponential_point(&mut self, point: &ExponentialHistogramDataPoint) -> String {
        let fields = vec![
            ("attributes", self.list(&point.attributes, Self::key_value)),
            ("start_time_unix_nano", self.integer_field(point.start_time_unix_nano)),
            ("time_unix_nano", self.integer_field(point.time_unix_nano)),
            ("count", self.integer_field(point.count)),
            ("sum", point.sum.map(|value| self.double(value))),
            ("scale", self.integer_field(point.scale)),
            ("zero_count", self.integer_field(point.zero_count)),
            ("positive", point.positive.as_ref().map(|buckets| self.buckets(buckets))),
            ("negative", point.negative.as_ref().map(|buckets| self.buckets(buckets))),
            ("flags", self.integer_field(point.flags)),
            ("exemplars", self.list(&point.exemplars, Self::exemplar)),
            ("min", point.min.map(|value| self.double(value))),
            ("max", point.max.map(|value| self.double(value))),
            ("zero_threshold", self.double_field(point.zero_threshold)),
        ];
        self.object(fields)
    }

    fn buckets(&mut self, buckets: &Buckets) -> String {
        let fields = vec![
            ("offset", self.integer_field(buckets.offset)),
            ("bucket_counts", self.list(&buckets.bucket_counts, |w, count| w.integer((*count).into()))),
        ];
        self.object(fields)
    }

    fn summary_point(&mut self, point: &SummaryDataPoint) -> String {
        let quantiles = self.list(&point.quantile_values, |w, at| {
            let fields = vec![("quantile", w.double_field(at.quantile)), ("value", w.double_field(at.value))];
            w.object(fields)
        });
        let fields = vec![
            ("attributes", self.list(&point.attributes, Self::key_value)),
            ("start_time_unix_nano", self.integer_field(point.start_time_unix_nano)),
            ("time_unix_nano", self.integer_field(point.time_unix_nano)),
            ("count", self.integer_field(point.count)),
            ("sum", self.double_field(point.sum)),
            ("quantile_values", quantiles),
            ("flags", self.integer_field(point.flags)),
        ];
        self.object(fields)
    }

    fn exemplar(&mut self, exemplar: &Exemplar) -> String {
        let mut fields = vec![
            ("filtered_attributes", self.list(&exemplar.filtered_attributes, Self::key_value)),
            ("time_unix_nano", self.integer_field(exemplar.time_unix_nano)),
            ("span_id", self.hex(&exemplar.span_id)),
            ("trace_id", self.hex(&exemplar.trace_id)),
        ];
        match exemplar.value {
            None => {}
            Some(exemplar::Value::AsDouble(value)) => fields.push(("as_double", Some(self.double(value)))),
            Some(exemplar::Value::AsInt(value)) => fields.push(("as_int", Some(self.integer(value.into())))),
        }
        self.object(fields)
    }

    fn key_value(&mut self, pair: &KeyValue) -> String {
        let fields = vec![
            ("key", self.text_field(&pair.key)),
            ("value", pair.value.as_ref().map(|value| self.any_value(value))),
            ("key_strindex", self.integer_field(pair.key_strindex)),
        ];
        self.object(fields)
    }

    fn any_value(&mut self, value: &AnyValue) -> String {
        use any_value::Value;
        let field = match &value.value {
            None => return self.object(Vec::new()),
            Some(Value::StringValue(text)) => ("string_value", self.text(text)),
            Some(Value::BoolValue(value)) => ("bool_value", value.to_string()),
            Some(Value::IntValue(value)) => ("int_value", self.integer((*value).into())),
            Some(Value::DoubleValue(value)) => ("double_value", self.double(*value)),
            Some(Value::BytesValue(bytes)) => ("bytes_value", self.base64(bytes)),
            Some(Value::StringValueStrindex(index)) => ("string_value_strindex", self.integer((*index).into())),
            Some(Value::ArrayValue(array)) => {
                let fields = vec![("values", self.list(&array.values, Self::any_value))];
                ("array_value", self.object(fields))
            }
            Some(Value::KvlistValue(list)) => {
                let fields = vec![("values", self.list(&list.values, Self::key_value))];
                ("kvlist_value", self.object(fields))
            }
        };
        self.object(vec![(field.0, Some(field.1))])
    }
}

fn camel(name: &str) -> String {
    let mut upper = false;
    let mut out = String::new();
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if std::mem::take(&mut upper) => out.push(letter.to_ascii_uppercase()),
            _ => out.push(letter),
        }
    }
    out
}
