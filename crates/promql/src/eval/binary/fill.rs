//! `fill`: stand-ins for series that are missing on one side.

use super::matching::signature_labels;
use crate::ast::VectorMatching;
use crate::eval::cells::{Cells, EMPTY, Row};
use mytsdb_model::Labels;

/// A row with `value` at the steps where `present` has something and `missing` has nothing; it bears the matching labels.
pub(super) fn stand_in(
    labels: &Labels,
    matching: &VectorMatching,
    value: f64,
    present: &[&Row],
    missing: &[&Row],
    count: usize,
) -> Option<Row> {
    let mut cells = Cells::empty(count);
    let has = |rows: &[&Row], step: usize| rows.iter().any(|row| row.cells.kinds[step] != EMPTY);
    for step in 0..count {
        if has(present, step) && !has(missing, step) {
            cells.set(step, value);
        }
    }
    let labels = signature_labels(labels, matching);
    (!cells.is_blank()).then_some(Row { labels, drop_name: false, cells })
}
