//! Range vectors: series, and the left-open windows that move over their samples.

use super::context::Scratch;
use crate::error::EvalError;
use crate::kernels::cells::{Cell, Cells};
use crate::kernels::grid::Grid;
use crate::kernels::window::{Extension, Remarks, Window};
use crate::options::Cancel;
use crate::storage::SeriesSet;
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_downsample::Buckets;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::PosRange;

/// Series whose samples are read on demand.
pub(crate) trait Samples: Sync {
    fn len(&self) -> usize;
    /// How many rows are read one within the other to read one of these series.
    fn height(&self) -> usize;
    fn labels(&self, index: usize) -> &Labels;
    /// The labels that describe the metric are gone, although [`Samples::labels`] may have them.
    fn nameless(&self) -> bool {
        false
    }
    /// All series have the same metric name, and none has another label that describes the metric: without these labels
    /// the series still differ. `false` if that is not known.
    fn same_schema(&self) -> bool {
        false
    }
    /// The selection of these series, if they are one.
    fn series_set(&self) -> Option<&dyn SeriesSet> {
        None
    }
    fn drop_name(&self, index: usize) -> bool;
    /// Fills `out`, which is empty, with the samples of series `index`, stale markers left out.
    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Columns) -> Result<(), EvalError>;
    /// Fills a table, which is empty, with the same samples, if they are nothing but histograms and it can be done. Else
    /// `false`: the table has no meaning then.
    fn read_table(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut HistogramTable) -> Result<bool, EvalError> {
        let _ = (index, scratch, out);
        Ok(false)
    }
    /// Fills buckets, none of which are there, with what there is of series `index`, if some of it is buckets and all else are floats. Else
    /// `false`: the buckets have no meaning then.
    fn read_buckets(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Buckets) -> Result<bool, EvalError> {
        let _ = (index, scratch, out);
        Ok(false)
    }
    /// Fills an outline, whatever it had, with the same samples, if they are nothing but floats without start times and it can be done. Else `false`:
    /// the outline has no meaning then.
    fn read_outline(
        &self,
        index: usize,
        scratch: &mut Scratch<'_>,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, EvalError> {
        let _ = (index, scratch, outlining, out);
        Ok(false)
    }
}

/// A range vector: series, and one window per step.
pub(crate) struct RangeVector<'a> {
    pub samples: Box<dyn Samples + 'a>,
    pub grid: Grid,
    pub range_ms: i64,
    /// End of the window of step 0.
    pub first_end_ms: i64,
    /// `@`: every step has the window of step 0.
    pub fixed: bool,
    pub extension: Extension,
    pub lookback_ms: i64,
    /// The argument's place in the query.
    pub pos: PosRange,
    /// The place of what is evaluated when something is remarked, by which it is told what came last.
    pub told_by: PosRange,
    pub cancel: &'a Cancel,
}

/// Samples that are looked at between two looks at the cancel flag.
const CANCEL_SAMPLES: usize = 1 << 18;

impl RangeVector<'_> {
    /// The window of step `index`: its start, which is not in it, and its end.
    #[inline]
    fn bounds(&self, index: usize) -> (i64, i64) {
        let end = if self.fixed { self.first_end_ms } else { self.first_end_ms + self.grid.step_ms * index as i64 };
        (end - self.range_ms, end)
    }

    /// Calls `kernel` for every step whose window holds a sample, and sets the cells it answers.
    ///
    /// Two pointers walk over the times, so the cost of finding windows is linear in samples and steps.
    #[inline]
    pub fn run(
        &self,
        columns: &Columns,
        out: &mut Cells,
        remarks: &mut Remarks<'_>,
        uses_eval_time: bool,
        mut kernel: impl FnMut(&Window<'_>, &mut Remarks<'_>) -> Option<Cell>,
    ) {
        let count = self.grid.count;
        let steps = if self.fixed && !uses_eval_time { count.min(1) } else { count };
        out.reset(steps);
        let (before, after) = match self.extension {
            Extension::None => (0, 0),
            Extension::Anchored => (self.lookback_ms, 0),
            Extension::Smoothed => (self.lookback_ms, self.lookback_ms),
        };
        let times = &columns.timestamps_ms[..];
        let histogram_times = &columns.histogram_timestamps_ms[..];
        let (mut low, mut high, mut histogram_low, mut histogram_high) = (0, 0, 0, 0);
        let mut looked_at = 0;
        for step in 0..steps {
            let (start_ms, end_ms) = self.bounds(step);
            let (from, to) = (start_ms - before, end_ms + after);
            while high < times.len() && times[high] <= to {
                high += 1;
            }
            while low < high && times[low] <= from {
                low += 1;
            }
            if !histogram_times.is_empty() {
                while histogram_high < histogram_times.len() && histogram_times[histogram_high] <= to {
                    histogram_high += 1;
                }
                while histogram_low < histogram_high && histogram_times[histogram_low] <= from {
                    histogram_low += 1;
                }
            }
            if low == high && histogram_low == histogram_high {
                continue;
            }
            looked_at += high - low + 64 * (histogram_high - histogram_low);
            if looked_at > CANCEL_SAMPLES {
                looked_at = 0;
                if self.cancel.check().is_err() {
                    // The evaluation looks again before it uses the row.
                    return;
                }
            }
            let window = Window {
                columns,
                floats: low..high,
                histograms: histogram_low..histogram_high,
                start_ms,
                end_ms,
                eval_ms: self.grid.time(step),
                range_ms: self.range_ms,
            };
            if let Some(cell) = kernel(&window, remarks) {
                out.set_cell(step, cell);
            }
        }
        if steps < count {
            out.broadcast(count);
        }
    }
}
