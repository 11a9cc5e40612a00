//! What a line of a sample says.

use mytsdb_model::Labels;

/// A sample, and the exemplar that stands behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels, the name of the metric among them; none is empty.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, if the line has a time.
    pub timestamp_ms: Option<i64>,
    /// Any float.
    pub value: f64,
    /// OpenMetrics only.
    pub exemplar: Option<SentExemplar>,
}

/// An exemplar as a line has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SentExemplar {
    /// Its own labels.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, if it has a time of its own.
    pub timestamp_ms: Option<i64>,
    /// The observed value.
    pub value: f64,
}
