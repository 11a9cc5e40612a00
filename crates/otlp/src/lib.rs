//! OTLP metrics to series: a zero-copy walk over the encoded request, and Prometheus' rules for names, labels and values.
//!
//! Pure: bytes and an epoch come in, samples go to a [`Sink`]. This crate is *not* a server, opens nothing, waits for
//! nothing, and knows no storage. It builds no message objects either; a point seen before costs one hash of its
//! encoded attributes.
//!
//! ```
//! use mytsdb_model::{Labels, SeriesRef};
//! use mytsdb_histogram::FloatHistogram;
//! use mytsdb_otlp::{Exemplar, Options, Refused, Sink, TargetInfo, Translator};
//!
//! #[derive(Default)]
//! struct Print(Vec<Labels>);
//! impl Sink for Print {
//!     fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
//!         self.0.push(labels.clone());
//!         Ok(SeriesRef(self.0.len() as u64))
//!     }
//!     fn touch(&mut self, _: SeriesRef) -> bool { true }
//!     fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
//!         assert_eq!((series, timestamp_ms, start_ms, value), (SeriesRef(1), 1_700_000_000_000, 0, 42.0));
//!     }
//!     fn append_delta(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
//!     fn append_histogram(&mut self, _: SeriesRef, _: i64, _: i64, _: FloatHistogram, _: bool) -> Result<(), Refused> { Ok(()) }
//!     fn wants_exemplars(&self) -> bool { false }
//!     fn append_exemplar(&mut self, _: Exemplar) {}
//!     fn end_point(&mut self) {}
//!     fn end_resource(&mut self, _: Option<TargetInfo>) {}
//! }
//!
//! # use opentelemetry_proto::tonic::{collector::metrics::v1::ExportMetricsServiceRequest, metrics::v1::*};
//! # use prost::Message;
//! # let point = NumberDataPoint { time_unix_nano: 1_700_000_000_000_000_000,
//! #     value: Some(number_data_point::Value::AsInt(42)), ..Default::default() };
//! # let sum = Sum { data_points: vec![point], aggregation_temporality: 2, is_monotonic: true };
//! # let metric = Metric { name: "http.requests".into(), data: Some(metric::Data::Sum(sum)), ..Default::default() };
//! # let request = ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics {
//! #     scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }], ..Default::default() }] };
//! # let request = request.encode_to_vec();
//! let translator = Translator::new(Options::default());
//! let mut sink = Print::default();
//! let translation = translator.translate(&request, 0, &mut sink)?; // the bytes of an ExportMetricsServiceRequest
//! assert_eq!(translation.accepted_points, 1);
//! assert_eq!(sink.0[0].to_string(), r#"{__name__="http_requests_total"}"#);
//! # Ok::<(), mytsdb_otlp::OtlpError>(())
//! ```
#![forbid(unsafe_code)]

mod context;
mod error;
mod exemplars;
pub mod histograms;
mod label_name;
mod labels;
mod metric_name;
mod native_points;
#[cfg(test)]
mod native_tests;
mod options;
mod points;
mod sink;
#[cfg(test)]
mod tests;
mod translation;
mod translator;
mod unit;
pub mod wire;

pub use error::OtlpError;
pub use label_name::LabelNamer;
pub use metric_name::{NameKind, metadata_unit, metric_name};
pub use mytsdb_intake::{Limits, Metadata, MetadataKeeper, PointLimit, RefusalReason, Refusals, Refused, SeriesCache};
pub use options::{DeltaMode, Options, Promotion, TranslationStrategy};
pub use sink::{Exemplar, Sink, TargetInfo};
pub use translation::Translation;
pub use translator::Translator;

/// Runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
