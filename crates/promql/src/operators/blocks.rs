//! Aggregations that must see all rows of a step together, over a few steps at a time.
//!
//! Reading the rows once and keeping them costs rows x steps. A block of steps is evaluated as if it were a query of its
//! own, which reads some samples more than once, and its rows go before the next block begins. So beside their result such
//! aggregations hold a million cells, or one step of every row.

use crate::error::EvalError;
use crate::kernels::cells::{Cells, Row};
use crate::kernels::grid::Grid;
use crate::options::Kernels;
use crate::rows::context::Context;
use crate::rows::label_key::hash_all;
use crate::rows::numbers::Numbers;
use crate::rows::vector::{Vector, in_order_of};
use crate::rows::workers::in_parts;
use std::ops::Range;

/// Cells that the rows of one block may have, if they are of more than one step.
const BLOCK_CELLS: u64 = 1 << 20;

/// Part of [`QueryOptions::max_samples`](crate::QueryOptions::max_samples) that they may have at most.
const BLOCK_SHARE: u64 = 8;

/// Rows of a result, and of each the first row of the input that had to do with it.
#[derive(Default)]
pub(super) struct Outcomes {
    rows: Vec<Row>,
    firsts: Vec<usize>,
}

impl Outcomes {
    /// None yet.
    pub fn with_capacity(rows: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), firsts: Vec::with_capacity(rows) }
    }

    pub fn push(&mut self, first: usize, row: Row) {
        self.firsts.push(first);
        self.rows.push(row);
    }
}

/// Evaluates what an aggregation works on, over the steps it is asked for.
pub(crate) type Input<'i, 'a> = dyn FnMut(Grid) -> Result<Vector<'a>, EvalError> + 'i;

/// Evaluates `input` and hands it to `aggregate`, whole or in blocks of steps; the results of the blocks, whose rows differ
/// in their labels, become one. They come in the order of their first rows.
pub(super) fn in_blocks<'a>(
    context: &'a Context<'a>,
    input: &mut Input<'_, 'a>,
    grid: Grid,
    mut aggregate: impl FnMut(Vector<'a>, Range<usize>) -> Result<Outcomes, EvalError>,
) -> Result<Vector<'a>, EvalError> {
    let whole = input(grid)?;
    let block_steps = block_steps(context, &whole, grid);
    if block_steps >= grid.count {
        return Ok(Vector::Kept(aggregate(whole, 0..grid.count)?.rows));
    }
    let mut known = Numbers::default();
    let mut all = Outcomes::default();
    for start in (0..grid.count).step_by(block_steps) {
        let steps = start..grid.count.min(start + block_steps);
        let held = context.held();
        let vector = input(grid.part(&steps))?;
        let places = places(context, &whole, &vector)?;
        let outcomes = aggregate(vector, steps)?;
        context.back_to(&held);
        for (first, row) in outcomes.firsts.into_iter().zip(outcomes.rows) {
            context.cancel.check()?;
            let first = places.as_ref().map_or(first, |places| places[first]);
            let same = |other: u32| all.rows[other as usize].labels == row.labels;
            let at = known.of(hash_all(&row.labels), all.rows.len() as u32, same) as usize;
            if at == all.rows.len() {
                let cells = Cells::empty(grid.count);
                context.hold_row(&row.labels, &cells)?;
                all.push(first, Row { labels: row.labels, drop_name: false, cells });
            }
            all.firsts[at] = first.min(all.firsts[at]);
            let whole = &mut all.rows[at];
            whole.drop_name |= row.drop_name;
            for step in 0..row.cells.len() {
                if let Some(cell) = row.cells.get(step) {
                    whole.cells.set_cell(start + step, cell);
                }
            }
        }
    }
    in_order_of(context, all.rows, &all.firsts).map(Vector::Kept)
}

/// Steps that may be evaluated at a time: all if the rows are in memory anyway, or few enough.
fn block_steps(context: &Context<'_>, whole: &Vector<'_>, grid: Grid) -> usize {
    if context.kernels == Kernels::Reference || matches!(whole, Vector::Kept(_)) {
        return grid.count;
    }
    let cells = BLOCK_CELLS.min(context.options.max_samples / BLOCK_SHARE);
    (cells as usize / whole.len().max(1)).max(1)
}

/// Where the rows of `part` stand in `whole`, if not in the same places: a storage may know some of the series only in
/// part of the time.
fn places(context: &Context<'_>, whole: &Vector<'_>, part: &Vector<'_>) -> Result<Option<Vec<usize>>, EvalError> {
    let same = |a: usize, b: usize| whole.source_labels(a) == part.source_labels(b);
    if whole.len() == part.len()
        && in_parts(context, part.len(), |mut rows| rows.all(|row| same(row, row)))?.into_iter().all(|same| same)
    {
        return Ok(None);
    }
    // Both come in the same order.
    context.stoppable(|looks| {
        let mut places = Vec::with_capacity(part.len());
        let mut at = 0;
        for row in 0..part.len() {
            while at < whole.len() && !same(at, row) {
                looks.before(1)?;
                at += 1;
            }
            looks.before(1)?;
            places.push(if at < whole.len() { at } else { usize::MAX });
            at += 1;
        }
        Ok(Some(places))
    })
}
