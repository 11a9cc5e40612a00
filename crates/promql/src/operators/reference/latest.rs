//! Instant selectors, step by step.

use crate::kernels::cells::{Cell, Cells};
use crate::operators::sample_field::SampleField;
use mytsdb_columns::Columns;
use mytsdb_model::is_stale_nan;
use std::sync::Arc;

/// Which samples of one series are looked at.
pub(crate) struct Latest {
    /// The time of step 0.
    pub first_ms: i64,
    pub step_ms: i64,
    pub lookback_ms: i64,
    pub field: SampleField,
    /// Start times are known.
    pub start_timestamps: bool,
}

impl Latest {
    /// The latest sample of either kind at each step.
    pub fn read(&self, columns: &Columns, steps: usize, out: &mut Cells) {
        let (times, histogram_times) = (&columns.timestamps_ms, &columns.histogram_timestamps_ms);
        let (mut next, mut histogram_next) = (0, 0);
        for step in 0..steps {
            let at = self.first_ms + self.step_ms * step as i64;
            while next < times.len() && times[next] <= at {
                next += 1;
            }
            while histogram_next < histogram_times.len() && histogram_times[histogram_next] <= at {
                histogram_next += 1;
            }
            let float_time = next.checked_sub(1).map(|i| times[i]);
            let histogram_time = histogram_next.checked_sub(1).map(|i| histogram_times[i]);
            let oldest = at - self.lookback_ms;
            let Some(time) = float_time.max(histogram_time).filter(|&t| t > oldest) else { continue };
            let is_float = float_time == Some(time);
            let (cell, start) = if is_float {
                let value = columns.values[next - 1];
                if is_stale_nan(value) {
                    continue;
                }
                (Cell::Float(value), columns.start_timestamps_ms.get(next - 1))
            } else {
                let histogram = &columns.histograms[histogram_next - 1];
                if histogram.is_stale() {
                    continue;
                }
                let start = columns.histogram_start_timestamps_ms.get(histogram_next - 1);
                (Cell::Histogram(Arc::clone(histogram)), start)
            };
            match self.field {
                SampleField::Value => out.set_cell(step, cell),
                SampleField::TimestampOfFloat if !is_float => out.set_cell(step, cell),
                SampleField::Timestamp | SampleField::TimestampOfFloat => out.set(step, time as f64 / 1000.0),
                SampleField::StartTimestamp => {
                    if self.start_timestamps {
                        out.set(step, start.map_or(0.0, |&start| start as f64 / 1000.0));
                    }
                }
            }
        }
    }
}
