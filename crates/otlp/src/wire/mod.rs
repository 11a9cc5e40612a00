//! Zero-copy reading of the OTLP metrics messages: views borrow the request, and nothing is decoded before it is asked for.
//!
//! Protobuf's rules hold: fields come in any order, the last of a repeated scalar wins, repeated embedded messages of
//! singular kind merge (which is what concatenating their bytes means), packed and unpacked arrays mix, unknown fields
//! are skipped. What is skipped (unknown fields) is checked for length only. Every read is bounds-checked,
//! and no allocation is larger than the request.

mod any_value;
mod exemplar;
mod exponential;
mod messages;
mod points;
mod reader;

pub use any_value::AnyValue;
pub(crate) use any_value::TextError;
pub use exemplar::ExemplarView;
pub use exponential::{ExponentialBuckets, ExponentialPoint};
pub use messages::{
    Attributes, KeyValue, Metric, MetricData, Repeated, Resource, ResourceMetrics, Scope, ScopeMetrics, Temporality,
    resource_metrics,
};
pub use points::{
    AttributeRun, Fixed64s, HistogramPoint, NO_RECORDED_VALUE, NumberPoint, NumberValue, SummaryPoint,
    gather_attributes,
};
pub use reader::Reader;
