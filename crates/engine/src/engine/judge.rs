//! What is decided before a group reaches the log: which points of several rows are refused, and what follows from that.
//!
//! A row by itself is judged when it is applied, after it was logged: a replay applies the same rows in the same order,
//! so that the first value of a time wins again. Of a point of several rows that would not do, for a replay cannot tell
//! which rows of the log stand and fall together, nor ask the blocks of that day. So such a point is judged here, and
//! the log has all of it or nothing. The same goes for a point that has exemplars.
//!
//! Invariant J: a row is accepted if the head and the blocks have its value at its time; if they have none, and the first
//! accepted row of the group with its series and time has its value, or is the row itself. Rows are looked at in the
//! order in which they are logged and applied, by the thread that applies them, so applying comes to the same end.
//!
//! Mostly every row of a point is newer than all that its series has, in the group too, and a mark in the series tells
//! that. Only from the first point of which that is not true, a table of the group's rows is kept.

use crate::blocks::StoredValues;
use crate::head::Catalog;
use crate::value::Value;
use crate::{Batch, COMPANION_FILL_MIN, EngineError};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mytsdb_model::{SeriesRef, companion_times};
use std::ops::Range;

/// Rows that are gone through, for each row of a group, before a table of them is made. Most groups get by without: they
/// have a companion or two a batch, and those ask of the first rows. With 4 here, groups of 32 requests made a table, and a
/// point cost the server an eighth more CPU (`mytsdb-bench ingest`).
const SCANNED_PER_ROW: usize = 32;

/// Decides about the batches of one group, one after the other.
pub(crate) struct Judge<'a> {
    catalog: &'a Catalog,
    stored_values: &'a mut StoredValues,
    blocks_maxt_ms: i64,
    /// The number of this group.
    group: u64,
    /// Rows are marked in their series: there are points of several.
    marks: bool,
    /// The first accepted value of each series and time of the group, once it is worth having.
    table: Option<HashMap<(SeriesRef, i64), Value, FixedState>>,
    /// Rows that may still be gone through without a table.
    scan_left: usize,
}

/// What a batch loses before it is logged.
#[derive(Default)]
pub(crate) struct Verdict {
    /// Rows, ascending.
    pub(crate) gone: Vec<u32>,
    /// Why the batch fails as a whole; else all that are gone are in conflict.
    pub(crate) failed: Option<EngineError>,
}

impl<'a> Judge<'a> {
    /// A judge of a group of so many rows, over what is stored before it. No two groups have the same number, and none 0.
    pub(crate) fn new(
        catalog: &'a Catalog,
        stored_values: &'a mut StoredValues,
        blocks_maxt_ms: i64,
        (group, row_count): (u64, usize),
    ) -> Self {
        Self {
            catalog,
            stored_values,
            blocks_maxt_ms,
            group,
            marks: false,
            table: None,
            scan_left: row_count * SCANNED_PER_ROW,
        }
    }

    /// Judges the points of several rows, or with exemplars, of `batch`, before which the group has `earlier`, judged already.
    pub(crate) fn points<'b>(&mut self, earlier: &(impl Iterator<Item = &'b Batch> + Clone), batch: &Batch) -> Verdict {
        let mut verdict = Verdict::default();
        if batch.points.is_empty() && batch.exemplars_of_rows.is_empty() {
            self.know(batch, 0..batch.len());
            return verdict;
        }
        if !self.marks {
            self.marks = true;
            earlier.clone().for_each(|before| self.know(before, 0..before.len()));
        }
        let mut noted = Vec::new();
        for point in batch.each_point() {
            let rows = point.start as usize..point.end as usize;
            if rows.len() == 1 && !batch.has_exemplar_of(point.start) {
                self.know(batch, rows);
                continue;
            }
            if self.table.is_none() {
                if self.outrun(batch, rows.clone()) {
                    continue;
                }
                // All points before this one are accepted.
                self.make_table(earlier.clone());
                self.note(batch, 0..rows.start);
            }
            match self.accepts_point(batch, rows, &mut noted) {
                Ok(true) => {}
                Ok(false) => verdict.gone.extend(point),
                Err(error) => {
                    verdict.failed = Some(error);
                    verdict.gone.extend(point);
                }
            }
        }
        verdict
    }

    /// Notes rows that are no point of several. Without a table it is enough to mark those that outrun their series: a
    /// later row in conflict with one of them, or with one that does not, does not outrun it either.
    fn know(&mut self, batch: &Batch, rows: Range<usize>) {
        if self.table.is_some() {
            self.note(batch, rows);
        } else if self.marks {
            for row in rows {
                self.outruns(batch, row);
            }
        }
    }

    /// Whether each of some rows is newer than all that head, blocks and the rows before it have of its series.
    fn outrun(&self, batch: &Batch, mut rows: Range<usize>) -> bool {
        rows.all(|row| self.outruns(batch, row))
    }

    fn outruns(&self, batch: &Batch, row: usize) -> bool {
        let timestamp_ms = batch.timestamps_ms[row];
        let series = self.catalog.get(batch.refs[row]).filter(|_| timestamp_ms > self.blocks_maxt_ms);
        series.is_some_and(|series| series.outruns(self.group, timestamp_ms))
    }

    /// Appends the samples of `batch`'s companions, whose points have been judged.
    pub(crate) fn companions<'b>(
        &mut self,
        earlier: &(impl Iterator<Item = &'b Batch> + Clone),
        batch: &mut Batch,
    ) -> Result<(), EngineError> {
        let (judged, mut fill_left) = (batch.len(), batch.len().max(COMPANION_FILL_MIN));
        for companion in std::mem::take(&mut batch.companions) {
            let runs = runs_of_one_time(batch, companion.rows);
            let mut times: Vec<i64> = runs.iter().map(|run| run.0).collect();
            times.dedup();
            let (mut failed, mut samples) = (None, Vec::new());
            let accepts = |at: usize| {
                let first = runs.partition_point(|run| run.0 < times[at]);
                runs[first..].iter().take_while(|run| run.0 == times[at]).flat_map(|run| run.1.clone()).any(|row| {
                    self.accepts_row(earlier, batch, row).unwrap_or_else(|error| {
                        failed = Some(error);
                        false
                    })
                })
            };
            companion_times(&times, companion.step_ms, &mut fill_left, accepts, |time| samples.push(time));
            if let Some(error) = failed {
                return Err(error);
            }
            for timestamp_ms in samples {
                batch.push(companion.series, timestamp_ms, companion.value);
            }
        }
        self.know(batch, judged..batch.len());
        Ok(())
    }

    /// Whether all rows of a point agree with what is there and with one another; if so they are noted.
    fn accepts_point(
        &mut self,
        batch: &Batch,
        rows: Range<usize>,
        noted: &mut Vec<(SeriesRef, i64)>,
    ) -> Result<bool, EngineError> {
        noted.clear();
        let mut agrees = Ok(true);
        for row in rows {
            let key = (batch.refs[row], batch.timestamps_ms[row]);
            let value = batch.value(row);
            agrees = self.stored(batch, row).and_then(|stored| {
                let known = match &stored {
                    Some(stored) => stored,
                    None => &*self.table.get_or_insert_default().entry(key).or_insert_with(|| {
                        noted.push(key);
                        value.to_value()
                    }),
                };
                is(known, batch, row)
            });
            if !matches!(agrees, Ok(true)) {
                break;
            }
        }
        if !matches!(agrees, Ok(true)) {
            let table = self.table.get_or_insert_default();
            for key in noted.drain(..) {
                table.remove(&key);
            }
        }
        agrees
    }

    /// Whether a row will be stored, or is already. Rows of several have been judged.
    fn accepts_row<'b>(
        &mut self,
        earlier: &(impl Iterator<Item = &'b Batch> + Clone),
        batch: &Batch,
        row: u32,
    ) -> Result<bool, EngineError> {
        if batch.points.get(batch.points.partition_point(|p| p.end <= row)).is_some_and(|p| p.contains(&row)) {
            return Ok(true);
        }
        let row = row as usize;
        if let Some(value) = self.stored(batch, row)? {
            return is(&value, batch, row);
        }
        let first = match &self.table {
            Some(table) => table.get(&(batch.refs[row], batch.timestamps_ms[row])).cloned(),
            None => self.scan(earlier, batch, row),
        };
        first.map_or(Ok(true), |first| is(&first, batch, row))
    }

    /// The first value of the row's series and time among the rows before it, of which no point is refused any more.
    fn scan<'b>(
        &mut self,
        earlier: &(impl Iterator<Item = &'b Batch> + Clone),
        batch: &Batch,
        row: usize,
    ) -> Option<Value> {
        let (series, timestamp_ms) = (batch.refs[row], batch.timestamps_ms[row]);
        let cost = row + earlier.clone().map(Batch::len).sum::<usize>();
        if cost > self.scan_left {
            self.make_table(earlier.clone());
            self.note(batch, 0..batch.len());
            return self.table.get_or_insert_default().get(&(series, timestamp_ms)).cloned();
        }
        self.scan_left -= cost;
        let find = |batch: &Batch, end: usize| {
            let mut from = 0;
            // Compares series first and times later: many rows are compared.
            while let Some(at) = batch.refs[from..end].iter().position(|r| *r == series) {
                if batch.timestamps_ms[from + at] == timestamp_ms {
                    return Some(batch.value(from + at).to_value());
                }
                from += at + 1;
            }
            None
        };
        let mut before = earlier.clone().map(|before| find(before, before.len()));
        before.find(Option::is_some).flatten().or_else(|| find(batch, row))
    }

    /// The value that head or blocks have at a row's time.
    fn stored(&mut self, batch: &Batch, row: usize) -> Result<Option<Value>, EngineError> {
        let (series_ref, timestamp_ms) = (batch.refs[row], batch.timestamps_ms[row]);
        let series = self.catalog.get(series_ref).ok_or(EngineError::UnknownSeries)?;
        let in_blocks = || {
            (timestamp_ms <= self.blocks_maxt_ms)
                .then(|| self.stored_values.get(series_ref.0, &series.labels, timestamp_ms))
                .flatten()
        };
        series
            .value_at(timestamp_ms, in_blocks)
            .map_err(|source| EngineError::Chunk { series: series.labels.to_string(), source })
    }

    fn make_table<'b>(&mut self, earlier: impl Iterator<Item = &'b Batch>) {
        if self.table.is_none() {
            self.table =
                Some(HashMap::with_capacity_and_hasher(self.scan_left / SCANNED_PER_ROW, FixedState::default()));
            for batch in earlier {
                self.note(batch, 0..batch.len());
            }
        }
    }

    /// Enters rows that are accepted unless something is stored at their times.
    fn note(&mut self, batch: &Batch, rows: Range<usize>) {
        let table = self.table.get_or_insert_default();
        for row in rows {
            let key = (batch.refs[row], batch.timestamps_ms[row]);
            table.entry(key).or_insert_with(|| batch.value(row).to_value());
        }
    }
}

/// Whether a value is that of a row.
fn is(value: &Value, batch: &Batch, row: usize) -> Result<bool, EngineError> {
    value.is(batch.value(row)).map_err(|source| EngineError::Chunk { series: batch.refs[row].0.to_string(), source })
}

/// Neighbouring rows with one time, ascending by it.
fn runs_of_one_time(batch: &Batch, rows: Range<u32>) -> Vec<(i64, Range<u32>)> {
    let mut runs = Vec::new();
    let mut start = rows.start;
    for run in batch.timestamps_ms[rows.start as usize..rows.end as usize].chunk_by(|a, b| a == b) {
        let end = start + run.len() as u32;
        runs.push((run[0], start..end));
        start = end;
    }
    if !runs.is_sorted_by_key(|run| run.0) {
        runs.sort_by_key(|run| run.0);
    }
    runs
}
