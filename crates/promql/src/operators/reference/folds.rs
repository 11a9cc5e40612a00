//! Folds of rows into groups as they are defined: one accumulator per group, one cell after the other.

use crate::annotations::Annotations;
use crate::kernels::cells::{Cells, EMPTY, FLOAT, HISTOGRAM};
use crate::kernels::kahan::{Kahan, Mean};
use crate::kernels::over_time::HistogramSum;
use crate::kernels::remarks;
use mytsdb_promql_syntax::AggregateOp;
use mytsdb_promql_syntax::PosRange;
use std::sync::Arc;

/// Rows folded into groups, step by step.
pub(crate) trait Folding {
    /// Folds a row into `group`.
    fn add(&mut self, group: usize, cells: &Cells, notes: &mut Notes<'_>);
    /// What became of `group`, which is done then.
    fn finish(&mut self, group: usize, notes: &mut Notes<'_>) -> Cells;
}

/// The reference of [`Folds`](crate::operators::folds::Folds).
pub(crate) struct ReferenceFolds {
    op: AggregateOp,
    steps: usize,
    groups: Vec<Option<Accumulator>>,
}

impl ReferenceFolds {
    pub fn new(op: AggregateOp, group_count: usize, steps: usize) -> Self {
        let mut groups = Vec::new();
        groups.resize_with(group_count, || None);
        Self { op, steps, groups }
    }
}

impl Folding for ReferenceFolds {
    fn add(&mut self, group: usize, cells: &Cells, notes: &mut Notes<'_>) {
        self.groups[group].get_or_insert_with(|| Accumulator::new(self.op, self.steps)).add(cells, notes);
    }

    fn finish(&mut self, group: usize, notes: &mut Notes<'_>) -> Cells {
        self.groups[group].take().map_or_else(|| Cells::empty(self.steps), |group| group.finish(notes))
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
pub(crate) struct HistogramFold {
    sums: Vec<Option<HistogramSum>>,
    /// Steps whose histograms do not fit together, of which nothing more is said.
    incompatible: Vec<bool>,
    /// Of those, the steps that had seen floats before.
    mixed: Vec<bool>,
    /// Hints seen at each step: 1 reset, 2 not reset.
    hints: Vec<u8>,
}

pub(crate) const SEEN_FLOAT: u8 = FLOAT;
pub(crate) const SEEN_HISTOGRAM: u8 = HISTOGRAM;

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
    pub fn add(&mut self, cells: &Cells, seen: &mut [u8], average: bool, notes: &mut Notes<'_>) {
        if !cells.has_histograms() {
            return;
        }
        if self.sums.is_empty() {
            self.sums.resize(seen.len(), None);
            self.incompatible.resize(seen.len(), false);
            self.mixed.resize(seen.len(), false);
            self.hints.resize(seen.len(), 0);
        }
        for (i, seen) in seen.iter_mut().enumerate() {
            let Some(histogram) = cells.histogram(i) else { continue };
            *seen |= SEEN_HISTOGRAM;
            self.hints[i] |= match histogram.counter_reset_hint {
                mytsdb_histogram::CounterResetHint::CounterReset => 1,
                mytsdb_histogram::CounterResetHint::NotCounterReset => 2,
                _ => 0,
            };
            // Behind a float nothing comes of it, so nothing is said about it either.
            if self.incompatible[i] || (self.sums[i].is_none() && *seen & SEEN_FLOAT != 0) {
                continue;
            }
            match &mut self.sums[i] {
                None => self.sums[i] = Some(HistogramSum::starting(histogram)),
                Some(sum) => match sum.add(histogram, average) {
                    Some(false) => {}
                    Some(true) => remarks::bounds_reconciled(notes.annotations, "aggregation", notes.pos),
                    None => {
                        self.incompatible[i] = true;
                        self.mixed[i] = *seen & SEEN_FLOAT != 0;
                        remarks::mixed_schemas(notes.annotations, notes.metric, notes.pos);
                    }
                },
            }
        }
    }

    pub fn finish(self, seen: &[u8], average: bool, out: &mut Cells, notes: &mut Notes<'_>) {
        for (i, sum) in self.sums.into_iter().enumerate() {
            let mixed = seen[i] == (SEEN_FLOAT | SEEN_HISTOGRAM);
            if if self.incompatible[i] { self.mixed[i] } else { mixed } {
                remarks::mixed_aggregation(notes.annotations, notes.pos);
            }
            if mixed || self.incompatible[i] {
                continue;
            }
            if self.hints[i] == 3 {
                remarks::reset_collision(notes.annotations, "aggregation", notes.pos);
            }
            if let Some(sum) = sum {
                out.set_histogram(i, Arc::new(sum.finish(average)));
            }
        }
    }
}

/// Where remarks of an aggregation go.
pub(crate) struct Notes<'n> {
    pub annotations: &'n mut Annotations,
    pub pos: PosRange,
    pub op: AggregateOp,
    /// Name of the metric that is folded.
    pub metric: &'n str,
}

impl Notes<'_> {
    pub fn ignored(&mut self, cells: &Cells) {
        if cells.kinds.contains(&HISTOGRAM) {
            remarks::ignored_in_aggregation(self.annotations, self.op.as_str(), self.pos);
        }
    }
}
