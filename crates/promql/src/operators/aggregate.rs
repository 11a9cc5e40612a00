//! Aggregations that fold rows as they come: one accumulator per group and step.

use super::blocks::{Input, Outcomes, in_blocks};
use super::folds::{Folds, accumulator_bytes};
use super::groups::{GroupBy, Groups};
use super::quantiles;
use super::reference::folds::{Folding, Notes, ReferenceFolds};
use super::reference::quantiles::quantiles_by_step;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, HISTOGRAM, Row};
use crate::kernels::grid::Grid;
use crate::kernels::remarks;
use crate::kernels::scalar::Scalar;
use crate::options::Kernels;
use crate::rows::context::Context;
use crate::rows::vector::Vector;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{AggregateOp, PosRange};

/// An aggregation, and where it stands in a query.
#[derive(Clone, Copy)]
pub(crate) struct Aggregation<'n> {
    pub op: AggregateOp,
    pub by: &'n GroupBy,
    pub pos: PosRange,
    /// The place of what is aggregated.
    pub operand: PosRange,
    /// The place of the number before it; that of the whole, if there is none.
    pub param: PosRange,
}

/// For each row that a fold gives: steps, ascending, and the labels of the first series that has anything there and until the next one.
pub(crate) type Firsts = Vec<Vec<(u32, Labels)>>;

/// `sum`, `avg` and the others that make one number of each group and step.
pub(crate) fn fold<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    vector: Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    fold_noting(context, aggregate, vector, grid, None).map(|(rows, _)| Vector::Kept(rows))
}

/// The same, with the series that come first: rows come in the order of those of all steps.
pub(crate) fn fold_with_firsts<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    vector: Vector<'a>,
    grid: Grid,
) -> Result<(Vec<Row>, Firsts), EvalError> {
    fold_noting(context, aggregate, vector, grid, Some(FirstRows::default()))
}

/// The first row of each group and step.
#[derive(Default)]
struct FirstRows {
    steps: usize,
    /// `u32::MAX` where there is none yet.
    first: Vec<u32>,
    /// Steps of each group that have none.
    open: Vec<usize>,
}

impl FirstRows {
    fn begin(&mut self, groups: usize, steps: usize) {
        *self = Self { steps, first: vec![u32::MAX; groups * steps], open: vec![steps; groups] };
    }

    fn note(&mut self, group: usize, row: usize, cells: &Cells) {
        if self.open[group] == 0 {
            return;
        }
        let first = &mut self.first[group * self.steps..(group + 1) * self.steps];
        let mut found = 0;
        for (first, &kind) in first.iter_mut().zip(&cells.kinds) {
            if kind != EMPTY && *first == u32::MAX {
                *first = row as u32;
                found += 1;
            }
        }
        self.open[group] -= found;
    }

    /// Where another series comes first.
    fn of(&self, group: usize, labels: impl Fn(usize) -> Labels) -> Vec<(u32, Labels)> {
        let mut last = u32::MAX;
        let mut out = Vec::new();
        for (step, &row) in self.first[group * self.steps..(group + 1) * self.steps].iter().enumerate() {
            if row != u32::MAX && row != last {
                last = row;
                out.push((step as u32, labels(row as usize)));
            }
        }
        out
    }
}

fn fold_noting<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    vector: Vector<'a>,
    grid: Grid,
    mut first_rows: Option<FirstRows>,
) -> Result<(Vec<Row>, Firsts), EvalError> {
    let groups = Groups::new(context, &vector, aggregate.by)?;
    let cells = (groups.len() * grid.count) as u64;
    let _accumulators = context.hold_table(cells.saturating_mul(accumulator_bytes(aggregate.op)))?;
    context.hold(cells)?;
    let (op, pos) = (aggregate.op, aggregate.operand);
    let mut dropped = vec![false; groups.len()];
    // Groups come in the order of their first row that holds anything.
    let mut known = vec![false; groups.len()];
    let mut has_histograms = known.clone();
    let mut order = Vec::new();
    let first_bytes = if first_rows.is_some() { cells.saturating_mul(size_of::<u32>() as u64) } else { 0 };
    let _first_rows = context.hold_table(first_bytes)?;
    if let Some(first_rows) = &mut first_rows {
        first_rows.begin(groups.len(), grid.count);
    }
    let delayed = context.options.delayed_name_removal;
    let mut folds: Box<dyn Folding> = if context.kernels == Kernels::Columnar {
        Box::new(Folds::new(op, groups.len(), grid.count))
    } else {
        Box::new(ReferenceFolds::new(op, groups.len(), grid.count))
    };
    vector.each(context, |row, cells, scratch| {
        if cells.is_blank() {
            return Ok(());
        }
        let group = groups.of_row[row] as usize;
        if !std::mem::replace(&mut known[group], true) {
            order.push(group);
        }
        if let Some(first_rows) = &mut first_rows {
            first_rows.note(group, row, cells);
        }
        if cells.has_histograms() && !std::mem::replace(&mut has_histograms[group], true) {
            // Assumes that sums are about as large as the first of them.
            context.hold(cells.weight())?;
        }
        dropped[group] |= delayed && vector.drop_name(row);
        // The name is only needed for remarks about histograms.
        let named = cells.has_histograms() && !vector.nameless();
        let metric = if named { vector.source_labels(row).metric_name() } else { "" };
        folds.add(group, cells, &mut Notes { annotations: &mut scratch.annotations, pos, op, metric });
        Ok(())
    })?;
    let mut noted = Firsts::new();
    if let Some(first_rows) = &first_rows {
        context.stoppable(|looks| {
            for &group in &order {
                looks.before(2 + grid.count / 16)?;
                noted.push(first_rows.of(group, |row| vector.source_labels(row).clone()));
            }
            Ok(())
        })?;
    }
    vector.give_back(context)?;
    let mut scratch = context.scratch();
    let mut out = Vec::with_capacity(order.len());
    let mut labels = groups.into_labels();
    let mut noted = noted.into_iter();
    let mut firsts = Firsts::new();
    context.stoppable(|looks| {
        for group in order {
            looks.before(2 + grid.count / 16)?;
            let cells = folds.finish(group, &mut Notes { annotations: &mut scratch.annotations, pos, op, metric: "" });
            let first = noted.next();
            if let Some(labels) = labels[group].take().filter(|_| !cells.is_blank()) {
                out.push(Row { labels, drop_name: dropped[group], cells });
                firsts.extend(first);
            }
        }
        Ok(())
    })?;
    Ok((out, firsts))
}

/// `quantile(φ, v)`: needs the values of a group together. `input` evaluates `v`.
pub(crate) fn quantile_by<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    q: &Scalar,
    input: &mut Input<'_, 'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let pos = aggregate.param;
    for q in q.worst(grid.count, 0.0, 1.0) {
        context.annotate(|a| remarks::invalid_quantile(a, q, pos, aggregate.pos));
    }
    in_blocks(context, input, grid, |vector, steps| {
        quantiles_of(context, aggregate, vector, &q.part(&steps), steps.len())
    })
}

/// The quantiles of the groups of `vector` at each of its `steps`.
fn quantiles_of<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    vector: Vector<'a>,
    q: &Scalar,
    steps: usize,
) -> Result<Outcomes, EvalError> {
    let (rows, places) = vector.keep_placed(context)?;
    let vector = Vector::Kept(rows);
    let groups = Groups::new(context, &vector, aggregate.by)?;
    let members = groups.members();
    let Vector::Kept(rows) = vector else { return Ok(Outcomes::default()) };
    if context.any_histograms(&rows)? && rows.iter().any(|row| row.cells.kinds.contains(&HISTOGRAM)) {
        context.annotate(|a| remarks::ignored_in_aggregation(a, "quantile", aggregate.operand));
    }
    let found = if context.kernels == Kernels::Columnar {
        Some(quantiles::of_groups(context, &rows, &members, q, steps)?)
    } else {
        None
    };
    let mut out = Outcomes::with_capacity(groups.len());
    let labels = groups.into_labels();
    context.stoppable(|looks| {
        for (group, labels) in labels.into_iter().enumerate() {
            let members = members.of(group);
            looks.before(2 + (members.len() + steps) / 16)?;
            let cells = match &found {
                Some(found) => found.of(group),
                None => quantiles_by_step(&rows, members, q, steps),
            };
            if let Some(labels) = labels.filter(|_| !cells.is_blank()) {
                let drop_name = members.iter().any(|&row| rows[row as usize].drop_name);
                out.push(places[members[0] as usize], Row { labels, drop_name, cells });
            }
        }
        Ok(())
    })?;
    context.give_back_rows(rows)?;
    Ok(out)
}
