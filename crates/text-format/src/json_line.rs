//! JSON lines: an object for each series, as `mytsdb export` writes them and as VictoriaMetrics does.

use crate::json_float::{Float, floats};
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{Exemplar, Labels};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What one line says: `{"metric":{...},"timestamps":[ms],"values":[...]}`, with `starts` where they are known, `histograms`
/// and `exemplars`.
///
/// Numbers that JSON does not have are texts: `"NaN"`, `"+Inf"`, `"-Inf"`, and `"stale"` for a staleness marker; `null` is
/// read as NaN. Samples may be in any order. A line takes some ten times as much memory as it has bytes.
#[derive(Debug, Clone, Default)]
pub struct JsonLine {
    /// The labels, the name of the metric among them; none is empty.
    pub labels: Labels,
    /// Floats and native histograms, in the order of the line. Each histogram is valid.
    pub columns: Columns,
    /// The exemplars.
    pub exemplars: Vec<Exemplar>,
}

/// Why a line says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonLineError {
    message: String,
}

fn wrong(message: impl fmt::Display) -> JsonLineError {
    JsonLineError { message: message.to_string() }
}

impl JsonLine {
    /// Reads a line.
    ///
    /// # Errors
    /// If it is no such object, if columns are of different lengths, or if a histogram is none: what, and where.
    pub fn parse(line: &[u8]) -> Result<Self, JsonLineError> {
        // An array would be taken for the fields in their order.
        if line.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
            return Err(wrong("expected an object"));
        }
        let raw: Raw = serde_json::from_slice(line).map_err(wrong)?;
        let (times, values, starts) = (raw.timestamps, raw.values, raw.starts);
        if times.len() != values.len() {
            return Err(wrong(format_args!("{} timestamps and {} values", times.len(), values.len())));
        }
        if !starts.is_empty() && starts.len() != times.len() {
            return Err(wrong(format_args!("{} timestamps and {} starts", times.len(), starts.len())));
        }
        let mut columns = Columns { timestamps_ms: times, values, start_timestamps_ms: starts, ..Columns::default() };
        for (at, histogram) in raw.histograms.into_iter().enumerate() {
            let (timestamp_ms, start_ms) = (histogram.timestamp, histogram.start);
            let histogram = FloatHistogram::from(histogram);
            histogram.validate().map_err(|error| wrong(format_args!("histogram {at}: {error}")))?;
            columns.push_histogram_since(timestamp_ms, start_ms, Arc::new(histogram));
        }
        let exemplars = raw.exemplars.into_iter().map(Exemplar::from).collect();
        Ok(Self { labels: raw.metric.labels(), columns, exemplars })
    }

    /// Appends the line, with its end.
    pub fn write(&self, out: &mut String) {
        let columns = &self.columns;
        let starts = &columns.start_timestamps_ms;
        let start = |row: usize| columns.histogram_start_timestamps_ms.get(row).copied().unwrap_or(0);
        let histograms = columns.histogram_timestamps_ms.iter().zip(&columns.histograms).enumerate();
        let raw = Raw {
            metric: Metric(self.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
            timestamps: columns.timestamps_ms.clone(),
            values: columns.values.clone(),
            starts: if starts.iter().any(|start| *start != 0) { starts.clone() } else { Vec::new() },
            histograms: histograms.map(|(row, (&time, h))| RawHistogram::new(time, start(row), h)).collect(),
            exemplars: self.exemplars.iter().map(RawExemplar::from).collect(),
        };
        out.push_str(&serde_json::to_string(&raw).expect("texts and numbers have a form in JSON"));
        out.push('\n');
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    metric: Metric,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timestamps: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty", with = "floats")]
    values: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    starts: Vec<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    histograms: Vec<RawHistogram>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exemplars: Vec<RawExemplar>,
}

/// Labels, each name once.
#[derive(Default)]
struct Metric(BTreeMap<String, String>);

impl Metric {
    fn labels(self) -> Labels {
        Labels::from_pairs(self.0)
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Metric;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metric, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if name.is_empty() {
                        return Err(A::Error::custom("a label without a name"));
                    }
                    if labels.insert(name, value).is_some() {
                        return Err(A::Error::custom("a label with this name is there already"));
                    }
                }
                Ok(Metric(labels))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHistogram {
    timestamp: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    start: i64,
    #[serde(default, skip_serializing_if = "is_false")]
    gauge: bool,
    schema: i32,
    count: Float,
    sum: Float,
    #[serde(default)]
    zero_threshold: Float,
    #[serde(default)]
    zero_count: Float,
    #[serde(default)]
    positive_spans: Vec<(i32, u32)>,
    #[serde(default, with = "floats")]
    positive_buckets: Vec<f64>,
    #[serde(default)]
    negative_spans: Vec<(i32, u32)>,
    #[serde(default, with = "floats")]
    negative_buckets: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "floats")]
    custom_values: Vec<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(truth: &bool) -> bool {
    !truth
}

impl RawHistogram {
    fn new(timestamp: i64, start: i64, histogram: &FloatHistogram) -> Self {
        let spans = |spans: &[Span]| spans.iter().map(|span| (span.offset, span.length)).collect();
        Self {
            timestamp,
            start,
            gauge: histogram.counter_reset_hint == CounterResetHint::Gauge,
            schema: histogram.schema,
            count: Float(histogram.count),
            sum: Float(histogram.sum),
            zero_threshold: Float(histogram.zero_threshold),
            zero_count: Float(histogram.zero_count),
            positive_spans: spans(&histogram.positive_spans),
            positive_buckets: histogram.positive_buckets.clone(),
            negative_spans: spans(&histogram.negative_spans),
            negative_buckets: histogram.negative_buckets.clone(),
            custom_values: histogram.custom_values.clone(),
        }
    }
}

impl From<RawHistogram> for FloatHistogram {
    fn from(raw: RawHistogram) -> Self {
        let spans =
            |spans: Vec<(i32, u32)>| spans.into_iter().map(|(offset, length)| Span { offset, length }).collect();
        Self {
            counter_reset_hint: if raw.gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
            schema: raw.schema,
            zero_threshold: raw.zero_threshold.0,
            zero_count: raw.zero_count.0,
            count: raw.count.0,
            sum: raw.sum.0,
            positive_spans: spans(raw.positive_spans),
            negative_spans: spans(raw.negative_spans),
            positive_buckets: raw.positive_buckets,
            negative_buckets: raw.negative_buckets,
            custom_values: raw.custom_values,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExemplar {
    timestamp: i64,
    value: Float,
    #[serde(default)]
    labels: Metric,
}

impl From<&Exemplar> for RawExemplar {
    fn from(exemplar: &Exemplar) -> Self {
        let labels = exemplar.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { timestamp: exemplar.timestamp_ms, value: Float(exemplar.value), labels: Metric(labels) }
    }
}

impl From<RawExemplar> for Exemplar {
    fn from(raw: RawExemplar) -> Self {
        Self { timestamp_ms: raw.timestamp, value: raw.value.0, labels: raw.labels.labels() }
    }
}
