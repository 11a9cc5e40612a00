//! Aggregations that fold rows as they come: one accumulator per group and step.

use super::cells::{Cells, EMPTY, FLOAT, HISTOGRAM, Row};
use super::context::{Context, is_schema};
use super::expr::{eval_scalar, eval_vector};
use super::functions::over_time::{HistogramSum, quantile};
use super::grid::Grid;
use super::kahan::{Kahan, Mean};
use super::rows::Vector;
use super::{count_values, remarks, selection};
use crate::ast::{AggregateExpr, AggregateOp};
use crate::error::EvalError;
use crate::pos::PosRange;
use mytsdb_model::Labels;
use std::collections::HashMap;
use std::sync::Arc;

/// The groups of a vector's rows.
pub(crate) struct Groups {
    /// The group of each row.
    pub of_row: Vec<usize>,
    /// Labels of each group, and whether its metric name goes away.
    pub labels: Vec<(Labels, bool)>,
}

impl Groups {
    pub fn new(vector: &Vector<'_>, aggregate: &AggregateExpr) -> Self {
        let mut index: HashMap<Labels, usize> = HashMap::new();
        let mut groups = Groups { of_row: Vec::with_capacity(vector.len()), labels: Vec::new() };
        for row in 0..vector.len() {
            let key = group_labels(vector.labels(row), aggregate);
            let next = groups.labels.len();
            let group = *index.entry(key.clone()).or_insert(next);
            if group == next {
                groups.labels.push((key, false));
            }
            groups.of_row.push(group);
        }
        groups
    }
}

/// The labels by which a series is grouped.
pub(crate) fn group_labels(labels: &Labels, aggregate: &AggregateExpr) -> Labels {
    let grouping = &aggregate.grouping;
    if aggregate.without {
        labels.filter(|name| !is_schema(name) && !grouping.iter().any(|g| g == name))
    } else if grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filter(|name| grouping.iter().any(|g| g == name))
    }
}

/// Evaluates an aggregation.
pub(crate) fn eval_aggregate<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    match aggregate.op {
        AggregateOp::Topk | AggregateOp::Bottomk => selection::topk(context, aggregate, grid),
        AggregateOp::Limitk => selection::limitk(context, aggregate, grid),
        AggregateOp::LimitRatio => selection::limit_ratio(context, aggregate, grid),
        AggregateOp::CountValues => count_values::count_values(context, aggregate, grid),
        AggregateOp::Quantile => eval_quantile(context, aggregate, grid),
        _ => fold(context, aggregate, grid),
    }
}

/// The state of one group over all steps.
enum Fold {
    Sum { sums: Vec<Kahan>, histograms: HistogramFold },
    Avg { means: Vec<Mean>, histograms: HistogramFold },
    Extreme { values: Vec<f64>, maximum: bool },
    Count(Vec<f64>),
    Group,
    Variance { counts: Vec<f64>, means: Vec<f64>, squares: Vec<f64>, root: bool },
}

/// Sums of histograms, made when the first one comes.
#[derive(Default)]
struct HistogramFold {
    sums: Vec<Option<HistogramSum>>,
    /// Steps whose histograms do not fit together.
    incompatible: Vec<bool>,
    /// Hints seen at each step: 1 reset, 2 not reset.
    hints: Vec<u8>,
}

const SEEN_FLOAT: u8 = FLOAT;
const SEEN_HISTOGRAM: u8 = HISTOGRAM;

struct Accumulator {
    /// Which kinds of samples each step has seen.
    seen: Vec<u8>,
    fold: Fold,
}

impl Accumulator {
    fn new(op: AggregateOp, count: usize) -> Self {
        let fold = match op {
            AggregateOp::Sum => Fold::Sum { sums: vec![Kahan::default(); count], histograms: HistogramFold::default() },
            AggregateOp::Avg => Fold::Avg { means: vec![Mean::default(); count], histograms: HistogramFold::default() },
            AggregateOp::Max | AggregateOp::Min => {
                Fold::Extreme { values: vec![f64::NAN; count], maximum: op == AggregateOp::Max }
            }
            AggregateOp::Count => Fold::Count(vec![0.0; count]),
            AggregateOp::Group => Fold::Group,
            _ => Fold::Variance {
                counts: vec![0.0; count],
                means: vec![0.0; count],
                squares: vec![0.0; count],
                root: op == AggregateOp::Stddev,
            },
        };
        Self { seen: vec![EMPTY; count], fold }
    }

    fn add(&mut self, cells: &Cells, notes: &mut Notes<'_>) {
        let seen = &mut self.seen;
        match &mut self.fold {
            Fold::Sum { sums, histograms } => {
                for (i, sum) in sums.iter_mut().enumerate() {
                    if cells.kinds[i] == FLOAT {
                        sum.add(cells.values[i]);
                        seen[i] |= SEEN_FLOAT;
                    }
                }
                histograms.add(cells, seen, false, notes);
            }
            Fold::Avg { means, histograms } => {
                for (i, mean) in means.iter_mut().enumerate() {
                    if cells.kinds[i] == FLOAT {
                        mean.add(cells.values[i]);
                        seen[i] |= SEEN_FLOAT;
                    }
                }
                histograms.add(cells, seen, true, notes);
            }
            Fold::Extreme { values, maximum } => {
                for (i, best) in values.iter_mut().enumerate() {
                    if cells.kinds[i] == FLOAT {
                        let value = cells.values[i];
                        let better = if *maximum { *best < value } else { *best > value };
                        if better || best.is_nan() {
                            *best = value;
                        }
                        seen[i] |= SEEN_FLOAT;
                    }
                }
                notes.ignored(cells);
            }
            Fold::Count(counts) => {
                for (i, count) in counts.iter_mut().enumerate() {
                    if cells.kinds[i] != EMPTY {
                        *count += 1.0;
                        seen[i] |= SEEN_FLOAT;
                    }
                }
            }
            Fold::Group => {
                for (seen, &kind) in seen.iter_mut().zip(&cells.kinds) {
                    *seen |= u8::from(kind != EMPTY);
                }
            }
            Fold::Variance { counts, means, squares, .. } => {
                for i in 0..counts.len() {
                    if cells.kinds[i] != FLOAT {
                        continue;
                    }
                    let value = cells.values[i];
                    seen[i] |= SEEN_FLOAT;
                    counts[i] += 1.0;
                    if counts[i] == 1.0 {
                        means[i] = value;
                        squares[i] = if value.is_finite() { 0.0 } else { f64::NAN };
                        continue;
                    }
                    let delta = value - means[i];
                    means[i] += delta / counts[i];
                    squares[i] += delta * (value - means[i]);
                }
                notes.ignored(cells);
            }
        }
    }

    fn finish(self, notes: &mut Notes<'_>) -> Cells {
        let count = self.seen.len();
        let mut out = Cells::empty(count);
        let fill = |value: &dyn Fn(usize) -> f64, out: &mut Cells| {
            for i in 0..count {
                if self.seen[i] == SEEN_FLOAT {
                    out.set(i, value(i));
                }
            }
        };
        match self.fold {
            Fold::Sum { sums, histograms } => {
                fill(
                    &|i| {
                        let sum = sums[i];
                        if sum.sum.is_infinite() { sum.sum } else { sum.total() }
                    },
                    &mut out,
                );
                histograms.finish(&self.seen, false, &mut out, notes);
            }
            Fold::Avg { means, histograms } => {
                fill(&|i| means[i].get(), &mut out);
                histograms.finish(&self.seen, true, &mut out, notes);
            }
            Fold::Extreme { values, .. } => fill(&|i| values[i], &mut out),
            Fold::Count(counts) => fill(&|i| counts[i], &mut out),
            Fold::Group => fill(&|_| 1.0, &mut out),
            Fold::Variance { counts, squares, root, .. } => fill(
                &|i| {
                    let variance = squares[i] / counts[i];
                    if root { variance.sqrt() } else { variance }
                },
                &mut out,
            ),
        }
        out
    }
}

impl HistogramFold {
    fn add(&mut self, cells: &Cells, seen: &mut [u8], average: bool, notes: &mut Notes<'_>) {
        if !cells.has_histograms() {
            return;
        }
        if self.sums.is_empty() {
            self.sums.resize(seen.len(), None);
            self.incompatible.resize(seen.len(), false);
            self.hints.resize(seen.len(), 0);
        }
        for (i, seen) in seen.iter_mut().enumerate() {
            let Some(histogram) = cells.histogram(i) else { continue };
            *seen |= SEEN_HISTOGRAM;
            self.hints[i] |= match histogram.counter_reset_hint {
                mytsdb_codec::CounterResetHint::CounterReset => 1,
                mytsdb_codec::CounterResetHint::NotCounterReset => 2,
                _ => 0,
            };
            if self.incompatible[i] {
                continue;
            }
            match &mut self.sums[i] {
                None => self.sums[i] = Some(HistogramSum::starting(histogram)),
                Some(sum) => match sum.add(histogram, average) {
                    Some(false) => {}
                    Some(true) => remarks::bounds_reconciled(notes.annotations, "aggregation", notes.pos),
                    None => {
                        self.incompatible[i] = true;
                        remarks::mixed_schemas(notes.annotations, "", notes.pos);
                    }
                },
            }
        }
    }

    fn finish(self, seen: &[u8], average: bool, out: &mut Cells, notes: &mut Notes<'_>) {
        for (i, sum) in self.sums.into_iter().enumerate() {
            if seen[i] == (SEEN_FLOAT | SEEN_HISTOGRAM) {
                remarks::mixed_aggregation(notes.annotations, notes.pos);
                continue;
            }
            if self.hints[i] == 3 {
                remarks::reset_collision(notes.annotations, "aggregation", notes.pos);
            }
            if let Some(sum) = sum.filter(|_| !self.incompatible[i]) {
                out.set_histogram(i, Arc::new(sum.finish(average)));
            }
        }
    }
}

/// Where remarks of an aggregation go.
struct Notes<'n> {
    annotations: &'n mut crate::annotations::Annotations,
    pos: PosRange,
    op: AggregateOp,
}

impl Notes<'_> {
    fn ignored(&mut self, cells: &Cells) {
        if cells.kinds.contains(&HISTOGRAM) {
            remarks::ignored_in_aggregation(self.annotations, self.op.as_str(), self.pos);
        }
    }
}

fn fold<'a>(context: &'a Context<'a>, aggregate: &'a AggregateExpr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let vector = eval_vector(context, &aggregate.expr, grid)?;
    let mut groups = Groups::new(&vector, aggregate);
    let pos = aggregate.expr.pos();
    context.hold((groups.labels.len() * grid.count) as u64)?;
    let mut accumulators: Vec<Option<Accumulator>> = Vec::new();
    accumulators.resize_with(groups.labels.len(), || None);
    vector.each(context, |row, cells, scratch| {
        if cells.is_blank() {
            return Ok(());
        }
        let group = groups.of_row[row];
        groups.labels[group].1 |= vector.drop_name(row);
        let mut notes = Notes { annotations: &mut scratch.annotations, pos, op: aggregate.op };
        accumulators[group].get_or_insert_with(|| Accumulator::new(aggregate.op, grid.count)).add(cells, &mut notes);
        Ok(())
    })?;
    let mut scratch = context.scratch();
    let mut out = Vec::with_capacity(accumulators.len());
    for ((labels, drop_name), accumulator) in groups.labels.into_iter().zip(accumulators) {
        let Some(accumulator) = accumulator else { continue };
        let mut notes = Notes { annotations: &mut scratch.annotations, pos, op: aggregate.op };
        let cells = accumulator.finish(&mut notes);
        if !cells.is_blank() {
            out.push(Row { labels, drop_name, cells });
        }
    }
    Ok(Vector::Kept(out))
}

/// `quantile(φ, v)`: needs the values of a group together.
fn eval_quantile<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let param = aggregate.param.as_ref().ok_or_else(|| EvalError::execution("quantile needs a parameter"))?;
    let q = eval_scalar(context, param, grid)?;
    for q in q.distinct(grid.count) {
        if !(0.0..=1.0).contains(&q) {
            context.annotate(|a| remarks::invalid_quantile(a, q, param.pos()));
        }
    }
    let rows = eval_vector(context, &aggregate.expr, grid)?.keep(context)?;
    let vector = Vector::Kept(rows);
    let groups = Groups::new(&vector, aggregate);
    let Vector::Kept(rows) = vector else { return Ok(Vector::none()) };
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.labels.len()];
    groups.of_row.iter().enumerate().for_each(|(row, &group)| members[group].push(row));
    let mut scratch = context.scratch();
    let mut out = Vec::new();
    let mut values = Vec::new();
    for ((labels, _), members) in groups.labels.into_iter().zip(members) {
        let mut cells = Cells::empty(grid.count);
        for step in 0..grid.count {
            values.clear();
            for &row in &members {
                match rows[row].cells.kinds[step] {
                    FLOAT => values.push(rows[row].cells.values[step]),
                    HISTOGRAM => {
                        remarks::ignored_in_aggregation(&mut scratch.annotations, "quantile", aggregate.expr.pos());
                    }
                    _ => {}
                }
            }
            if !values.is_empty() {
                cells.set(step, quantile(q.at(step), &mut values));
            }
        }
        let drop_name = members.iter().any(|&row| rows[row].drop_name);
        if !cells.is_blank() {
            out.push(Row { labels, drop_name, cells });
        }
    }
    Ok(Vector::Kept(out))
}
