//! What names of metrics and labels mean.

use mytsdb_model::LABEL_NAME;

/// Labels that go away with the metric name.
pub(crate) const SCHEMA_LABELS: [&str; 3] = [LABEL_NAME, "__type__", "__unit__"];

/// Whether a label goes away with the metric name.
pub(crate) fn is_schema(label: &str) -> bool {
    SCHEMA_LABELS.contains(&label)
}

/// Whether a metric has the name of a counter, as Prometheus sees it.
pub(crate) fn is_counter_name(metric: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix))
}
