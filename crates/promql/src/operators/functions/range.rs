//! Functions of range vectors: rows whose cells are computed window by window.

use crate::error::EvalError;
use crate::kernels::buckets;
use crate::kernels::cells::{Cells, EMPTY};
use crate::kernels::columns::{self, SumBuffers};
use crate::kernels::integral::Strategy;
use crate::kernels::kernel::Kernel;
use crate::kernels::outlines;
use crate::kernels::remarks;
use crate::kernels::scalar::Scalar;
use crate::kernels::sliding;
use crate::kernels::tables;
use crate::kernels::window::{Extension, Remarks};
use crate::kernels::window_table::{TABLE_SAMPLES_MAX, WindowTables, Windows};
use crate::names::is_counter_name;
use crate::operators::mapped::settle_names;
use crate::operators::reference::windows::ByWindow;
use crate::options::Kernels;
use crate::rows::buffers::KernelBuffers;
use crate::rows::context::{Context, Scratch};
use crate::rows::range_vector::RangeVector;
use crate::rows::vector::{Rows, Vector};
use crate::storage::SeriesSet;
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_downsample::Buckets;
use mytsdb_model::{Labels, TimeRange};
use mytsdb_promql_syntax::{Function, LabelUse, PosRange};

/// A function of windows.
#[derive(Clone, Copy)]
pub(crate) struct WindowFunction {
    pub kernel: Kernel,
    pub function: Function,
    /// Place of the first number in the query.
    pub parameter: Option<PosRange>,
}

impl WindowFunction {
    /// Which argument is the range vector.
    pub fn range_index(kernel: Kernel) -> usize {
        usize::from(kernel == Kernel::Quantile)
    }
}

/// Computes each window of `vector` with the numbers of its step.
pub(crate) fn each_window<'a>(
    context: &'a Context<'a>,
    WindowFunction { kernel, function, parameter }: WindowFunction,
    mut vector: RangeVector<'a>,
    scalars: Vec<Scalar>,
) -> Result<Vector<'a>, EvalError> {
    if let (Kernel::Quantile, Some(parameter)) = (kernel, parameter) {
        // Whatever is remarked is shown at the parameter.
        vector.pos = parameter;
    }
    if kernel == Kernel::DoubleExponential {
        check_factors(context, &vector, &scalars)?;
    }
    let row = function.row();
    let keeps_name = row.labels == LabelUse::Keeps;
    let delayed = context.options.delayed_name_removal;
    // Series that had no names before were told apart without.
    let settled = keeps_name || vector.samples.nameless();
    let one_name = vector.samples.same_schema() && !vector.samples.nameless() && vector.samples.len() > 0;
    let metric = one_name.then(|| vector.samples.labels(0).metric_name().to_owned());
    let doubts_counters = row.wants_counter && !metric.as_deref().is_some_and(is_counter_name);
    let optimise = context.kernels == Kernels::Columnar;
    let is_coarse = vector.samples.series_set().is_some_and(|set| set.downsampled().is_some());
    let reads_buckets = is_coarse && vector.extension == Extension::None && buckets::has_kernel(kernel);
    let mut rows = RangeRows {
        vector,
        kernel,
        scalars,
        parameter,
        metric,
        doubts_counters,
        keeps_name,
        delayed,
        optimise,
        reads_buckets,
        outlined: None,
    };
    // Statistics of chunks are no buckets: where there are these, all is read in one way.
    if context.options.optimisations.outlines && !is_coarse {
        rows.outlined = rows.outlined_windows();
    }
    let rows = Vector::Lazy(Box::new(rows));
    if settled { Ok(rows) } else { settle_names(context, rows) }
}

/// Refuses factors that are not between 0 and 1, at the first step at which a series has samples.
fn check_factors(context: &Context<'_>, vector: &RangeVector<'_>, scalars: &[Scalar]) -> Result<(), EvalError> {
    let refusal = |step: usize| {
        scalars.iter().zip(["smoothing", "trend"]).find_map(|(scalar, what)| {
            let value = scalar.at(step);
            let letter = if what == "smoothing" { "sf" } else { "tf" };
            (value <= 0.0 || value >= 1.0)
                .then(|| format!("invalid {what} factor. Expected: 0 < {letter} < 1, got: {value:.6}"))
        })
    };
    let grid = vector.grid;
    if (0..grid.count).all(|step| refusal(step).is_none()) {
        return Ok(());
    }
    let mut scratch = context.scratch();
    let mut cells = Cells::empty(grid.count);
    for index in 0..vector.samples.len() {
        let mut columns = scratch.take_columns();
        vector.samples.read(index, &mut scratch, &mut columns)?;
        let mut found = None;
        let mut remarks =
            Remarks { annotations: &mut scratch.annotations, metric: "", pos: vector.pos, told_by: vector.told_by };
        vector.run(&columns, &mut cells, &mut remarks, true, |w, _| {
            found = found.take().or_else(|| refusal(((w.eval_ms - grid.start_ms) / grid.step_ms.max(1)) as usize));
            None
        });
        scratch.give_columns(columns);
        if let Some(message) = found {
            return Err(EvalError::Execution(message));
        }
    }
    Ok(())
}

/// Chunks of a few samples are decoded as fast as their statistics are read: no outlines of windows that may hold no larger ones.
const OUTLINED_RANGE_MS_MIN: i64 = 10 * 60_000;

/// What came of asking for an outline.
enum Outlined {
    /// The row is computed.
    Computed,
    /// There are all samples, and the row is to be computed from them.
    Read,
    /// The samples are to be read.
    Refused,
}

struct RangeRows<'a> {
    vector: RangeVector<'a>,
    kernel: Kernel,
    scalars: Vec<Scalar>,
    /// Place of the first of them in the query.
    parameter: Option<PosRange>,
    /// The metric name of all series, if they have the same.
    metric: Option<String>,
    /// The metric names have to be looked at, whether they are those of counters.
    doubts_counters: bool,
    /// The metric name survives.
    keeps_name: bool,
    /// Names are dropped at the end of the evaluation.
    delayed: bool,
    /// Kernels over whole columns may run.
    optimise: bool,
    /// Where there are buckets in place of samples, they are computed with.
    reads_buckets: bool,
    /// The windows, if the storage is asked for outlines; a single one if all have the same.
    outlined: Option<Windows>,
}

impl Rows for RangeRows<'_> {
    fn len(&self) -> usize {
        self.vector.samples.len()
    }

    fn steps(&self) -> usize {
        self.vector.grid.count
    }

    fn height(&self) -> usize {
        1 + self.vector.samples.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.vector.samples.labels(index)
    }

    fn nameless(&self) -> bool {
        self.vector.samples.nameless() || (!self.keeps_name && !self.delayed)
    }

    fn same_schema(&self) -> bool {
        self.vector.samples.same_schema()
    }

    fn series_set(&self) -> Option<&dyn SeriesSet> {
        self.vector.samples.series_set()
    }

    fn drop_name(&self, index: usize) -> bool {
        if self.keeps_name { self.vector.samples.drop_name(index) } else { self.delayed }
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        if self.has_table_kernel() {
            let mut table = scratch.take_table();
            let is_read = self.vector.samples.read_table(index, scratch, &mut table)?;
            if is_read {
                self.compute_table(index, &table, scratch, out);
            }
            scratch.give_table(table);
            if is_read {
                return Ok(());
            }
        }
        if self.reads_buckets {
            let mut buckets = scratch.take_buckets();
            let is_read = self.vector.samples.read_buckets(index, scratch, &mut buckets)?;
            if is_read {
                self.compute_buckets(index, &buckets, scratch, out);
            }
            scratch.give_buckets(buckets);
            if is_read {
                return Ok(());
            }
        }
        let mut columns = scratch.take_columns();
        match self.read_outline(index, scratch, &mut columns, out)? {
            Outlined::Computed => {
                scratch.give_columns(columns);
                return Ok(());
            }
            Outlined::Read => {}
            Outlined::Refused => self.vector.samples.read(index, scratch, &mut columns)?,
        }
        let metric = self.metric_of(index);
        let (pos, told_by) = (self.vector.pos, self.vector.told_by);
        let mut remarks = Remarks { annotations: &mut scratch.annotations, metric, pos, told_by };
        if !self.compute_column(&mut columns, &mut scratch.tables, &mut scratch.buffers, out) {
            let by_window = ByWindow { vector: &self.vector, kernel: self.kernel, scalars: &self.scalars };
            by_window.compute(&columns, out, &mut remarks);
        }
        if self.doubts_counters {
            note_doubtful_counter(&mut remarks, out);
        }
        match self.kernel {
            Kernel::Quantile => self.note_invalid_quantiles(&mut remarks, out),
            Kernel::Integral => self.note_unknown_strategies(&mut remarks, out),
            _ => {}
        }
        scratch.give_columns(columns);
        Ok(())
    }
}

/// Remarks on names that are not those of counters, if floats came out.
fn note_doubtful_counter(remarks: &mut Remarks<'_>, out: &Cells) {
    if !remarks.metric.is_empty()
        && !is_counter_name(remarks.metric)
        && out.kinds.contains(&crate::kernels::cells::FLOAT)
    {
        remarks.maybe_not_a_counter();
    }
}

impl RangeRows<'_> {
    /// Remarks on quantiles that are none, at the steps that have a result.
    fn note_invalid_quantiles(&self, remarks: &mut Remarks<'_>, out: &Cells) {
        let mut last = None;
        for step in 0..out.len() {
            let q = self.scalars[0].at(step);
            if out.kinds[step] != EMPTY && !(0.0..=1.0).contains(&q) && last != Some(q.to_bits()) {
                last = Some(q.to_bits());
                remarks::invalid_quantile(remarks.annotations, q, remarks.pos, remarks.told_by);
            }
        }
    }

    /// Remarks on strategies of integration that there are not, at the steps that have a result.
    fn note_unknown_strategies(&self, remarks: &mut Remarks<'_>, out: &Cells) {
        let (Some(strategies), Some(pos)) = (self.scalars.first(), self.parameter) else { return };
        let mut last = None;
        for step in (0..out.len()).filter(|&step| out.kinds[step] != EMPTY) {
            let strategy = strategies.at(step);
            if Strategy::new(strategy).is_none() && last != Some(strategy.to_bits()) {
                last = Some(strategy.to_bits());
                remarks::unknown_strategy(remarks.annotations, strategy, pos, remarks.told_by);
            }
        }
    }

    /// The windows of all steps, unless all have the same.
    fn windows(&self) -> Windows {
        let v = &self.vector;
        Windows { first_end_ms: v.first_end_ms, step_ms: v.grid.step_ms, range_ms: v.range_ms, steps: v.grid.count }
    }

    /// The metric name of a series, for remarks.
    fn metric_of(&self, index: usize) -> &str {
        let samples = &self.vector.samples;
        match &self.metric {
            Some(metric) => metric,
            None if samples.nameless() => "",
            None => samples.labels(index).metric_name(),
        }
    }

    /// The windows for which outlines will do: wide ones that have no sample in common.
    fn outlined_windows(&self) -> Option<Windows> {
        let v = &self.vector;
        let windows = if v.fixed { Windows { steps: 1, ..self.windows() } } else { self.windows() };
        let does = self.optimise
            && outlines::is_outlined(self.kernel)
            && v.extension == Extension::None
            && v.range_ms >= OUTLINED_RANGE_MS_MIN
            && outlines::are_apart(windows);
        does.then_some(windows)
    }

    /// Computes a row from an outline, if that has stretches; else gives the samples, if the outline is all of them.
    fn read_outline(
        &self,
        index: usize,
        scratch: &mut Scratch<'_>,
        columns: &mut Columns,
        out: &mut Cells,
    ) -> Result<Outlined, EvalError> {
        let Some(windows) = self.outlined else { return Ok(Outlined::Refused) };
        let is_whole = |range: TimeRange| outlines::hold_whole(windows, range);
        let outlining = Outlining { is_whole: &is_whole, without_resets: outlines::needs_resets(self.kernel) };
        let mut outline = scratch.take_outline();
        let is_read = self.vector.samples.read_outline(index, scratch, &outlining, &mut outline)?;
        let outlined = match (is_read, outline.stretches()) {
            (false, _) => Outlined::Refused,
            (true, []) => {
                std::mem::swap(columns, &mut outline.columns);
                Outlined::Read
            }
            (true, _) => {
                self.compute_outline(index, windows, &outline, scratch, out);
                Outlined::Computed
            }
        };
        scratch.give_outline(outline);
        Ok(outlined)
    }

    /// Computes a row of floats of which some are known by their statistics alone.
    fn compute_outline(
        &self,
        index: usize,
        windows: Windows,
        outline: &Outline,
        scratch: &mut Scratch<'_>,
        out: &mut Cells,
    ) {
        outlines::compute(windows, self.kernel, outline, out);
        if windows.steps < self.vector.grid.count {
            out.broadcast(self.vector.grid.count);
        }
        if self.doubts_counters {
            let (pos, told_by, metric) = (self.vector.pos, self.vector.told_by, self.metric_of(index));
            let mut remarks = Remarks { annotations: &mut scratch.annotations, metric, pos, told_by };
            note_doubtful_counter(&mut remarks, out);
        }
    }

    /// Whether there is a kernel over tables of histograms for this one.
    fn has_table_kernel(&self) -> bool {
        self.optimise
            && matches!(self.kernel, Kernel::Increase { .. } | Kernel::Instantaneous { .. } | Kernel::Resets)
            && self.vector.extension == Extension::None
            && !self.vector.fixed
    }

    /// Computes a row of nothing but histograms, which are in a table.
    fn compute_table(&self, index: usize, table: &HistogramTable, scratch: &mut Scratch<'_>, out: &mut Cells) {
        let (pos, told_by) = (self.vector.pos, self.vector.told_by);
        let metric = self.metric_of(index);
        let mut remarks = Remarks { annotations: &mut scratch.annotations, metric, pos, told_by };
        let KernelBuffers { table_windows, numbers, .. } = &mut scratch.buffers;
        let windows = (self.windows(), self.vector.cancel);
        match self.kernel {
            Kernel::Increase { counter, rate } => {
                let buffers = (table_windows, numbers);
                tables::extrapolated(windows, table, (counter, rate), buffers, out, &mut remarks);
            }
            Kernel::Instantaneous { rate } => tables::instantaneous(windows, table, rate, out, &mut remarks),
            _ => tables::resets(windows, table, out),
        }
        if self.doubts_counters {
            note_doubtful_counter(&mut remarks, out);
        }
    }

    /// Computes a row of which some samples are there as buckets.
    fn compute_buckets(&self, index: usize, buckets: &Buckets, scratch: &mut Scratch<'_>, out: &mut Cells) {
        let (v, count) = (&self.vector, self.vector.grid.count);
        let windows = Windows { steps: if v.fixed { count.min(1) } else { count }, ..self.windows() };
        let widest_ms = buckets::over_windows(self.kernel, windows, buckets, v.cancel, out);
        let metric = self.metric_of(index);
        let mut remarks = Remarks { annotations: &mut scratch.annotations, metric, pos: v.pos, told_by: v.told_by };
        if widest_ms > 0 {
            let step_ms = if windows.steps > 1 { windows.step_ms } else { 0 };
            let is_whole = [windows.first_end_ms, step_ms, windows.range_ms].iter().all(|ms| ms % widest_ms == 0);
            remarks.used_buckets(widest_ms, is_whole);
        }
        if windows.steps < count {
            out.broadcast(count);
        }
        if self.doubts_counters {
            note_doubtful_counter(&mut remarks, out);
        }
    }

    /// Whether there is a kernel over whole columns for this one.
    fn has_column_kernel(&self, columns: &Columns) -> bool {
        match self.kernel {
            Kernel::Increase { counter: true, .. } | Kernel::Instantaneous { rate: true } | Kernel::Resets => {
                columns.start_timestamps_ms.is_empty()
            }
            Kernel::Avg
            | Kernel::Changes
            | Kernel::Count
            | Kernel::First
            | Kernel::Increase { counter: false, .. }
            | Kernel::Instantaneous { rate: false }
            | Kernel::Last
            | Kernel::Max
            | Kernel::Min
            | Kernel::Present
            | Kernel::Quantile
            | Kernel::Sum
            | Kernel::TimeOfFirst
            | Kernel::TimeOfLast => true,
            _ => false,
        }
    }

    /// Computes a row of nothing but floats column by column; `false` if it has to be done window by window.
    fn compute_column(
        &self,
        columns: &mut Columns,
        tables: &mut WindowTables,
        buffers: &mut KernelBuffers,
        out: &mut Cells,
    ) -> bool {
        let (v, windows) = (&self.vector, self.windows());
        if !self.optimise {
            return false;
        }
        let plain = columns.histograms.is_empty() && !v.fixed && v.extension == Extension::None;
        if let (Kernel::Increase { counter, rate }, true, 1) = (self.kernel, plain, windows.steps)
            && columns.start_timestamps_ms.is_empty()
            && columns.values.len() < TABLE_SAMPLES_MAX
        {
            let window = (v.first_end_ms - v.range_ms, v.first_end_ms);
            let samples = (&columns.timestamps_ms[..], &columns.values[..]);
            out.reset(1);
            if let Some(value) = columns::extrapolated_once(window, samples, (counter, rate), &mut buffers.known_factor)
            {
                out.set(0, value);
            }
            return true;
        }
        if let (Kernel::Max | Kernel::Min, true, 1) = (self.kernel, plain, windows.steps) {
            let window = (v.first_end_ms - v.range_ms, v.first_end_ms);
            let values = &columns.values[columns::places_within(window, &columns.timestamps_ms)];
            out.reset(1);
            if !values.is_empty() {
                let is_max = self.kernel == Kernel::Max;
                out.set(0, if is_max { sliding::extreme::<true>(values) } else { sliding::extreme::<false>(values) });
            }
            return true;
        }
        if !plain || !windows.fit_table(columns.values.len()) || !self.has_column_kernel(columns) {
            return false;
        }
        if columns.values.is_empty() {
            out.reset(windows.steps);
            return true;
        }
        let table = tables.get(windows, &mut columns.timestamps_ms);
        let values = &columns.values[..];
        let KernelBuffers { indexes, numbers, prefix, .. } = buffers;
        let done = match self.kernel {
            Kernel::Increase { counter, rate } => {
                columns::extrapolated(table, values, counter, rate, indexes, out);
                true
            }
            Kernel::Instantaneous { rate } => {
                columns::instantaneous(table, values, rate, out);
                true
            }
            Kernel::Sum | Kernel::Avg => {
                let mut buffers = SumBuffers { rare: indexes, prefix, cancel: v.cancel };
                columns::sums(table, values, self.kernel == Kernel::Avg, &mut buffers, out)
            }
            Kernel::Max => {
                sliding::extremes::<true>(table, values, numbers, indexes, out);
                true
            }
            Kernel::Min => {
                sliding::extremes::<false>(table, values, numbers, indexes, out);
                true
            }
            Kernel::Quantile => sliding::quantiles(table, values, |step| self.scalars[0].at(step), numbers, out),
            Kernel::Changes => {
                let changed = |a: f64, b: f64| (a != b) & !(a.is_nan() & b.is_nan());
                columns::events(table, values, changed, indexes, out);
                true
            }
            Kernel::Resets => {
                columns::events(table, values, |a, b| b < a, indexes, out);
                true
            }
            Kernel::First | Kernel::Last => {
                columns::edge(table, values, self.kernel == Kernel::Last, out);
                true
            }
            Kernel::TimeOfFirst | Kernel::TimeOfLast => {
                columns::edge_time(table, self.kernel == Kernel::TimeOfLast, out);
                true
            }
            Kernel::Count => {
                columns::count(table, out);
                true
            }
            Kernel::Present => {
                columns::present(table, out);
                true
            }
            _ => false,
        };
        if !done {
            // The table may have taken the times.
            columns.timestamps_ms.clear();
            columns.timestamps_ms.extend_from_slice(table.times());
        }
        done
    }
}
