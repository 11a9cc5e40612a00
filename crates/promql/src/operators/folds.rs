//! Folds of rows into groups, several steps at a time: each part of the accumulators is a column of its own.
//!
//! Rows are folded in their order, and each cell sees the operations that [`super::reference::folds`] defines, so the results
//! have the same bits. Branches are written as choices between two results, which the compiler turns into vector code.

use super::reference::folds::{Folding, HistogramFold, Notes, SEEN_FLOAT};
use crate::kernels::cells::{Cells, EMPTY, FLOAT};
use crate::kernels::kahan::{Kahan, Mean};
use mytsdb_promql_syntax::AggregateOp;
use std::collections::HashMap;
use std::ops::Range;

/// All groups of one aggregation; columns hold the steps of group 0, then those of group 1, and so on.
pub(super) struct Folds {
    op: AggregateOp,
    steps: usize,
    /// Which kinds of samples each step has seen.
    seen: Vec<u8>,
    /// Sums, extremes, counts or means.
    values: Vec<f64>,
    /// What rounding took from the sums, or the sums of squares.
    rests: Vec<f64>,
    /// Values of each step, of averages and variances.
    counts: Vec<f64>,
    /// Averages that are no sums any more; empty as long as there are none.
    incremental: Vec<bool>,
    histograms: HashMap<usize, HistogramFold>,
}

/// Bytes of the accumulators of one cell, which take as much whichever way they are folded.
pub(super) fn accumulator_bytes(op: AggregateOp) -> u64 {
    let columns = match op {
        AggregateOp::Group => 0,
        AggregateOp::Min | AggregateOp::Max | AggregateOp::Count => 1,
        AggregateOp::Sum => 2,
        _ => 3,
    };
    columns * 8 + 1
}

impl Folds {
    pub fn new(op: AggregateOp, group_count: usize, steps: usize) -> Self {
        let cells = group_count * steps;
        let zeros = |needed: bool| if needed { vec![0.0; cells] } else { Vec::new() };
        let spread = matches!(op, AggregateOp::Stddev | AggregateOp::Stdvar);
        let values = match op {
            AggregateOp::Min | AggregateOp::Max => vec![f64::NAN; cells],
            _ => zeros(op != AggregateOp::Group),
        };
        Self {
            op,
            steps,
            seen: vec![EMPTY; cells],
            values,
            rests: zeros(spread || matches!(op, AggregateOp::Sum | AggregateOp::Avg)),
            counts: zeros(spread || op == AggregateOp::Avg),
            incremental: Vec::new(),
            histograms: HashMap::new(),
        }
    }

    /// Folds `values` into the cells `at`, which are all there.
    fn add_floats(&mut self, at: Range<usize>, values: &[f64]) {
        self.seen[at.clone()].iter_mut().for_each(|seen| *seen |= SEEN_FLOAT);
        match self.op {
            AggregateOp::Sum => add_sums(&mut self.values[at.clone()], &mut self.rests[at], values),
            AggregateOp::Avg => self.add_means(at, values),
            AggregateOp::Max => keep_largest(&mut self.values[at], values),
            AggregateOp::Min => keep_smallest(&mut self.values[at], values),
            AggregateOp::Count => self.values[at].iter_mut().for_each(|count| *count += 1.0),
            AggregateOp::Group => {}
            _ => add_variances(&mut self.counts[at.clone()], &mut self.values[at.clone()], &mut self.rests[at], values),
        }
    }

    fn add_means(&mut self, at: Range<usize>, values: &[f64]) {
        let (counts, sums, rests) =
            (&mut self.counts[at.clone()], &mut self.values[at.clone()], &mut self.rests[at.clone()]);
        let overflows = sums.iter().zip(values).fold(false, |any, (sum, value)| any | (sum + value).is_infinite());
        if self.incremental.is_empty() && !overflows {
            add_finite_means(counts, sums, rests, values);
            return;
        }
        self.incremental.resize(self.seen.len(), false);
        let incremental = &mut self.incremental[at];
        for (i, &value) in values.iter().enumerate() {
            let sum = Kahan { sum: sums[i], compensation: rests[i] };
            let mut mean = Mean { count: counts[i], value: sum, incremental: incremental[i] };
            mean.add(value);
            (counts[i], incremental[i]) = (mean.count, mean.incremental);
            (sums[i], rests[i]) = (mean.value.sum, mean.value.compensation);
        }
    }

    /// The value of a cell that has seen floats.
    fn value(&self, at: usize) -> f64 {
        let value = self.values.get(at).copied().unwrap_or(1.0);
        match self.op {
            AggregateOp::Sum if value.is_infinite() => value,
            AggregateOp::Sum => value + self.rests[at],
            AggregateOp::Avg => {
                let incremental = self.incremental.get(at).copied().unwrap_or(false);
                Mean { count: self.counts[at], value: Kahan { sum: value, compensation: self.rests[at] }, incremental }
                    .get()
            }
            AggregateOp::Stdvar => self.rests[at] / self.counts[at],
            AggregateOp::Stddev => (self.rests[at] / self.counts[at]).sqrt(),
            _ => value,
        }
    }
}

impl Folding for Folds {
    fn add(&mut self, group: usize, cells: &Cells, notes: &mut Notes<'_>) {
        let start = group * self.steps;
        if let (&[FLOAT], &[value], AggregateOp::Sum) = (&cells.kinds[..], &cells.values[..], self.op) {
            // Instant queries: a row is one value.
            self.seen[group] |= SEEN_FLOAT;
            let sum = Kahan { sum: self.values[group], compensation: self.rests[group] }.plus(value);
            (self.values[group], self.rests[group]) = (sum.sum, sum.compensation);
            return;
        }
        for run in cells.float_runs() {
            self.add_floats(start + run.start..start + run.end, &cells.values[run]);
        }
        if !cells.has_histograms() {
            return;
        }
        let seen = &mut self.seen[start..start + self.steps];
        match self.op {
            AggregateOp::Sum | AggregateOp::Avg => {
                let average = self.op == AggregateOp::Avg;
                self.histograms.entry(group).or_default().add(cells, seen, average, notes);
            }
            AggregateOp::Count | AggregateOp::Group => {
                for step in (0..cells.len()).filter(|&step| cells.histogram(step).is_some()) {
                    seen[step] |= SEEN_FLOAT;
                    if let Some(count) = self.values.get_mut(start + step) {
                        *count += 1.0;
                    }
                }
            }
            _ => notes.ignored(cells),
        }
    }

    fn finish(&mut self, group: usize, notes: &mut Notes<'_>) -> Cells {
        let mut out = Cells::empty(self.steps);
        let start = group * self.steps;
        for step in 0..self.steps {
            if self.seen[start + step] == SEEN_FLOAT {
                out.set(step, self.value(start + step));
            }
        }
        if let Some(histograms) = self.histograms.remove(&group) {
            histograms.finish(&self.seen[start..start + self.steps], self.op == AggregateOp::Avg, &mut out, notes);
        }
        out
    }
}

/// [`Kahan::plus`] of every sum.
fn add_sums(sums: &mut [f64], rests: &mut [f64], values: &[f64]) {
    for ((sum, rest), &value) in sums.iter_mut().zip(rests).zip(values) {
        let next = Kahan { sum: *sum, compensation: *rest }.plus(value);
        (*sum, *rest) = (next.sum, next.compensation);
    }
}

/// [`Mean::add`] of every mean, if no sum becomes infinite.
fn add_finite_means(counts: &mut [f64], sums: &mut [f64], rests: &mut [f64], values: &[f64]) {
    for (((count, sum), rest), &value) in counts.iter_mut().zip(sums).zip(rests).zip(values) {
        let next = Kahan { sum: *sum, compensation: *rest }.plus(value);
        // The first value is taken as it is, be it a negative zero.
        let first = *count == 0.0;
        *count += 1.0;
        *sum = if first { value } else { next.sum };
        *rest = if first { 0.0 } else { next.compensation };
    }
}

/// NaN only where there is nothing else.
fn keep_largest(best: &mut [f64], values: &[f64]) {
    for (best, &value) in best.iter_mut().zip(values) {
        *best = if (*best < value) | best.is_nan() { value } else { *best };
    }
}

fn keep_smallest(best: &mut [f64], values: &[f64]) {
    for (best, &value) in best.iter_mut().zip(values) {
        *best = if (*best > value) | best.is_nan() { value } else { *best };
    }
}

/// Welford's method.
fn add_variances(counts: &mut [f64], means: &mut [f64], squares: &mut [f64], values: &[f64]) {
    for (((count, mean), square), &value) in counts.iter_mut().zip(means).zip(squares).zip(values) {
        *count += 1.0;
        let delta = value - *mean;
        let next = *mean + delta / *count;
        let first = *count == 1.0;
        let first_square = if value.is_finite() { 0.0 } else { f64::NAN };
        *square = if first { first_square } else { *square + delta * (value - next) };
        *mean = if first { value } else { next };
    }
    debug_assert!(counts.iter().all(|&count| count > 0.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::Annotations;
    use crate::operators::reference::folds::ReferenceFolds;
    use mytsdb_promql_syntax::PosRange;
    use proptest::prelude::*;

    fn cell() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            12 => (-1e3..1e3f64).prop_map(Some),
            2 => Just(None),
            1 => prop::sample::select(vec![
                f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 1e300, -1e300, 0.0, -0.0, 5e-324,
            ]).prop_map(Some),
        ]
    }

    proptest! {
        #[test]
        fn columns_fold_as_single_cells_do(rows in prop::collection::vec(prop::collection::vec(cell(), 13), 1..20)) {
            use AggregateOp::{Avg, Count, Group, Max, Min, Stddev, Stdvar, Sum};
            for op in [Sum, Avg, Min, Max, Count, Group, Stddev, Stdvar] {
                let mut both: [Box<dyn Folding>; 2] = [Box::new(Folds::new(op, 2, 13)), Box::new(ReferenceFolds::new(op, 2, 13))];
                let mut annotations = Annotations::default();
                let mut notes = Notes { metric: "", annotations: &mut annotations, pos: PosRange::default(), op };
                for (i, row) in rows.iter().enumerate() {
                    let mut cells = Cells::empty(13);
                    row.iter().enumerate().for_each(|(i, cell)| if let Some(value) = cell { cells.set(i, *value) });
                    for folds in &mut both {
                        folds.add(i % 2, &cells, &mut notes);
                    }
                }
                for group in 0..2 {
                    let [found, expected] = both.each_mut().map(|folds| folds.finish(group, &mut notes));
                    prop_assert_eq!(&found.kinds, &expected.kinds);
                    for (a, b) in found.values.iter().zip(&expected.values) {
                        prop_assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{op:?}: {a} {b}");
                    }
                }
            }
        }
    }
}
