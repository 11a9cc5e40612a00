//! The checkpoint: what the head still has after a flush, in one file, so that the log before it can go.

use super::Engine;
use crate::EngineError;
use crate::exemplars::Evicted;
use crate::head::{MemSeries, chunk_error};
use crate::log::log_columns;
use mytsdb_columns::Columns;
use mytsdb_model::TimeRange;
use mytsdb_wal::SegmentId;
use std::sync::Arc;

/// Rows of a checkpoint that are encoded together.
const CHECKPOINT_ROWS: usize = 16_384;

impl Engine {
    /// Writes what the head still has, so that the log before `first_segment` can go. `halfway` is called when it has all samples.
    ///
    /// Deletions may come meanwhile: their tombstones name a later segment, so they hide samples that the checkpoint has. What
    /// is appended after them is in the log behind `first_segment`, too.
    pub(super) fn checkpoint(
        &self,
        first_segment: SegmentId,
        all: &[Arc<MemSeries>],
        halfway: impl FnOnce(),
    ) -> Result<(), EngineError> {
        let mut writer = self.log.with(|wal| wal.checkpoint(first_segment))?;
        let mut columns = Columns::default();
        let mut refs = Vec::with_capacity(CHECKPOINT_ROWS);
        for series in all {
            writer.log_series(series.series, &series.labels)?;
        }
        for series in all {
            let from = columns.mark();
            series.read(TimeRange::ALL, &mut columns).map_err(|e| chunk_error(series, e))?;
            if !columns.histograms.is_empty() || !columns.start_timestamps_ms.is_empty() {
                let own = columns.split_off(from);
                columns.start_timestamps_ms.clear();
                log_columns(&mut writer, (series.series, &series.labels), &own)?;
            }
            refs.resize(columns.timestamps_ms.len(), series.series);
            if refs.len() >= CHECKPOINT_ROWS {
                writer.log_samples(&refs, &columns.timestamps_ms, &columns.values)?;
                refs.clear();
                columns.clear();
            }
        }
        writer.log_samples(&refs, &columns.timestamps_ms, &columns.values)?;
        halfway();
        self.families.checkpoint(&mut writer)?;
        // The clock alone must not decide: see `due_cut_ms`.
        let now_ms = self.clock.now_ms().min(self.head.newest_ms());
        self.exemplars.expire(now_ms.saturating_sub(self.options.retention_ms));
        self.report_exemplars(Evicted::default());
        self.exemplars.checkpoint(&mut writer)?;
        writer.publish()?;
        // Removing a large file takes long: commits come between two of them.
        while self.log.with(|wal| wal.truncate_some_before(first_segment))? {}
        Ok(())
    }
}
