//! One observation that stands for many.

use crate::Labels;

/// One observation of a series, with what the labels of the series do not say: mostly which trace it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The observed value.
    pub value: f64,
    /// `trace_id`, `span_id` and others; at most [`CHARACTERS_MAX`](Self::CHARACTERS_MAX) characters in all.
    pub labels: Labels,
}

impl Exemplar {
    /// Most characters of all names and values of an exemplar's labels. Source: OpenMetrics 1.0, "Exemplars".
    pub const CHARACTERS_MAX: usize = 128;

    /// The characters of all names and values of its labels.
    pub fn character_count(&self) -> usize {
        self.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum()
    }

    /// Whether both say the same, every bit of the value included.
    pub fn is(&self, other: &Self) -> bool {
        self.timestamp_ms == other.timestamp_ms
            && self.value.to_bits() == other.value.to_bits()
            && self.labels == other.labels
    }
}
