//! `count_values`: how often each value occurs.

use super::aggregate::Aggregation;
use super::groups::Groups;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, FLOAT, Row};
use crate::kernels::grid::Grid;
use crate::rows::context::Context;
use crate::rows::label_key::{hash_all, with_labels};
use crate::rows::numbers::Numbers;
use crate::rows::vector::Vector;
use mytsdb_model::LABEL_NAME;
use mytsdb_promql_syntax::format_fixed;
use mytsdb_promql_syntax::quote;
use std::collections::HashMap;

/// Values whose rows are remembered; where there are more, most of them do not come again.
const KNOWN_VALUES_MAX: usize = 1 << 16;

/// What a row takes beside its cells and its labels' text: its fields, and places in two tables.
const PLACE_BYTES: u64 = 192;

/// The label that `count_values` sets, of the text that names it.
pub(crate) fn values_label(text: &[u8]) -> Result<&str, EvalError> {
    match std::str::from_utf8(text) {
        Ok(label) if !label.is_empty() => Ok(label),
        _ => Err(EvalError::Execution(format!("invalid label name {}", quote(text)))),
    }
}

/// `count_values(label, vector)`.
pub(crate) fn count_values<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    label: &str,
    vector: Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    // `without` takes away the new label too.
    let keeps_label = !aggregate.by.without || (label != LABEL_NAME && !aggregate.by.labels.iter().any(|l| l == label));
    let groups = Groups::new(context, &vector, aggregate.by)?;
    let mut by_labels = Numbers::with_capacity(vector.len());
    // Most values come again, and their texts take long.
    let mut by_value: HashMap<(u32, u64), usize> = HashMap::new();
    let mut out: Vec<Row> = Vec::with_capacity(vector.len());
    vector.each(context, |row, cells, _| {
        let group = groups.of_row[row];
        let mut row_of = |text: &str| {
            let new = if keeps_label { &[(label, text)][..] } else { &[] };
            let labels = with_labels(&groups.labels[group as usize], |_| true, new);
            let same = |other: u32| out[other as usize].labels == labels;
            let at = by_labels.of(hash_all(&labels), out.len() as u32, same) as usize;
            if at == out.len() {
                context.hold(grid.count as u64)?;
                context.hold_bytes(labels.as_bytes().len() as u64 + PLACE_BYTES)?;
                out.push(Row { labels, drop_name: false, cells: Cells::empty(grid.count) });
            }
            Ok::<usize, EvalError>(at)
        };
        let mut places = Vec::with_capacity(cells.len());
        for step in 0..cells.len() {
            let at = match cells.kinds[step] {
                EMPTY => continue,
                FLOAT => {
                    let value = cells.values[step];
                    if let Some(&known) = by_value.get(&(group, value.to_bits())) {
                        known
                    } else {
                        let at = row_of(&format_fixed(value))?;
                        if by_value.len() < KNOWN_VALUES_MAX {
                            by_value.insert((group, value.to_bits()), at);
                        }
                        at
                    }
                }
                _ => {
                    let Some(histogram) = cells.histogram(step) else { continue };
                    row_of(&histogram.to_string())?
                }
            };
            places.push((step, at));
        }
        for (step, at) in places {
            let counts = &mut out[at].cells;
            let before = if counts.kinds[step] == EMPTY { 0.0 } else { counts.values[step] };
            counts.set(step, before + 1.0);
        }
        Ok(())
    })?;
    vector.give_back(context)?;
    Ok(Vector::Kept(out))
}
