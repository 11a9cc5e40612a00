//! Groups of rows, label set by label set.

use crate::names::is_schema;
use crate::operators::groups::{GroupBy, Grouping};
use crate::rows::vector::Vector;
use mytsdb_model::Labels;
use std::collections::{HashMap, HashSet};

/// The groups of the rows of `vector`.
pub(crate) fn groups_by_labels(vector: &Vector<'_>, by: &GroupBy) -> Grouping {
    let mut index: HashMap<Labels, u32> = HashMap::new();
    let mut grouping = Grouping::new(vec![0; vector.len()]);
    for row in 0..vector.len() {
        let key = group_labels(&vector.labels(row), by);
        let next = grouping.labels.len() as u32;
        let group = *index.entry(key.clone()).or_insert(next);
        if group == next {
            grouping.push(key);
        }
        grouping.of_row[row] = group;
    }
    grouping
}

/// The labels by which a series is grouped.
fn group_labels(labels: &Labels, by: &GroupBy) -> Labels {
    let grouping = &by.labels;
    if by.without {
        labels.filter(|name| !is_schema(name) && !grouping.iter().any(|g| g == name))
    } else if grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filter(|name| grouping.iter().any(|g| g == name))
    }
}

/// Whether all rows differ in the labels that they have in the end.
pub(crate) fn differ_without_names(vector: &Vector<'_>) -> bool {
    let mut seen = HashSet::with_capacity(vector.len());
    (0..vector.len()).all(|row| seen.insert(vector.labels(row)))
}
