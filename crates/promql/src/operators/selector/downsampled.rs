//! Selectors where samples are there as buckets: what is shown of them, and what is said about it.

use super::{SelectedRows, SelectedSamples};
use crate::error::EvalError;
use crate::kernels::buckets::Instants;
use crate::kernels::cells::Cells;
use crate::kernels::window::Remarks;
use crate::operators::sample_field::SampleField;
use crate::rows::context::Scratch;
use mytsdb_columns::Columns;
use mytsdb_downsample::{Resolution, Stored};
use mytsdb_model::TimeRange;

impl SelectedRows<'_> {
    /// Computes a row of which some samples are there as buckets, if they are, and says so.
    pub(super) fn read_downsampled(
        &self,
        index: usize,
        scratch: &mut Scratch<'_>,
        out: &mut Cells,
    ) -> Result<bool, EvalError> {
        let Some(set) = self.set.downsampled() else { return Ok(false) };
        // A step within a bucket has what was there when it began.
        let range = TimeRange::new(self.range.mint.saturating_sub(Resolution::Hour.ms()), self.range.maxt);
        let mut buckets = scratch.take_buckets();
        let stored = set.read_buckets(index, range, &mut buckets)?;
        let is_read = stored == Stored::Buckets && !self.smoothed && self.field != SampleField::StartTimestamp;
        let (mut widest_ms, mut is_late) = (buckets.widths_ms.iter().copied().max().unwrap_or(0), false);
        if is_read {
            self.context.note_buckets(&buckets, scratch)?;
            let (first_ms, lookback_ms) = (self.first_ms, self.context.options.lookback_ms);
            let instants = Instants { first_ms, step_ms: self.grid.step_ms, lookback_ms };
            let steps = if self.fixed { 1 } else { self.grid.count };
            let used = instants.latest(&buckets, self.field != SampleField::Value, steps, out);
            (widest_ms, is_late) = (used.widest_ms, used.is_late);
            if steps < self.grid.count {
                out.broadcast(self.grid.count);
            }
        }
        scratch.give_buckets(buckets);
        if stored != Stored::Samples && (widest_ms > 0 || !is_read) {
            self.context.entangle();
            let metric = self.set.labels(index).metric_name();
            let mut remarks =
                Remarks { annotations: &mut scratch.annotations, metric, pos: self.pos, told_by: self.pos };
            remarks.used_latest_samples(widest_ms, is_late);
        }
        Ok(is_read)
    }
}

impl SelectedSamples<'_> {
    /// Reads what there is of a series of which some is buckets, of each the last sample, and says so. `false` if it has to be read
    /// otherwise.
    pub(super) fn read_last_samples(
        &self,
        index: usize,
        scratch: &mut Scratch<'_>,
        out: &mut Columns,
    ) -> Result<bool, EvalError> {
        let Some(set) = self.set.downsampled() else { return Ok(false) };
        let mut buckets = scratch.take_buckets();
        let stored = set.read_buckets(index, self.range, &mut buckets)?;
        let widest_ms = buckets.widths_ms.iter().copied().max().unwrap_or(0);
        if stored == Stored::Buckets {
            buckets.append_lasts(out);
        }
        scratch.give_buckets(buckets);
        if stored != Stored::Samples {
            self.context.entangle();
            let metric = self.set.labels(index).metric_name();
            let mut remarks =
                Remarks { annotations: &mut scratch.annotations, metric, pos: self.pos, told_by: self.pos };
            remarks.used_last_samples(widest_ms);
        }
        Ok(stored == Stored::Buckets)
    }
}
