//! What all parts of one evaluation share: storage, limits, remarks.

use super::buffers::KernelBuffers;
use super::meter::{Meter, MeteredSet};
use crate::annotations::Annotations;
use crate::budget::Charge;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, Row};
use crate::kernels::grid::Bounds;
use crate::kernels::window_table::WindowTables;
use crate::names::is_schema;
use crate::options::{Cancel, Kernels, QueryOptions};
use crate::storage::{SelectHints, SeriesSet, Storage};
use crate::value::{QueryStats, ResultUse};
use crate::worker_pool::WorkerPool;
use mytsdb_columns::{Columns, HistogramTable, Outline};
use mytsdb_downsample::Buckets;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql_syntax::PosRange;
use mytsdb_stop::{Canceled, Looks, StopSign};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes of one float cell with its kind.
pub(crate) const CELL_BYTES: u64 = 9;

/// What a selected series takes until the query ends, about: its labels are the storage's, but lists of the storage and of
/// the evaluator refer to it.
const SELECTED_BYTES: u64 = 48;

/// What a row takes beside its cells and the text of its labels: its own fields and the heads of its allocations.
const ROW_BYTES: u64 = size_of::<Row>() as u64 + 32;

pub(crate) struct Context<'a> {
    pub storage: &'a dyn Storage,
    pub options: &'a QueryOptions,
    pub cancel: &'a Cancel,
    /// Which of two twins computes, where there are two.
    pub kernels: Kernels,
    /// Bounds and step of the whole query; 0 for the step of an instant query.
    pub bounds: Bounds,
    /// A single evaluation time: the order of the result is the last function's.
    pub instant: bool,
    charge: Charge,
    annotations: Mutex<Annotations>,
    /// What selectors have asked of the storage, each once.
    asked: Mutex<HashSet<(TimeRange, PosRange)>>,
    /// Something was read whose steps depend on more than their windows. Relaxed: looked at when the rows are there.
    entangled: AtomicBool,
    results: Mutex<ResultUse>,
    /// Tables that nobody reads into now: their memory is used again.
    spare_tables: Mutex<Vec<HistogramTable>>,
    counters: Counters,
}

/// Relaxed throughout: they order nothing.
#[derive(Default)]
struct Counters {
    held: AtomicU64,
    /// Of columns that no series gave, lists of series, and tables.
    extra_bytes: AtomicU64,
    /// Of rows, beside their samples: labels and empty cells.
    row_bytes: AtomicU64,
    peak: AtomicU64,
    samples_read: AtomicU64,
    series_read: AtomicU64,
}

impl<'a> Context<'a> {
    pub fn new(
        storage: &'a dyn Storage,
        options: &'a QueryOptions,
        cancel: &'a Cancel,
        bounds: Bounds,
        instant: bool,
    ) -> Self {
        Self {
            storage,
            options,
            cancel,
            kernels: options.kernels(),
            bounds,
            instant,
            charge: Charge::new(options.memory.clone()),
            annotations: Mutex::default(),
            asked: Mutex::default(),
            entangled: AtomicBool::new(false),
            results: Mutex::default(),
            spare_tables: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// The series of a selection, counted by `meter`.
    pub fn select<'m>(
        &self,
        hints: &SelectHints,
        (matchers, pos): (&[Matcher], PosRange),
        meter: Option<&'m Meter>,
    ) -> Result<Box<dyn SeriesSet + 'm>, EvalError>
    where
        'a: 'm,
    {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert((hints.range, pos));
        let select = || self.storage.select(hints, matchers).map_err(|error| self.reason(error));
        let count = |set: &dyn SeriesSet| self.hold_bytes(set.len() as u64 * SELECTED_BYTES);
        let Some(meter) = meter else {
            return select().and_then(|set| count(&*set).map(|()| set));
        };
        let began = std::time::Instant::now();
        let inner = select()?;
        count(&*inner)?;
        meter.evaluated(began.elapsed(), inner.len());
        meter.found(inner.len());
        Ok(Box::new(MeteredSet { inner, meter }))
    }

    /// What to say about a failure of the storage, which may only have been told to stop.
    fn reason(&self, error: crate::StorageError) -> EvalError {
        self.cancel.check().err().unwrap_or(EvalError::Storage(error))
    }

    /// Does long work that is not reading rows, which counts its steps and looks whether anybody still waits.
    pub fn stoppable<T>(&self, work: impl FnOnce(&mut Looks<'_>) -> Result<T, Canceled>) -> Result<T, EvalError> {
        let keep_going = || self.cancel.check().is_ok();
        let outcome = work(&mut StopSign::new(&keep_going).looks());
        outcome.map_err(|Canceled| self.cancel.check().err().unwrap_or(EvalError::Canceled))
    }

    /// Whether any row may hold histograms.
    pub fn any_histograms(&self, rows: &[Row]) -> Result<bool, EvalError> {
        self.stoppable(|looks| {
            for row in rows {
                looks.before(1)?;
                if row.cells.has_histograms() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Gives back the memory of many things, which takes as long as making them.
    pub fn give_back<T>(&self, things: Vec<T>) -> Result<(), EvalError> {
        self.stoppable(|looks| {
            for thing in things {
                looks.before(1)?;
                drop(thing);
            }
            Ok(())
        })
    }

    /// Gives back rows, and takes back what [`Context::hold_row`] counted for them.
    pub fn give_back_rows(&self, rows: Vec<Row>) -> Result<(), EvalError> {
        self.release(&rows)?;
        self.give_back(rows)
    }

    /// Takes back what [`Context::hold_row`] counted for rows that are not needed any more.
    pub fn release(&self, rows: &[Row]) -> Result<(), EvalError> {
        self.stoppable(|looks| {
            for row in rows {
                looks.before(1 + row.cells.len() / 64)?;
                self.release_row(&row.labels, &row.cells);
            }
            Ok(())
        })
    }

    /// Runs `f` and tells which remarks it made.
    pub fn listen<T>(&self, f: impl FnOnce() -> Result<T, EvalError>) -> Result<(T, Annotations), EvalError> {
        let before = std::mem::take(&mut *lock(&self.annotations));
        let outcome = f();
        let mut all = lock(&self.annotations);
        let found = std::mem::replace(&mut *all, before);
        all.merge(found.clone());
        Ok((outcome?, found))
    }

    /// Runs `f` aside: what is noticed meanwhile is given back, and nobody hears of it unless it is [noticed](Context::notice).
    pub fn aside<T>(&self, f: impl FnOnce() -> T) -> (T, Noticed) {
        let remarks_before = std::mem::take(&mut *lock(&self.annotations));
        let asked_before = std::mem::take(&mut *lock(&self.asked));
        let entangled_before = self.entangled.swap(false, Ordering::Relaxed);
        let outcome = f();
        let entangled = self.entangled.swap(entangled_before, Ordering::Relaxed);
        let asked = std::mem::replace(&mut *lock(&self.asked), asked_before);
        let remarks = std::mem::replace(&mut *lock(&self.annotations), remarks_before);
        (outcome, Noticed { remarks, asked, entangled })
    }

    /// Takes in what was noticed aside.
    pub fn notice(&self, noticed: Noticed) {
        self.annotate(|all| all.merge(noticed.remarks));
        lock(&self.asked).extend(noticed.asked);
        if noticed.entangled {
            self.entangle();
        }
    }

    /// Notes that something was read whose steps depend on more than their windows: histograms, whose hints depend on those before; start
    /// times; series that differ in labels that go away.
    pub fn entangle(&self) {
        if !self.entangled.load(Ordering::Relaxed) {
            self.entangled.store(true, Ordering::Relaxed);
        }
    }

    /// Notes what a selector would have asked of the storage.
    pub fn note_asked(&self, range: TimeRange, pos: PosRange) {
        lock(&self.asked).insert((range, pos));
    }

    /// Counts what came from kept results.
    pub fn count_results(&self, count: impl FnOnce(&mut ResultUse)) {
        count(&mut lock(&self.results));
    }

    /// The threads that help to compute rows, if any do.
    pub fn pool(&self) -> Option<&WorkerPool> {
        self.options.pool.as_ref().filter(|_| self.kernels == Kernels::Columnar)
    }

    /// Counts `samples` as held until they are released.
    pub fn hold(&self, samples: u64) -> Result<(), EvalError> {
        let held = self.counters.held.fetch_add(samples, Ordering::Relaxed) + samples;
        self.counters.peak.fetch_max(held, Ordering::Relaxed);
        self.check_held(held)
    }

    /// Counts a row as held until it is released: its samples, and the memory of its labels and empty cells.
    pub fn hold_row(&self, labels: &Labels, cells: &Cells) -> Result<(), EvalError> {
        let samples = cells.weight();
        self.counters.row_bytes.fetch_add(row_bytes(labels, cells, samples), Ordering::Relaxed);
        self.hold(samples)
    }

    /// [`Context::hold_row`] for a row that was counted before and has become smaller, so that no limit is exceeded.
    pub fn count_row(&self, labels: &Labels, cells: &Cells) {
        let samples = cells.weight();
        self.counters.row_bytes.fetch_add(row_bytes(labels, cells, samples), Ordering::Relaxed);
        self.counters.held.fetch_add(samples, Ordering::Relaxed);
    }

    /// Takes back what [`Context::hold_row`] counted.
    pub fn release_row(&self, labels: &Labels, cells: &Cells) {
        let samples = cells.weight();
        let bytes = row_bytes(labels, cells, samples);
        // Rows that a function made of other rows may not have been counted.
        let Counters { held, row_bytes, .. } = &self.counters;
        held.fetch_sub(samples.min(held.load(Ordering::Relaxed)), Ordering::Relaxed);
        row_bytes.fetch_sub(bytes.min(row_bytes.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Counts bytes that stay until the query ends: columns as long as the grid that no series gave.
    pub fn hold_bytes(&self, bytes: u64) -> Result<(), EvalError> {
        self.counters.extra_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.check_held(self.counters.held.load(Ordering::Relaxed))
    }

    /// Counts bytes until the [`Hold`] is dropped.
    pub fn hold_table(&self, bytes: u64) -> Result<Hold<'_>, EvalError> {
        let hold = Hold { counters: &self.counters, bytes };
        self.hold_bytes(bytes)?;
        Ok(hold)
    }

    /// What is counted as held now.
    pub fn held(&self) -> Held {
        let Counters { held, extra_bytes, row_bytes, .. } = &self.counters;
        let [samples, extra_bytes, row_bytes] = [held, extra_bytes, row_bytes].map(|c| c.load(Ordering::Relaxed));
        Held { samples, extra_bytes, row_bytes }
    }

    /// Counts as held what was held `before`: everything that came since is gone, and nobody else of this query is
    /// computing.
    pub fn back_to(&self, before: &Held) {
        self.counters.held.store(before.samples, Ordering::Relaxed);
        self.counters.extra_bytes.store(before.extra_bytes, Ordering::Relaxed);
        self.counters.row_bytes.store(before.row_bytes, Ordering::Relaxed);
    }

    fn check_held(&self, held: u64) -> Result<(), EvalError> {
        if held > self.options.max_samples {
            return Err(EvalError::TooManySamples);
        }
        let others =
            self.counters.extra_bytes.load(Ordering::Relaxed) + self.counters.row_bytes.load(Ordering::Relaxed);
        let bytes = held.saturating_mul(CELL_BYTES).saturating_add(others);
        if bytes > self.options.max_bytes {
            return Err(EvalError::TooManyBytes { limit_bytes: self.options.max_bytes });
        }
        self.charge.cover(bytes)
    }

    /// Counts the samples of one series, which are held only while its row is computed. The counts go to the totals with
    /// the scratch.
    pub fn note_read(&self, columns: &mut Columns, scratch: &mut Scratch<'_>) -> Result<(), EvalError> {
        if !self.options.use_start_timestamps {
            columns.start_timestamps_ms.clear();
            columns.histogram_start_timestamps_ms.clear();
        }
        if !columns.histograms.is_empty() || !columns.start_timestamps_ms.is_empty() {
            self.entangle();
        }
        let histograms: u64 = columns.histograms.iter().map(|h| crate::kernels::cells::weight(h)).sum();
        self.note_samples(columns.timestamps_ms.len() as u64 + histograms, scratch)
    }

    fn note_samples(&self, samples: u64, scratch: &mut Scratch<'_>) -> Result<(), EvalError> {
        scratch.samples_read += samples;
        scratch.series_read += 1;
        let held = self.counters.held.load(Ordering::Relaxed) + samples;
        scratch.peak = scratch.peak.max(held);
        self.check_held(held)
    }

    /// The same for buckets, of which what is computed is not to be kept: exact samples answer otherwise.
    pub fn note_buckets(&self, buckets: &Buckets, scratch: &mut Scratch<'_>) -> Result<(), EvalError> {
        self.entangle();
        self.note_samples(buckets.len() as u64, scratch)
    }

    /// The same for samples of an outline, which are floats; those of stretches count as if they had been read.
    pub fn note_outline(&self, outline: &mut Outline, scratch: &mut Scratch<'_>) -> Result<(), EvalError> {
        let starts = &mut outline.columns.start_timestamps_ms;
        if !self.options.use_start_timestamps {
            starts.clear();
        }
        if !starts.is_empty() {
            self.entangle();
        }
        self.note_samples(outline.len() as u64, scratch)
    }

    /// The same for samples that were read into a table and count for `weight` samples.
    pub fn note_table(
        &self,
        table: &mut HistogramTable,
        weight: u64,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), EvalError> {
        if !self.options.use_start_timestamps {
            table.forget_starts();
        }
        self.entangle();
        self.note_samples(weight, scratch)
    }

    pub fn scratch(&self) -> Scratch<'_> {
        Scratch {
            annotations: Annotations::default(),
            tables: WindowTables::default(),
            buffers: KernelBuffers::default(),
            table: None,
            outline: Outline::default(),
            spare_tables: &self.spare_tables,
            columns: Vec::new(),
            cells: Vec::new(),
            samples_read: 0,
            series_read: 0,
            peak: 0,
            sink: &self.annotations,
            counters: &self.counters,
        }
    }

    /// Adds remarks.
    pub fn annotate(&self, add: impl FnOnce(&mut Annotations)) {
        add(&mut lock(&self.annotations));
    }

    /// Adds what the storage has to say about the times that were asked for.
    fn warn_of_storage(&self) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked: Vec<(TimeRange, PosRange)> = asked.iter().copied().collect();
        asked.sort_by_key(|(range, pos)| (pos.start, range.mint, range.maxt));
        for (range, pos) in asked {
            for warning in self.storage.warnings(range) {
                self.annotate(|annotations| annotations.warn(warning, pos));
            }
        }
    }

    pub fn finish(self) -> (Annotations, QueryStats) {
        self.warn_of_storage();
        let stats = QueryStats {
            samples_read: self.counters.samples_read.into_inner(),
            samples_peak: self.counters.peak.into_inner(),
            series_read: self.counters.series_read.into_inner(),
            results: self.results.into_inner().unwrap_or_else(PoisonError::into_inner),
        };
        (self.annotations.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), stats)
    }

    /// Labels and flag of a series whose metric name a function takes away: now, or at the end.
    pub fn without_name(&self, labels: &Labels) -> (Labels, bool) {
        if self.options.delayed_name_removal { (labels.clone(), true) } else { (drop_schema(labels), false) }
    }
}

/// Memory of a row beside its `samples`.
fn row_bytes(labels: &Labels, cells: &Cells, samples: u64) -> u64 {
    let empty = (cells.len() as u64).saturating_sub(samples);
    empty * CELL_BYTES + labels.as_bytes().len() as u64 + ROW_BYTES
}

/// What was noticed by a part of an evaluation.
pub(crate) struct Noticed {
    remarks: Annotations,
    asked: HashSet<(TimeRange, PosRange)>,
    entangled: bool,
}

impl Noticed {
    /// Whether there is nothing to remark, and each step depends on its windows alone.
    pub fn is_clean(&self) -> bool {
        self.remarks.is_empty() && !self.entangled
    }
}

/// What a query held at some moment.
pub(crate) struct Held {
    samples: u64,
    extra_bytes: u64,
    row_bytes: u64,
}

/// Bytes that are counted as held as long as this lives.
pub(crate) struct Hold<'c> {
    counters: &'c Counters,
    bytes: u64,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.counters.extra_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The labels without those that describe the metric as a whole.
pub(crate) fn drop_schema(labels: &Labels) -> Labels {
    labels.filter(|name| !is_schema(name))
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Buffers that are reused from row to row, and the remarks of one reader.
pub(crate) struct Scratch<'c> {
    pub annotations: Annotations,
    /// Windows of the last columns; see invariant T there.
    pub tables: WindowTables,
    pub buffers: KernelBuffers,
    table: Option<HistogramTable>,
    outline: Outline,
    spare_tables: &'c Mutex<Vec<HistogramTable>>,
    columns: Vec<Columns>,
    cells: Vec<Cells>,
    /// What was read and not yet counted.
    samples_read: u64,
    series_read: u64,
    peak: u64,
    sink: &'c Mutex<Annotations>,
    counters: &'c Counters,
}

impl Scratch<'_> {
    pub fn take_columns(&mut self) -> Columns {
        let mut columns = self.columns.pop().unwrap_or_default();
        columns.clear();
        columns
    }

    pub fn give_columns(&mut self, columns: Columns) {
        self.columns.push(columns);
    }

    /// A table; who takes it gives it back when the row is read.
    pub fn take_table(&mut self) -> HistogramTable {
        let known = self.table.take();
        let mut table = known.or_else(|| lock(self.spare_tables).pop()).unwrap_or_default();
        table.clear();
        table
    }

    pub fn give_table(&mut self, table: HistogramTable) {
        self.table = Some(table);
    }

    /// Buckets, none of them; who takes them gives them back when the row is read.
    pub fn take_buckets(&mut self) -> Buckets {
        let mut buckets = std::mem::take(&mut self.buffers.downsampled);
        buckets.clear();
        buckets
    }

    pub fn give_buckets(&mut self, buckets: Buckets) {
        self.buffers.downsampled = buckets;
    }

    /// An outline; who takes it gives it back when the row is read.
    pub fn take_outline(&mut self) -> Outline {
        std::mem::take(&mut self.outline)
    }

    pub fn give_outline(&mut self, outline: Outline) {
        self.outline = outline;
    }

    pub fn take_cells(&mut self) -> Cells {
        self.cells.pop().unwrap_or_default()
    }

    pub fn give_cells(&mut self, cells: Cells) {
        self.cells.push(cells);
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let Some(table) = self.table.take() {
            lock(self.spare_tables).push(table);
        }
        if self.series_read > 0 {
            self.counters.samples_read.fetch_add(self.samples_read, Ordering::Relaxed);
            self.counters.series_read.fetch_add(self.series_read, Ordering::Relaxed);
            self.counters.peak.fetch_max(self.peak, Ordering::Relaxed);
        }
        if !self.annotations.is_empty() {
            lock(self.sink).merge(std::mem::take(&mut self.annotations));
        }
    }
}
