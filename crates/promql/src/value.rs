//! Results of an evaluation.

use crate::annotations::Annotations;
use crate::plan::Plan;
use mytsdb_codec::FloatHistogram;
use mytsdb_model::Labels;
use std::sync::Arc;

/// What a query evaluates to.
#[derive(Debug, Clone)]
pub struct QueryResult {
    /// The value.
    pub value: QueryValue,
    /// Warnings and infos that came up on the way.
    pub annotations: Annotations,
    /// What it took.
    pub stats: QueryStats,
    /// How it was evaluated and what each part took, if [`QueryOptions::profile`](crate::QueryOptions) asked for it.
    pub plan: Option<Plan>,
}

/// What an evaluation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples read from the storage; histograms count by their size.
    pub samples_read: u64,
    /// Most samples held at the same time.
    pub samples_peak: u64,
    /// Series read from the storage.
    pub series_read: u64,
}

/// A value of one of the four types.
#[derive(Debug, Clone)]
pub enum QueryValue {
    /// A time in ms and a number.
    Scalar(i64, f64),
    /// A time in ms and a text.
    String(i64, String),
    /// One sample per series.
    Vector(Vec<VectorSample>),
    /// Series of samples, in ascending order of labels.
    Matrix(Vec<Series>),
}

/// A sample of an instant vector.
#[derive(Debug, Clone)]
pub struct VectorSample {
    /// The series.
    pub labels: Labels,
    /// The evaluation time.
    pub timestamp_ms: i64,
    /// The sample's value.
    pub value: SampleValue,
}

/// A float or a native histogram.
#[derive(Debug, Clone)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// A series of a range result: floats and histograms in columns of their own, each ascending in time.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The series.
    pub labels: Labels,
    /// Times of `values`.
    pub timestamps_ms: Vec<i64>,
    /// Float samples.
    pub values: Vec<f64>,
    /// Times of `histograms`, disjoint from `timestamps_ms`.
    pub histogram_timestamps_ms: Vec<i64>,
    /// Histogram samples.
    pub histograms: Vec<Arc<FloatHistogram>>,
}
