//! What all parts of one evaluation share: storage, limits, remarks.

use super::cells::{Cells, Row};
use super::prepare::Bounds;
use super::window_table::{KernelBuffers, WindowTables};
use crate::annotations::Annotations;
use crate::error::EvalError;
use crate::options::{Cancel, QueryOptions};
use crate::pos::PosRange;
use crate::storage::{Columns, Storage};
use crate::value::QueryStats;
use mytsdb_model::{LABEL_NAME, Labels};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of one float cell with its kind.
const CELL_BYTES: u64 = 9;

pub(crate) struct Context<'a> {
    pub storage: &'a dyn Storage,
    pub options: &'a QueryOptions,
    pub cancel: &'a Cancel,
    /// Bounds and step of the whole query; 0 for the step of an instant query.
    pub query_start_ms: i64,
    pub query_end_ms: i64,
    pub query_step_ms: i64,
    /// Places of selectors whose histograms are only summarised.
    pub summarised: HashSet<PosRange>,
    /// A single evaluation time: the order of the result is the last function's.
    pub instant: bool,
    annotations: Mutex<Annotations>,
    counters: Counters,
}

/// Relaxed throughout: they order nothing.
#[derive(Default)]
struct Counters {
    held: AtomicU64,
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
        summarised: HashSet<PosRange>,
        instant: bool,
    ) -> Self {
        Self {
            storage,
            options,
            cancel,
            query_start_ms: bounds.start_ms,
            query_end_ms: bounds.end_ms,
            query_step_ms: bounds.step_ms,
            summarised,
            instant,
            annotations: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Threads that may compute rows at the same time.
    pub const fn threads(&self) -> usize {
        if self.options.optimise { self.options.threads } else { 1 }
    }

    /// Counts `samples` as held until they are released.
    pub fn hold(&self, samples: u64) -> Result<(), EvalError> {
        let held = self.counters.held.fetch_add(samples, Ordering::Relaxed) + samples;
        self.counters.peak.fetch_max(held, Ordering::Relaxed);
        self.check_held(held)
    }

    /// Takes back what [`Context::hold`] counted for `rows` that are not needed any more.
    pub fn release(&self, rows: &[Row]) {
        let samples: u64 = rows.iter().map(|row| row.cells.weight()).sum();
        let held = self.counters.held.load(Ordering::Relaxed);
        // Rows that a function made of other rows may not have been counted.
        self.counters.held.fetch_sub(samples.min(held), Ordering::Relaxed);
    }

    fn check_held(&self, held: u64) -> Result<(), EvalError> {
        if held > self.options.max_samples {
            return Err(EvalError::TooManySamples);
        }
        if held.saturating_mul(CELL_BYTES) > self.options.max_bytes {
            return Err(EvalError::TooManyBytes { limit_bytes: self.options.max_bytes });
        }
        Ok(())
    }

    /// Counts the samples of one series, which are held only while its row is computed. The counts go to the totals with
    /// the scratch.
    pub fn note_read(&self, columns: &Columns, scratch: &mut Scratch<'_>) -> Result<(), EvalError> {
        let histograms: u64 = columns.histograms.iter().map(|h| super::cells::weight(h)).sum();
        let samples = columns.timestamps_ms.len() as u64 + histograms;
        scratch.samples_read += samples;
        scratch.series_read += 1;
        let held = self.counters.held.load(Ordering::Relaxed) + samples;
        scratch.peak = scratch.peak.max(held);
        self.check_held(held)
    }

    pub fn scratch(&self) -> Scratch<'_> {
        Scratch {
            annotations: Annotations::default(),
            tables: WindowTables::default(),
            buffers: KernelBuffers::default(),
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

    pub fn finish(self) -> (Annotations, QueryStats) {
        let stats = QueryStats {
            samples_read: self.counters.samples_read.into_inner(),
            samples_peak: self.counters.peak.into_inner(),
            series_read: self.counters.series_read.into_inner(),
        };
        (self.annotations.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), stats)
    }

    /// Labels and flag of a series whose metric name a function takes away: now, or at the end.
    pub fn without_name(&self, labels: &Labels) -> (Labels, bool) {
        if self.options.delayed_name_removal { (labels.clone(), true) } else { (drop_schema(labels), false) }
    }
}

/// The labels without those that describe the metric as a whole.
pub(crate) fn drop_schema(labels: &Labels) -> Labels {
    labels.filter(|name| !is_schema(name))
}

/// Labels that go away with the metric name.
pub(crate) const SCHEMA_LABELS: [&str; 3] = [LABEL_NAME, "__type__", "__unit__"];

/// Whether a label goes away with the metric name.
pub(crate) fn is_schema(name: &str) -> bool {
    SCHEMA_LABELS.contains(&name)
}

fn lock(annotations: &Mutex<Annotations>) -> std::sync::MutexGuard<'_, Annotations> {
    annotations.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Buffers that are reused from row to row, and the remarks of one reader.
pub(crate) struct Scratch<'c> {
    pub annotations: Annotations,
    /// Windows of the last columns; see invariant T there.
    pub tables: WindowTables,
    pub buffers: KernelBuffers,
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

    pub fn take_cells(&mut self) -> Cells {
        self.cells.pop().unwrap_or_default()
    }

    pub fn give_cells(&mut self, cells: Cells) {
        self.cells.push(cells);
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
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
