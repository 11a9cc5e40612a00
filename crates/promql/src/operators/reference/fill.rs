//! `fill`: stand-ins for series that are missing on one side.

use crate::kernels::cells::{Cells, Row};
use crate::operators::binary::signatures::signature_labels;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::VectorMatching;

/// A row with `value` at the steps for which `missing` holds; it bears the matching labels.
pub(super) fn stand_in(
    labels: &Labels,
    matching: &VectorMatching,
    value: f64,
    missing: impl Fn(usize) -> bool,
    count: usize,
) -> Option<Row> {
    let mut cells = Cells::empty(count);
    for step in (0..count).filter(|&step| missing(step)) {
        cells.set(step, value);
    }
    let labels = signature_labels(labels, matching);
    (!cells.is_blank()).then_some(Row { labels, drop_name: false, cells })
}
