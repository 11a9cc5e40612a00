//! `count_values`: how often each value occurs.

use super::aggregate::group_labels;
use super::cells::{Cell, Cells, Row};
use super::context::Context;
use super::expr::eval_vector;
use super::grid::Grid;
use super::rows::Vector;
use crate::ast::{AggregateExpr, Expr};
use crate::error::EvalError;
use crate::number_text::format_fixed;
use crate::token::quote_bytes;
use mytsdb_model::{Labels, LabelsBuilder};
use std::collections::HashMap;

pub(super) fn count_values<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let Some(Expr::String(param)) = aggregate.param.as_ref().map(Expr::unwrap_parens) else {
        return Err(EvalError::execution("count_values needs a label name"));
    };
    let label = match std::str::from_utf8(&param.value) {
        Ok(label) if !label.is_empty() => label,
        _ => return Err(EvalError::Execution(format!("invalid label name {}", quote_bytes(&param.value)))),
    };
    let vector = eval_vector(context, &aggregate.expr, grid)?;
    let mut index: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<Row> = Vec::new();
    vector.each(context, |row, cells, _| {
        let group = group_labels(vector.labels(row), aggregate);
        for step in 0..cells.len() {
            let text = match cells.get(step) {
                None => continue,
                Some(Cell::Float(value)) => format_fixed(value),
                Some(Cell::Histogram(histogram)) => histogram.to_string(),
            };
            let mut builder = LabelsBuilder::from_labels(&group);
            builder.set(label, &text);
            let labels = builder.build();
            let at = if let Some(&at) = index.get(&labels) {
                at
            } else {
                context.hold(grid.count as u64)?;
                index.insert(labels.clone(), out.len());
                let drop_name = vector.drop_name(row);
                out.push(Row { labels, drop_name, cells: Cells::empty(grid.count) });
                out.len() - 1
            };
            let counts = &mut out[at].cells;
            let before = if counts.kinds[step] == super::cells::EMPTY { 0.0 } else { counts.values[step] };
            counts.set(step, before + 1.0);
        }
        Ok(())
    })?;
    Ok(Vector::Kept(out))
}
