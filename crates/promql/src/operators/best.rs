//! `topk` and `bottomk` of a constant number: the best cells of each step are kept while rows pass, not the rows.

use super::aggregate::Aggregation;
use super::groups::Groups;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, FLOAT, HISTOGRAM, Row};
use crate::kernels::grid::Grid;
use crate::kernels::ranks::{self, Ranked};
use crate::kernels::remarks;
use crate::rows::context::Context;
use crate::rows::vector::{Vector, in_order_of};
use mytsdb_promql_syntax::AggregateOp;
use std::ops::Range;

/// The best cells of one group: for each step a heap of at most `width`.
struct Best {
    top: bool,
    width: usize,
    /// Cells known at each step.
    known: Vec<u8>,
    /// Value that the next cell of each full step has to beat.
    worst: Vec<f64>,
    /// `width` slots a step.
    slots: Vec<Ranked>,
}

impl Best {
    fn new(top: bool, width: usize, steps: usize) -> Self {
        Self { top, width, known: vec![0; steps], worst: vec![f64::NAN; steps], slots: vec![(0.0, 0); steps * width] }
    }

    fn add(&mut self, row: u32, cells: &Cells) {
        // Most blocks hold no value that is good enough.
        for start in (0..cells.len()).step_by(BLOCK_STEPS) {
            let steps = start..cells.len().min(start + BLOCK_STEPS);
            if any_better(&cells.values[steps.clone()], &self.worst[steps.clone()], self.top) {
                self.add_block(row, cells, steps);
            }
        }
    }

    fn add_block(&mut self, row: u32, cells: &Cells, steps: Range<usize>) {
        let width = self.width;
        for step in steps {
            let (kind, value, worst) = (cells.kinds[step], cells.values[step], self.worst[step]);
            if !better(kind, value, worst, self.top) {
                continue;
            }
            let slots = &mut self.slots[step * width..(step + 1) * width];
            let known = usize::from(self.known[step]);
            if known == width {
                ranks::replace(slots, (value, row), self.top);
            } else {
                slots[known] = (value, row);
                ranks::push(&mut slots[..=known], self.top);
                self.known[step] += 1;
            }
            if usize::from(self.known[step]) == width {
                self.worst[step] = slots[0].0;
            }
        }
    }

    /// The cells kept at `step`, best first if they are to be `ranked`.
    fn at(&mut self, step: usize, ranked: bool) -> &[Ranked] {
        let cells = &mut self.slots[step * self.width..][..usize::from(self.known[step])];
        if ranked {
            ranks::sort(cells, self.top);
        }
        cells
    }
}

/// Steps that are compared at once.
const BLOCK_STEPS: usize = 32;

/// Whether a cell may be among the best. Nothing is known to be worse than NaN, which also stands for a step with room.
#[inline]
fn better(kind: u8, value: f64, worst: f64, top: bool) -> bool {
    (kind == FLOAT) & !(if top { value <= worst } else { value >= worst })
}

/// Whether any value passes [`better`], whatever its kind. Masks as wide as the values are what the compiler turns into
/// vector code.
#[inline]
fn any_better(values: &[f64], worst: &[f64], top: bool) -> bool {
    let cells = values.iter().zip(worst);
    let any = if top {
        cells.fold(0u64, |any, (value, worst)| any | u64::from(better(FLOAT, *value, *worst, true)))
    } else {
        cells.fold(0u64, |any, (value, worst)| any | u64::from(better(FLOAT, *value, *worst, false)))
    };
    any != 0
}

/// Marks a row that is not chosen.
const NOT_CHOSEN: u32 = u32::MAX;

/// Evaluates `topk` or `bottomk` of `count` (1 to 255) cells per group and step.
pub(crate) fn best<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    vector: Vector<'a>,
    grid: Grid,
    count: usize,
) -> Result<Vector<'a>, EvalError> {
    let top = aggregate.op == AggregateOp::Topk;
    let groups = Groups::new(context, &vector, aggregate.by)?;
    let mut members = vec![0usize; groups.len()];
    groups.of_row.iter().for_each(|&group| members[group as usize] += 1);
    // Groups come in the order of their first row that holds anything.
    let mut found: Vec<Best> = Vec::new();
    let mut place: Vec<Option<usize>> = vec![None; groups.len()];
    let mut ignored = false;
    vector.each(context, |row, cells, _| {
        if cells.is_blank() {
            return Ok(());
        }
        ignored |= cells.has_histograms() && cells.kinds.contains(&HISTOGRAM);
        let group = groups.of_row[row] as usize;
        let at = if let Some(at) = place[group] {
            at
        } else {
            let width = count.min(members[group]);
            context.hold((width * grid.count) as u64)?;
            found.push(Best::new(top, width, grid.count));
            place[group] = Some(found.len() - 1);
            found.len() - 1
        };
        found[at].add(row as u32, cells);
        Ok(())
    })?;
    if ignored {
        context.annotate(|a| remarks::ignored_in_aggregation(a, aggregate.op.as_str(), aggregate.pos));
    }
    // The chosen rows, and where each of them stands in the vector.
    let (mut rows, mut places): (Vec<Row>, Vec<u32>) = (Vec::new(), Vec::new());
    let _chosen = context.hold_table(4 * vector.len() as u64)?;
    let mut chosen = vec![NOT_CHOSEN; vector.len()];
    // Only the result of a single step is ranked.
    let ranked = grid.count == 1;
    for best in &mut found {
        context.cancel.check()?;
        for step in 0..grid.count {
            for &(value, row) in best.at(step, ranked) {
                let at = &mut chosen[row as usize];
                if *at == NOT_CHOSEN {
                    *at = rows.len() as u32;
                    let (labels, cells) = (vector.labels(row as usize), Cells::empty(grid.count));
                    context.hold_row(&labels, &cells)?;
                    rows.push(Row { labels, drop_name: vector.drop_name(row as usize), cells });
                    places.push(row);
                }
                rows[*at as usize].cells.set(step, value);
            }
        }
    }
    if !ranked {
        rows = in_order_of(context, rows, &places)?;
    }
    vector.give_back(context)?;
    Ok(Vector::Kept(rows))
}
