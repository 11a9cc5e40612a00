//! Aggregations that must see all rows of a step together, over as many steps at a time as fit a bound.
//!
//! Reading the rows once and keeping them costs rows x steps. A block of steps is evaluated as if it were a query of its
//! own, which reads some samples more than once, and its rows go before the next block begins.

use super::cells::{Cells, Row};
use super::context::Context;
use super::expr::eval_vector;
use super::grid::Grid;
use super::rows::Vector;
use crate::ast::Expr;
use crate::error::EvalError;
use mytsdb_model::Labels;
use std::collections::HashMap;
use std::ops::Range;

/// Part of [`QueryOptions::max_samples`](crate::QueryOptions::max_samples) that the rows of one block may hold.
const BLOCK_SHARE: u64 = 8;

/// A row of the result, and the first row of the input that had to do with it.
pub(super) struct Outcome {
    pub first: usize,
    pub row: Row,
}

/// Evaluates `expr` and hands it to `aggregate`, whole or in blocks of steps; the results of the blocks, whose rows differ
/// in their labels, become one. They come in the order of [`Outcome::first`].
pub(super) fn in_blocks<'a>(
    context: &'a Context<'a>,
    expr: &'a Expr,
    grid: Grid,
    mut aggregate: impl FnMut(Vector<'a>, Range<usize>) -> Result<Vec<Outcome>, EvalError>,
) -> Result<Vector<'a>, EvalError> {
    let whole = eval_vector(context, expr, grid)?;
    let block_steps = block_steps(context, &whole, grid);
    if block_steps >= grid.count {
        let outcomes = aggregate(whole, 0..grid.count)?;
        return Ok(Vector::Kept(outcomes.into_iter().map(|outcome| outcome.row).collect()));
    }
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut all: Vec<Outcome> = Vec::new();
    for start in (0..grid.count).step_by(block_steps) {
        let steps = start..grid.count.min(start + block_steps);
        let (held, kept) = (context.held(), context.kept.keys());
        let vector = eval_vector(context, expr, grid.part(&steps))?;
        let places = places(&whole, &vector);
        let outcomes = aggregate(vector, steps.clone())?;
        context.kept.only(&kept);
        context.back_to(&held);
        for Outcome { first, row } in outcomes {
            let first = places.as_ref().map_or(first, |places| places[first]);
            let at = if let Some(&at) = known.get(&row.labels) {
                at
            } else {
                let cells = Cells::empty(grid.count);
                context.hold_row(&row.labels, &cells)?;
                known.insert(row.labels.clone(), all.len());
                all.push(Outcome { first, row: Row { labels: row.labels, drop_name: false, cells } });
                all.len() - 1
            };
            let whole = &mut all[at];
            whole.first = whole.first.min(first);
            whole.row.drop_name |= row.drop_name;
            for step in 0..row.cells.len() {
                if let Some(cell) = row.cells.get(step) {
                    whole.row.cells.set_cell(start + step, cell);
                }
            }
        }
    }
    all.sort_by_key(|outcome| outcome.first);
    Ok(Vector::Kept(all.into_iter().map(|outcome| outcome.row).collect()))
}

/// Steps that may be evaluated at a time: all if the rows are in memory anyway, or fit.
fn block_steps(context: &Context<'_>, whole: &Vector<'_>, grid: Grid) -> usize {
    if !context.options.optimise || matches!(whole, Vector::Kept(_)) {
        return grid.count;
    }
    let cells = usize::try_from(context.options.max_samples / BLOCK_SHARE).unwrap_or(usize::MAX);
    (cells / whole.len().max(1)).max(1)
}

/// Where the rows of `part` stand in `whole`, if not in the same places: a storage may know some of the series only in
/// part of the time.
fn places(whole: &Vector<'_>, part: &Vector<'_>) -> Option<Vec<usize>> {
    let same = |a: usize, b: usize| whole.source_labels(a) == part.source_labels(b);
    if whole.len() == part.len() && (0..part.len()).all(|row| same(row, row)) {
        return None;
    }
    // Both come in the same order.
    let mut at = 0;
    let place = |row: usize| {
        let found = (at..whole.len()).find(|&candidate| same(candidate, row));
        at = found.map_or(at, |found| found + 1);
        found.unwrap_or(usize::MAX)
    };
    Some((0..part.len()).map(place).collect())
}
