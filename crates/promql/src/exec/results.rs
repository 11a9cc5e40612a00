//! Parts of a plan whose steps may be kept: what earlier queries have computed and is still exact, with the rest computed.
//!
//! The stamp is taken first, then it is asked what is still exact, then samples are read: so all that comes out may have the new stamp.
//! Anything that is not as simple as it should be is evaluated in full, as if there were no cache. `docs/result-cache.md` has the rules.

use super::Run;
use super::aggregates::eval_fold;
use super::planned::eval_counted;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, FLOAT, Row};
use crate::kernels::grid::Grid;
use crate::operators::aggregate::Firsts;
use crate::plan::{Kind, NodeId, Operator, Reach, key, reaches};
use crate::result_cache::{KeptRow, KeptSteps, ResultCache};
use crate::rows::context::{Context, Noticed};
use crate::rows::vector::Vector;
use crate::storage::ReadStamp;
use mytsdb_model::Labels;
use std::collections::HashMap;
use std::ops::Range;

/// Most cells of rows that would otherwise go to the answer one by one.
const PASSING_CELLS_MAX: usize = 1 << 18;

/// They are so many times fewer than the samples that the query may hold, too.
const HELD_SHARE: u64 = 16;

/// Most cells that are kept.
const KEPT_CELLS_MAX: usize = 1 << 20;

/// Most steps of an entry, unless a query has more.
const KEPT_STEPS_MAX: usize = 4_096;

/// A part of the plan, and where its steps may be.
struct Part<'a> {
    run: &'a Run<'a>,
    id: NodeId,
    grid: Grid,
    key: String,
    reaches: Vec<Reach>,
    results: &'a ResultCache,
    stamp: ReadStamp,
}

/// What was computed.
enum Computed<'a> {
    /// Of a fold with the series that come first.
    Rows(Vec<Row>, Firsts),
    /// Too many rows to keep them.
    Passing(Vector<'a>),
}

/// Evaluates a node whose steps may be kept.
pub(super) fn eval_kept<'a>(
    run: &'a Run<'a>,
    id: NodeId,
    grid: Grid,
    results: &'a ResultCache,
) -> Result<Vector<'a>, EvalError> {
    let context = &run.context;
    let key = key(run.tree(), id, (grid.start_ms, grid.step_ms), context.options);
    let (Some(key), Some(stamp)) = (key, context.storage.stamp()) else { return eval_counted(run, id, grid) };
    let reaches = reaches(run.tree(), id, context.options);
    let part = Part { run, id, grid, key, reaches, results, stamp };
    if let Some(steps) = results.get(&part.key)
        && let Some(exact) = part.exact(&steps)
    {
        let before = context.held();
        if let Some(rows) = part.eval_rest(&steps, exact)? {
            return Ok(Vector::Kept(rows));
        }
        results.forget(&part.key);
        context.back_to(&before);
        part.count_miss();
        return eval_counted(run, id, grid);
    }
    part.count_miss();
    part.eval_whole()
}

impl<'a> Part<'a> {
    fn context(&self) -> &'a Context<'a> {
        &self.run.context
    }

    fn count_miss(&self) {
        self.context().count_results(|used| {
            used.misses += 1;
            used.steps_computed += self.grid.count as u64;
        });
    }

    /// The number of the query's first step among the kept ones.
    fn offset(&self, steps: &KeptSteps) -> i64 {
        (self.grid.start_ms - steps.start_ms) / steps.step_ms
    }

    /// Which of the kept steps are exact, if the first one that the query can use is among them.
    fn exact(&self, steps: &KeptSteps) -> Option<Range<usize>> {
        let offset = self.offset(steps);
        let (from, to) = (offset.max(0), (offset + self.grid.count as i64).min(steps.count as i64));
        if from >= to {
            return None;
        }
        let (from, to) = (from as usize, to as usize);
        // All of them, or, if what happened long ago keeps that from being known, those of the query alone.
        [0..steps.count, from..to].into_iter().find_map(|wanted| {
            let exact = self.exact_among(steps, wanted);
            (exact.start <= from && exact.end > from).then_some(exact)
        })
    }

    /// Some kept steps, as far as they are exact.
    fn exact_among(&self, steps: &KeptSteps, wanted: Range<usize>) -> Range<usize> {
        let time = |step: usize| steps.start_ms + steps.step_ms * step as i64;
        let (first_ms, last_ms) = (time(wanted.start), time(wanted.end - 1));
        let mut count = wanted.len();
        for reach in &self.reaches {
            let range = reach.range(first_ms, last_ms);
            let changed_ms = self.context().storage.changed_since(steps.stamp, &reach.metric, range);
            // A step is exact if its window ends before.
            let bound_ms = i128::from(changed_ms) + i128::from(reach.offset_ms);
            let before = bound_ms - i128::from(first_ms);
            let exact = if before <= 0 { 0 } else { (before - 1) / i128::from(steps.step_ms) + 1 };
            count = count.min(usize::try_from(exact).unwrap_or(usize::MAX));
        }
        wanted.start..wanted.start + count
    }

    /// Evaluates all steps, and keeps them if they may be.
    fn eval_whole(&self) -> Result<Vector<'a>, EvalError> {
        let context = self.context();
        let before = context.held();
        let (computed, noticed) = self.compute(self.grid, false);
        match computed {
            Ok(Computed::Rows(rows, firsts)) => {
                let is_clean = noticed.is_clean();
                context.notice(noticed);
                if is_clean && rows.len().saturating_mul(self.grid.count) <= KEPT_CELLS_MAX {
                    let mut table = Table::new(self.grid.count);
                    if table.add_rows(0, &rows, firsts) {
                        self.keep(self.grid, table);
                    }
                }
                Ok(Vector::Kept(rows))
            }
            Ok(Computed::Passing(vector)) => {
                context.notice(noticed);
                Ok(vector)
            }
            Err(_) => {
                // A limit that rows which pass do not meet, or an error that comes again.
                context.cancel.check()?;
                context.back_to(&before);
                eval_counted(self.run, self.id, self.grid)
            }
        }
    }

    /// The rows of all steps, of which some are kept and exact; `None` if that cannot be said after all.
    fn eval_rest(&self, steps: &KeptSteps, exact: Range<usize>) -> Result<Option<Vec<Row>>, EvalError> {
        let (context, count) = (self.context(), self.grid.count);
        let offset = self.offset(steps);
        // Steps are numbered as the kept ones are.
        let query = offset..offset + count as i64;
        let exact = exact.start as i64..exact.end as i64;
        let used = query.start.max(exact.start)..query.end.min(exact.end);
        let missing = [query.start..used.start, used.end..query.end];
        let steps_missing: i64 = missing.iter().map(|part| part.end - part.start).sum();
        let rows = if steps_missing == 0 {
            in_order(steps.rows.iter().map(KeptRow::part), used.start as usize, count)
        } else {
            let before = context.held();
            let mut parts = Vec::with_capacity(2);
            for part in missing.iter().filter(|part| !part.is_empty()) {
                let grid = self.grid.part(&((part.start - offset) as usize..(part.end - offset) as usize));
                let (computed, noticed) = self.compute(grid, true);
                match computed {
                    Ok(Computed::Rows(rows, firsts)) if noticed.is_clean() => parts.push((part.start, rows, firsts)),
                    Ok(_) => return Ok(None),
                    Err(_) => return context.cancel.check().map(|()| None),
                }
            }
            context.back_to(&before);
            let row_count = steps.rows.len() + parts.iter().map(|(_, rows, _)| rows.len()).sum::<usize>();
            let all = query.start.min(exact.start)..query.end.max(exact.end);
            let fits = |all: &Range<i64>| {
                let steps = (all.end - all.start) as usize;
                steps <= KEPT_STEPS_MAX.max(count) && row_count.saturating_mul(steps) <= KEPT_CELLS_MAX
            };
            let all = if fits(&all) { all } else { query.clone() };
            let mut table = Table::new((all.end - all.start) as usize);
            let kept = all.start.max(exact.start)..all.end.min(exact.end);
            table.add_kept((kept.start - all.start) as usize, &steps.rows, kept.start as usize..kept.end as usize);
            for (start, rows, firsts) in parts {
                if !table.add_rows((start - all.start) as usize, &rows, firsts) {
                    return Ok(None);
                }
                context.give_back(rows)?;
            }
            table.settle();
            let rows = in_order(table.rows.iter().map(TableRow::part), (query.start - all.start) as usize, count);
            if fits(&all) {
                let start_ms = steps.start_ms + all.start * steps.step_ms;
                let count = (all.end - all.start) as usize;
                self.keep(Grid { start_ms, step_ms: self.grid.step_ms, count }, table);
            }
            rows
        };
        for row in &rows {
            if context.hold_row(&row.labels, &row.cells).is_err() {
                return context.cancel.check().map(|()| None);
            }
        }
        for reach in &self.reaches {
            context.note_asked(reach.range(self.grid.start_ms, self.grid.last()), reach.pos);
        }
        context.count_results(|used| {
            *if steps_missing == 0 { &mut used.hits } else { &mut used.partial } += 1;
            used.steps_kept += (count as i64 - steps_missing) as u64;
            used.steps_computed += steps_missing as u64;
        });
        Ok(Some(rows))
    }

    /// Computes some steps; `all` rows are wanted, however many they are.
    fn compute(&self, grid: Grid, all: bool) -> (Result<Computed<'a>, EvalError>, Noticed) {
        let context = self.context();
        let node = &self.run.planned.tree[self.id];
        context.aside(|| {
            if let (Operator::Fold, Kind::Aggregate(op, by)) = (node.operator, &node.kind) {
                let (rows, firsts) = eval_fold(self.run, self.id, (*op, by), grid)?;
                return Ok(Computed::Rows(rows, firsts));
            }
            let vector = eval_counted(self.run, self.id, grid)?;
            let cells = vector.len().saturating_mul(grid.count);
            let many = cells > PASSING_CELLS_MAX || cells as u64 > context.options.max_samples / HELD_SHARE;
            if many && !all && matches!(vector, Vector::Lazy(_)) {
                return Ok(Computed::Passing(vector));
            }
            vector.keep(context).map(|rows| Computed::Rows(rows, Firsts::new()))
        })
    }

    fn keep(&self, grid: Grid, table: Table) {
        let Grid { start_ms, step_ms, count } = grid;
        self.results.put(&self.key, KeptSteps { stamp: self.stamp, start_ms, step_ms, count, rows: table.finish() });
    }
}

/// A row that is kept or put together.
struct RowPart<'t> {
    labels: &'t Labels,
    present: &'t [bool],
    values: &'t [f64],
    firsts: &'t [(u32, Labels)],
}

impl<'t> RowPart<'t> {
    /// Some of the steps, unless there is nothing.
    fn filled(&self, steps: Range<usize>) -> Option<Row> {
        let (present, values) = (&self.present[steps.clone()], &self.values[steps]);
        if !present.contains(&true) {
            return None;
        }
        let mut cells = Cells::empty(present.len());
        for (step, (&present, &value)) in present.iter().zip(values).enumerate() {
            if present {
                cells.set(step, value);
            }
        }
        Some(Row { labels: self.labels.clone(), drop_name: false, cells })
    }

    /// The series that comes first in some of the steps.
    fn first(&self, steps: &Range<usize>) -> Option<&'t Labels> {
        let ends = self.firsts.iter().skip(1).map(|(step, _)| *step as usize).chain([self.present.len()]);
        let runs = self.firsts.iter().zip(ends);
        let of_run = runs.filter_map(|((from, labels), to)| {
            let (from, to) = (steps.start.max(*from as usize), steps.end.min(to));
            (from < to && self.present[from..to].contains(&true)).then_some(labels)
        });
        of_run.min()
    }
}

impl KeptRow {
    fn part(&self) -> RowPart<'_> {
        RowPart { labels: &self.labels, present: &self.present, values: &self.values, firsts: &self.firsts }
    }
}

/// Some steps of rows that have anything there, as a fold orders them: by the series that comes first.
fn in_order<'t>(rows: impl Iterator<Item = RowPart<'t>>, from: usize, count: usize) -> Vec<Row> {
    let steps = from..from + count;
    let found = rows.filter_map(|row| Some((row.filled(steps.clone())?, row.first(&steps))));
    let mut found: Vec<(Row, Option<&Labels>)> = found.collect();
    found.sort_by_key(|(_, first)| *first);
    found.into_iter().map(|(row, _)| row).collect()
}

/// Rows that are put together from parts.
struct Table {
    steps: usize,
    rows: Vec<TableRow>,
    known: HashMap<Labels, usize>,
}

struct TableRow {
    labels: Labels,
    present: Vec<bool>,
    values: Vec<f64>,
    /// In any order until it is settled.
    firsts: Vec<(u32, Labels)>,
}

impl TableRow {
    fn part(&self) -> RowPart<'_> {
        RowPart { labels: &self.labels, present: &self.present, values: &self.values, firsts: &self.firsts }
    }
}

impl Table {
    fn new(steps: usize) -> Self {
        Self { steps, rows: Vec::new(), known: HashMap::new() }
    }

    fn row(&mut self, labels: &Labels) -> &mut TableRow {
        let at = if let Some(&at) = self.known.get(labels) {
            at
        } else {
            self.known.insert(labels.clone(), self.rows.len());
            let (present, values) = (vec![false; self.steps], vec![0.0; self.steps]);
            self.rows.push(TableRow { labels: labels.clone(), present, values, firsts: Vec::new() });
            self.rows.len() - 1
        };
        &mut self.rows[at]
    }

    /// Adds some steps of kept rows from step `at` on.
    fn add_kept(&mut self, at: usize, rows: &[KeptRow], steps: Range<usize>) {
        let to = at..at + steps.len();
        for kept in rows.iter().filter(|row| row.present[steps.clone()].contains(&true)) {
            let row = self.row(&kept.labels);
            row.present[to.clone()].copy_from_slice(&kept.present[steps.clone()]);
            row.values[to.clone()].copy_from_slice(&kept.values[steps.clone()]);
            let before = kept.firsts.partition_point(|(step, _)| *step as usize <= steps.start).saturating_sub(1);
            let inside = kept.firsts[before..].iter().take_while(|(step, _)| (*step as usize) < steps.end);
            row.firsts.extend(inside.map(|(step, labels)| {
                let step = (*step as usize).max(steps.start) - steps.start + at;
                (step as u32, labels.clone())
            }));
        }
    }

    /// Adds rows from step `at` on. `false` if they are not only floats of different series.
    fn add_rows(&mut self, at: usize, rows: &[Row], firsts: Firsts) -> bool {
        let mut seen = vec![false; self.rows.len()];
        let mut firsts = firsts.into_iter();
        for Row { labels, drop_name, cells } in rows {
            if *drop_name || cells.has_histograms() {
                return false;
            }
            let row = self.row(labels);
            for (step, (&kind, &value)) in cells.kinds.iter().zip(&cells.values).enumerate() {
                if kind != EMPTY {
                    debug_assert_eq!(kind, FLOAT);
                    (row.present[at + step], row.values[at + step]) = (true, value);
                }
            }
            let firsts = firsts.next().unwrap_or_default();
            row.firsts.extend(firsts.into_iter().map(|(step, labels)| (step + at as u32, labels)));
            let number = self.known[labels];
            seen.resize(self.rows.len(), false);
            if std::mem::replace(&mut seen[number], true) {
                return false;
            }
        }
        true
    }

    /// Puts the series that come first in the order of steps; all parts are there.
    fn settle(&mut self) {
        for row in &mut self.rows {
            row.firsts.sort_by_key(|(step, _)| *step);
            row.firsts.dedup_by(|later, first| later.1 == first.1);
        }
    }

    fn finish(self) -> Vec<KeptRow> {
        let row = |TableRow { labels, present, values, firsts }| {
            let (present, values, firsts) = (present.into(), values.into(), firsts.into());
            KeptRow { labels, present, values, firsts }
        };
        self.rows.into_iter().map(row).collect()
    }
}
