//! One row of steps: a value or nothing for each.

use mytsdb_histogram::FloatHistogram;
use mytsdb_model::Labels;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

/// What a cell holds.
pub(crate) const EMPTY: u8 = 0;
pub(crate) const FLOAT: u8 = 1;
pub(crate) const HISTOGRAM: u8 = 2;

/// The cells of one series. `kinds[i]` says whether step `i` has a float, a histogram or nothing.
///
/// A step or two, as instant queries have, need no allocation: they fit into the space that a vector takes anyway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cells {
    pub kinds: SmallVec<[u8; 16]>,
    pub values: SmallVec<[f64; 2]>,
    /// Empty as long as there are only floats, else as long as `kinds`.
    pub histograms: Vec<Option<Arc<FloatHistogram>>>,
}

/// A sample of either kind.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Cells {
    pub fn empty(count: usize) -> Self {
        let mut cells = Self::default();
        cells.reset(count);
        cells
    }

    /// Empties all cells and sets their number.
    pub fn reset(&mut self, count: usize) {
        self.kinds.clear();
        self.kinds.resize(count, EMPTY);
        self.values.resize(count, 0.0);
        self.histograms.clear();
    }

    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    pub fn is_blank(&self) -> bool {
        // Mostly the first cell decides it.
        self.kinds.first().is_none_or(|&k| k == EMPTY) && self.kinds.iter().fold(EMPTY, |all, &k| all | k) == EMPTY
    }

    /// Whether every cell holds a float.
    pub fn all_floats(&self) -> bool {
        self.kinds.iter().fold(0, |differing, &kind| differing | (kind ^ FLOAT)) == 0
    }

    /// The longest ranges of steps with nothing but floats.
    pub fn float_runs(&self) -> impl Iterator<Item = Range<usize>> {
        let mut at = 0;
        if self.all_floats() {
            at = self.len();
        }
        let whole = (at > 0).then_some(0..at);
        whole.into_iter().chain(std::iter::from_fn(move || {
            let start = at + self.kinds[at..].iter().position(|&kind| kind == FLOAT)?;
            let end = self.kinds[start..].iter().position(|&kind| kind != FLOAT).map_or(self.len(), |n| start + n);
            at = end;
            Some(start..end)
        }))
    }

    pub fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    #[inline]
    pub fn set(&mut self, index: usize, value: f64) {
        self.kinds[index] = FLOAT;
        self.values[index] = value;
    }

    pub fn set_histogram(&mut self, index: usize, histogram: Arc<FloatHistogram>) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.kinds.len(), None);
        }
        self.kinds[index] = HISTOGRAM;
        self.histograms[index] = Some(histogram);
    }

    pub fn set_cell(&mut self, index: usize, cell: Cell) {
        match cell {
            Cell::Float(value) => self.set(index, value),
            Cell::Histogram(histogram) => self.set_histogram(index, histogram),
        }
    }

    pub fn clear(&mut self, index: usize) {
        self.kinds[index] = EMPTY;
        if let Some(slot) = self.histograms.get_mut(index) {
            *slot = None;
        }
    }

    pub fn histogram(&self, index: usize) -> Option<&Arc<FloatHistogram>> {
        if self.kinds[index] == HISTOGRAM { self.histograms[index].as_ref() } else { None }
    }

    pub fn get(&self, index: usize) -> Option<Cell> {
        match self.kinds[index] {
            FLOAT => Some(Cell::Float(self.values[index])),
            HISTOGRAM => self.histograms[index].clone().map(Cell::Histogram),
            _ => None,
        }
    }

    /// Removes all histograms.
    pub fn drop_histograms(&mut self) {
        if self.has_histograms() {
            for kind in &mut self.kinds {
                if *kind == HISTOGRAM {
                    *kind = EMPTY;
                }
            }
            self.histograms.clear();
        }
    }

    /// Repeats a row of one step.
    pub fn broadcast(&mut self, count: usize) {
        debug_assert_eq!(self.kinds.len(), 1);
        self.kinds.resize(count, self.kinds[0]);
        self.values.resize(count, self.values[0]);
        if let Some(first) = self.histograms.first().cloned() {
            self.histograms.resize(count, first);
        }
    }

    /// Copies the cells that are set in `other` and not here; `false` if any is set in both.
    pub fn merge(&mut self, other: &Cells) -> bool {
        for i in 0..self.len() {
            if other.kinds[i] == EMPTY {
                continue;
            }
            if self.kinds[i] != EMPTY {
                return false;
            }
            if let Some(cell) = other.get(i) {
                self.set_cell(i, cell);
            }
        }
        true
    }

    /// Becomes the same as `other`, in the memory that is there.
    pub fn copy_from(&mut self, other: &Cells) {
        self.kinds.clear();
        self.kinds.extend_from_slice(&other.kinds);
        self.values.clear();
        self.values.extend_from_slice(&other.values);
        self.histograms.clone_from(&other.histograms);
    }

    /// Samples held, histograms counted by their size.
    pub fn weight(&self) -> u64 {
        let floats: u64 = self.kinds.iter().map(|&kind| u64::from(kind == FLOAT)).sum();
        let histograms: u64 = self.histograms.iter().flatten().map(|h| weight(h)).sum();
        floats + histograms
    }
}

/// Samples that one histogram counts for.
pub(crate) fn weight(histogram: &FloatHistogram) -> u64 {
    weight_of(histogram.size())
}

/// The same of a histogram of that size.
pub(crate) fn weight_of(size: usize) -> u64 {
    (size as u64 + 8) / 16
}

/// A series of an intermediate result.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub labels: Labels,
    /// The metric name goes away at the end of the evaluation.
    pub drop_name: bool,
    pub cells: Cells,
}
