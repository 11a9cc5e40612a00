//! Selectors: what the storage holds, as rows or as windows.

mod downsampled;

use super::reference::latest::Latest;
use super::sample_field::SampleField;
use crate::error::EvalError;
use crate::error::StorageError;
use crate::kernels::cells::{Cell, Cells, weight_of};
use crate::kernels::extended::interpolate_instant;
use crate::kernels::grid::Grid;
use crate::kernels::summaries::{Lookbacks, summarise};
use crate::kernels::window::{Extension, Remarks, drop_stale};
use crate::kernels::window_table::{Stride, Windows};
use crate::names::SCHEMA_LABELS;
use crate::options::Kernels;
use crate::rows::context::{Context, Scratch};
use crate::rows::meter::Meter;
use crate::rows::range_vector::{RangeVector, Samples};
use crate::rows::vector::{Rows, Vector};
use crate::storage::{SelectHints, SeriesSet};
use mytsdb_columns::{Columns, HistogramRun, HistogramTable, Outline, Outlining};
use mytsdb_downsample::{Buckets, Stored};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::{LABEL_NAME, Labels, MatchOp, Matcher, TimeRange, is_stale_nan};
use mytsdb_promql_syntax::PosRange;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which series are selected, and what of their samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selector {
    pub matchers: Vec<Matcher>,
    /// Offset into the past.
    pub offset_ms: i64,
    /// `@`: every step has the samples of this time.
    pub timestamp_ms: Option<i64>,
    pub anchored: bool,
    pub smoothed: bool,
    /// Its series may come in any order.
    pub any_order: bool,
    /// Only counts and sums of its histograms are looked at.
    pub summarised: bool,
    pub pos: PosRange,
}

/// A selector, and what counts its series and samples.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'s, 'a> {
    pub selector: &'s Selector,
    pub meter: Option<&'a Meter>,
}

/// The windows of a range selector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Width {
    pub range_ms: i64,
    /// The selector with its range.
    pub pos: PosRange,
}

/// The windows of a subquery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SubqueryWidth {
    pub range_ms: i64,
    /// Inner step; 0 = the default.
    pub step_ms: i64,
    pub offset_ms: i64,
    pub timestamp_ms: Option<i64>,
    pub pos: PosRange,
}

impl<'a> Asked<'_, 'a> {
    /// Finds the series that have samples in `range`, of which `range_ms` before each step are looked at.
    fn select(
        self,
        context: &'a Context<'a>,
        range: TimeRange,
        (step_ms, range_ms): (i64, i64),
    ) -> Result<Box<dyn SeriesSet + 'a>, EvalError> {
        let (any_order, cancel) = (self.selector.any_order, context.cancel.clone());
        let hints = SelectHints { range, step_ms, stored: false, range_ms, any_order, cancel };
        context.select(&hints, (&self.selector.matchers, self.selector.pos), self.meter)
    }
}

struct SelectedRows<'a> {
    context: &'a Context<'a>,
    same_schema: bool,
    set: Box<dyn SeriesSet + 'a>,
    grid: Grid,
    /// Reference time of step 0.
    first_ms: i64,
    /// `@`: every step has that of step 0.
    fixed: bool,
    smoothed: bool,
    field: SampleField,
    range: TimeRange,
    summarised: bool,
    tables: Refusals,
    pos: PosRange,
}

/// Whether all series have the one name that the selector asks for, and nothing else that goes away with it.
fn same_schema(context: &Context<'_>, selector: &Selector, set: &dyn SeriesSet) -> bool {
    let named = |m: &Matcher| m.op() == MatchOp::Equal && m.name() == LABEL_NAME && !m.value().is_empty();
    let others = SCHEMA_LABELS.iter().filter(|name| **name != LABEL_NAME);
    let same = selector.matchers.iter().any(named) && !others.into_iter().any(|name| set.may_have_label(name));
    if !same {
        context.entangle();
    }
    same
}

/// Evaluates an instant selector over `grid`.
pub(crate) fn select_instant<'a>(
    context: &'a Context<'a>,
    asked: Asked<'_, 'a>,
    grid: Grid,
    field: SampleField,
) -> Result<Vector<'a>, EvalError> {
    let selector = asked.selector;
    if grid.count == 0 {
        return Ok(Vector::none());
    }
    let fixed = selector.timestamp_ms.is_some();
    let first_ms = selector.timestamp_ms.unwrap_or(grid.start_ms) - selector.offset_ms;
    let last_ms = if fixed { first_ms } else { first_ms + grid.step_ms * (grid.count as i64 - 1) };
    let lookback = context.options.lookback_ms;
    // Only values are smoothed; times are those of the samples.
    let smoothed = selector.smoothed && field == SampleField::Value;
    let after = if smoothed { lookback } else { 0 };
    let range = TimeRange::new(first_ms - lookback + 1, last_ms + after);
    let step_ms = if grid.count > 1 { grid.step_ms } else { 0 };
    let set = asked.select(context, range, (step_ms, 0))?;
    Ok(Vector::Lazy(Box::new(SelectedRows {
        context,
        same_schema: same_schema(context, selector, &*set),
        set,
        grid,
        first_ms,
        fixed,
        smoothed,
        field,
        range,
        summarised: selector.summarised,
        tables: Refusals::default(),
        pos: selector.pos,
    })))
}

impl Rows for SelectedRows<'_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn steps(&self) -> usize {
        self.grid.count
    }

    fn height(&self) -> usize {
        1
    }

    fn labels(&self, index: usize) -> &Labels {
        self.set.labels(index)
    }

    fn same_schema(&self) -> bool {
        self.same_schema
    }

    fn series_set(&self) -> Option<&dyn SeriesSet> {
        Some(&*self.set)
    }

    fn drop_name(&self, _index: usize) -> bool {
        false
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        if self.reads_tables() {
            let mut table = scratch.take_table();
            let is_read = self.tables.read(|| self.set.read_table(index, self.range, true, &mut table))?;
            let weight = if is_read { table_weight(&table, self.range) } else { 0 };
            // What the samples count for does not depend on what is looked at.
            let is_read = is_read && (!self.summarised || table.summarise());
            if is_read {
                self.context.note_table(&mut table, weight, scratch)?;
                self.latest_histograms(&table, out);
            }
            scratch.give_table(table);
            if is_read {
                return Ok(());
            }
        }
        if self.read_downsampled(index, scratch, out)? {
            return Ok(());
        }
        let mut columns = scratch.take_columns();
        self.set.read(index, self.range, &mut columns)?;
        self.context.note_read(&mut columns, scratch)?;
        if self.summarised {
            let (count, back_ms) = (if self.fixed { 1 } else { self.grid.count }, self.context.options.lookback_ms - 1);
            let lookbacks = Lookbacks { first_end_ms: self.first_ms, step_ms: self.grid.step_ms, count, back_ms };
            summarise(&mut columns, lookbacks);
        }
        let steps = if self.fixed { 1 } else { self.grid.count };
        out.reset(steps);
        if self.smoothed {
            let metric = self.set.labels(index).metric_name();
            let mut remarks =
                Remarks { annotations: &mut scratch.annotations, metric, pos: self.pos, told_by: self.pos };
            self.smoothed(&mut columns, steps, out, &mut remarks);
        } else if self.context.kernels == Kernels::Columnar
            && columns.histogram_timestamps_ms.is_empty()
            && self.field == SampleField::Value
        {
            let windows = Windows {
                first_end_ms: self.first_ms,
                step_ms: self.grid.step_ms,
                range_ms: self.context.options.lookback_ms,
                steps,
            };
            latest_floats(&columns.timestamps_ms, &columns.values, windows, out);
        } else {
            let latest = Latest {
                first_ms: self.first_ms,
                step_ms: self.grid.step_ms,
                lookback_ms: self.context.options.lookback_ms,
                field: self.field,
                start_timestamps: self.context.options.use_start_timestamps,
            };
            latest.read(&columns, steps, out);
        }
        if steps < self.grid.count {
            out.broadcast(self.grid.count);
        }
        scratch.give_columns(columns);
        Ok(())
    }
}

impl SelectedRows<'_> {
    /// Whether values can be taken out of a table of histograms.
    fn reads_tables(&self) -> bool {
        self.context.kernels == Kernels::Columnar && self.field == SampleField::Value && !self.smoothed
    }

    /// For each step the latest histogram that is younger than the lookback and not a stale marker.
    fn latest_histograms(&self, table: &HistogramTable, out: &mut Cells) {
        let steps = if self.fixed { 1 } else { self.grid.count };
        out.reset(steps);
        let (times, mut stride) = (table.timestamps_ms(), Stride::default());
        // The rows that are looked at, and which of them each step has.
        let (mut rows, mut places) = (Vec::new(), Vec::with_capacity(steps));
        for step in 0..steps {
            let at = self.first_ms + self.grid.step_ms * step as i64;
            let latest = stride
                .count(times, at)
                .checked_sub(1)
                .filter(|&row| times[row] > at - self.context.options.lookback_ms && !is_stale_nan(table.sums()[row]));
            rows.extend(latest.filter(|row| rows.last() != Some(row)));
            places.push(latest.map(|_| rows.len() - 1));
        }
        let settled =
            |(histogram, &row)| Arc::new(FloatHistogram { counter_reset_hint: table.settled_hint(row), ..histogram });
        let made: Vec<Arc<FloatHistogram>> = table.histograms(&rows).into_iter().zip(&rows).map(settled).collect();
        for (step, place) in places.into_iter().enumerate() {
            if let Some(place) = place {
                out.set_histogram(step, Arc::clone(&made[place]));
            }
        }
        if steps < self.grid.count {
            out.broadcast(self.grid.count);
        }
    }

    fn smoothed(&self, columns: &mut Columns, steps: usize, out: &mut Cells, remarks: &mut Remarks<'_>) {
        drop_stale(columns);
        for step in 0..steps {
            let at = self.first_ms + self.grid.step_ms * step as i64;
            let lookback = self.context.options.lookback_ms;
            if let Some(cell) = interpolate_instant(columns, at, lookback, remarks) {
                out.set_cell(step, cell);
            }
        }
    }
}

/// For each step the latest value that is younger than the lookback and not a stale marker.
///
/// Looks at few of the samples, so it needs no table of windows and no pass over the column.
fn latest_floats(times: &[i64], values: &[f64], windows: Windows, out: &mut Cells) {
    let mut stride = Stride::default();
    let mut at = windows.first_end_ms;
    for (kind, slot) in out.kinds.iter_mut().zip(&mut out.values) {
        if let Some(latest) = stride.count(times, at).checked_sub(1) {
            let value = values[latest];
            *kind =
                u8::from((times[latest] > at - windows.range_ms) & !is_stale_nan(value)) * crate::kernels::cells::FLOAT;
            *slot = value;
        }
        at += windows.step_ms;
    }
}

struct SelectedSamples<'a> {
    context: &'a Context<'a>,
    same_schema: bool,
    set: Box<dyn SeriesSet + 'a>,
    range: TimeRange,
    /// If only counts and sums of histograms are looked at: when.
    summarised: Option<Lookbacks>,
    tables: Refusals,
    outlines: Refusals,
    /// The selector with its range.
    pos: PosRange,
}

/// Whether to ask for tables of histograms, or for outlines of floats: series of one selection are mostly of one kind.
#[derive(Default)]
struct Refusals {
    /// How many series in a row could not be read that way.
    refused: AtomicU32,
}

/// What the samples of a table in a range count for.
fn table_weight(table: &HistogramTable, range: TimeRange) -> u64 {
    let asked = table.rows_in(range);
    let of_run = |run: &HistogramRun| {
        let rows = run.rows().start.max(asked.start)..run.rows().end.min(asked.end);
        weight_of(run.size()) * rows.len() as u64
    };
    table.runs().iter().map(of_run).sum()
}

impl Refusals {
    /// Refusals after which nobody asks again.
    const MAX: u32 = 8;

    /// Reads a series by way of `read`, which tells whether it could.
    fn read(&self, read: impl FnOnce() -> Result<bool, StorageError>) -> Result<bool, StorageError> {
        // Only a guess depends on this, so no ordering is needed.
        if self.refused.load(Ordering::Relaxed) >= Self::MAX {
            return Ok(false);
        }
        let is_read = read()?;
        if is_read {
            self.refused.store(0, Ordering::Relaxed);
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(is_read)
    }
}

impl Samples for SelectedSamples<'_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn height(&self) -> usize {
        1
    }

    fn labels(&self, index: usize) -> &Labels {
        self.set.labels(index)
    }

    fn same_schema(&self) -> bool {
        self.same_schema
    }

    fn series_set(&self) -> Option<&dyn SeriesSet> {
        Some(&*self.set)
    }

    fn drop_name(&self, _index: usize) -> bool {
        false
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Columns) -> Result<(), EvalError> {
        if !self.read_last_samples(index, scratch, out)? {
            self.set.read(index, self.range, out)?;
        }
        self.context.note_read(out, scratch)?;
        if let Some(lookbacks) = self.summarised {
            summarise(out, lookbacks);
        }
        drop_stale(out);
        Ok(())
    }

    fn read_table(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut HistogramTable) -> Result<bool, EvalError> {
        if !self.tables.read(|| self.set.read_table(index, self.range, false, out))? {
            return Ok(false);
        }
        // What the samples count for does not depend on what is looked at.
        let weight = table_weight(out, self.range);
        if self.summarised.is_some() && !out.summarise() {
            return Ok(false);
        }
        self.context.note_table(out, weight, scratch)?;
        out.drop_stale();
        Ok(true)
    }

    fn read_buckets(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Buckets) -> Result<bool, EvalError> {
        let Some(set) = self.set.downsampled() else { return Ok(false) };
        let is_read = set.read_buckets(index, self.range, out)? == Stored::Buckets;
        if is_read {
            self.context.note_buckets(out, scratch)?;
        }
        Ok(is_read)
    }

    fn read_outline(
        &self,
        index: usize,
        scratch: &mut Scratch<'_>,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, EvalError> {
        let is_plain = |out: &Outline| {
            out.columns.histograms.is_empty()
                && (out.columns.start_timestamps_ms.is_empty() || !self.context.options.use_start_timestamps)
        };
        let read = || Ok(self.set.read_outline(index, self.range, outlining, out)? && is_plain(out));
        if !self.outlines.read(read)? {
            return Ok(false);
        }
        self.context.note_outline(out, scratch)?;
        out.drop_stale();
        Ok(true)
    }
}

/// The windows of `selector[range]` over `grid`.
pub(crate) fn select_range<'a>(
    context: &'a Context<'a>,
    width: Width,
    asked: Asked<'_, 'a>,
    grid: Grid,
) -> Result<RangeVector<'a>, EvalError> {
    let selector = asked.selector;
    let fixed = selector.timestamp_ms.is_some();
    let first_end_ms = selector.timestamp_ms.unwrap_or(grid.start_ms) - selector.offset_ms;
    let last_end_ms = if fixed { first_end_ms } else { first_end_ms + (grid.last() - grid.start_ms) };
    let lookback_ms = context.options.lookback_ms;
    let (extension, before, after) = match (selector.anchored, selector.smoothed) {
        (true, _) => (Extension::Anchored, lookback_ms, 0),
        (_, true) => (Extension::Smoothed, lookback_ms, lookback_ms),
        _ => (Extension::None, 0, 0),
    };
    let range = TimeRange::new(
        first_end_ms.saturating_sub(width.range_ms).saturating_sub(before).saturating_add(1),
        last_end_ms.saturating_add(after),
    );
    let lookbacks = Lookbacks {
        first_end_ms: first_end_ms + after,
        step_ms: grid.step_ms,
        count: if fixed { 1 } else { grid.count },
        back_ms: before + width.range_ms + after,
    };
    let step_ms = if grid.count > 1 { grid.step_ms } else { 0 };
    let set = asked.select(context, range, (step_ms, width.range_ms))?;
    Ok(RangeVector {
        samples: Box::new(SelectedSamples {
            context,
            same_schema: same_schema(context, selector, &*set),
            set,
            range,
            summarised: selector.summarised.then_some(lookbacks),
            tables: Refusals::default(),
            outlines: Refusals::default(),
            pos: width.pos,
        }),
        grid,
        range_ms: width.range_ms,
        first_end_ms,
        fixed,
        extension,
        lookback_ms,
        pos: width.pos,
        told_by: width.pos,
        cancel: context.cancel,
    })
}

struct SubquerySamples<'a> {
    inner: Vector<'a>,
    grid: Grid,
}

impl Samples for SubquerySamples<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(index)
    }

    fn nameless(&self) -> bool {
        self.inner.nameless()
    }

    fn drop_name(&self, index: usize) -> bool {
        self.inner.drop_name(index)
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Columns) -> Result<(), EvalError> {
        let mut cells = scratch.take_cells();
        self.inner.read(index, scratch, &mut cells)?;
        for step in 0..cells.len() {
            match cells.get(step) {
                Some(Cell::Float(value)) => {
                    out.timestamps_ms.push(self.grid.time(step));
                    out.values.push(value);
                }
                Some(Cell::Histogram(mut histogram)) => {
                    // The samples between the steps are not seen, so what the storage knew about resets is void.
                    if matches!(
                        histogram.counter_reset_hint,
                        CounterResetHint::CounterReset | CounterResetHint::NotCounterReset
                    ) {
                        Arc::make_mut(&mut histogram).counter_reset_hint = CounterResetHint::Unknown;
                    }
                    out.histogram_timestamps_ms.push(self.grid.time(step));
                    out.histograms.push(histogram);
                }
                None => {}
            }
        }
        scratch.give_cells(cells);
        Ok(())
    }
}

/// From the first inner step to where inner steps end (before the first one, if there is none), for outer steps within
/// `outer`.
pub(crate) fn subquery_span(subquery: SubqueryWidth, outer: TimeRange, default_step_ms: i64) -> TimeRange {
    let first_end_ms = subquery.timestamp_ms.unwrap_or(outer.mint) - subquery.offset_ms;
    let last_end_ms = subquery.timestamp_ms.unwrap_or(outer.maxt) - subquery.offset_ms;
    let step_ms = if subquery.step_ms > 0 { subquery.step_ms } else { default_step_ms };
    // The first multiple of the step behind the left-open start.
    let start_ms = ((first_end_ms.saturating_sub(subquery.range_ms)).div_euclid(step_ms) + 1) * step_ms;
    TimeRange { mint: start_ms, maxt: last_end_ms }
}

/// The times at which the inner expression of a subquery over `grid` is evaluated: multiples of the step.
pub(crate) fn subquery_grid(context: &Context<'_>, subquery: SubqueryWidth, grid: Grid) -> Result<Grid, EvalError> {
    let step_ms = if subquery.step_ms > 0 { subquery.step_ms } else { context.options.default_step_ms };
    let outer = TimeRange { mint: grid.start_ms, maxt: grid.last() };
    let span = subquery_span(subquery, outer, context.options.default_step_ms);
    let inner = Grid::between(span.mint, span.maxt, step_ms);
    if inner.count as u64 > context.options.max_samples {
        return Err(EvalError::TooManySamples);
    }
    // One row of cells and the columns made of it.
    context.hold_bytes(inner.count as u64 * 25)?;
    Ok(inner)
}

/// The windows of a subquery over `grid`, of what its inner expression gives at the times `inner_grid`.
pub(crate) fn subquery<'a>(
    context: &'a Context<'a>,
    subquery: SubqueryWidth,
    (inner, inner_grid): (Vector<'a>, Grid),
    grid: Grid,
) -> RangeVector<'a> {
    RangeVector {
        samples: Box::new(SubquerySamples { inner, grid: inner_grid }),
        grid,
        range_ms: subquery.range_ms,
        first_end_ms: subquery.timestamp_ms.unwrap_or(grid.start_ms) - subquery.offset_ms,
        fixed: subquery.timestamp_ms.is_some(),
        extension: Extension::None,
        lookback_ms: context.options.lookback_ms,
        // As in Prometheus, samples of a subquery have no position in the query.
        pos: PosRange::default(),
        told_by: subquery.pos,
        cancel: context.cancel,
    }
}
