//! What is decided before a group reaches the log: which of its rows are stored, which are there already, which are refused.
//!
//! Every row is judged once, by the thread that commits, before its group is logged: against the head, the blocks, and the
//! rows of the group before it. The log and the head get what is stored and nothing else, so that a replay, which can no
//! longer ask the blocks of that day, has nothing to judge. A point of several rows stands or falls with each of them.
//!
//! Invariant J: a row is accepted if the head and the blocks have its value at its time; if they have none, and the first
//! accepted row of the group with its series and time has its value, or is the row itself.
//!
//! Nothing changes the answer before the group is applied: samples move from the head to a block meanwhile, but who commits,
//! deletes or serves new blocks has the log's writer.
//!
//! Mostly a row is newer than all that there is of its series, which a bound beside the series tells ([`Bound`]). Of others,
//! a mark in the series tells whether the group has no newer row. Only from the first one of which that is not true, a
//! table of the group's rows is kept.

use crate::blocks::StoredValues;
use crate::head::{Bound, Catalog, MemSeries, chunk_error};
use crate::value::Value;
use crate::{Batch, COMPANION_FILL_MIN, EngineError};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mytsdb_model::{SeriesRef, companion_times};
use std::ops::Range;

/// Decides about the batches of one group, one after the other.
pub(crate) struct Judge<'a> {
    catalog: &'a Catalog,
    stored_values: &'a mut StoredValues,
    blocks_maxt_ms: i64,
    /// The number of this group.
    group: u64,
    /// The first accepted value of each series and time of the group, once it is worth having.
    table: Option<HashMap<(SeriesRef, i64), Value, FixedState>>,
}

/// What a batch loses before it is logged.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Rows that are not stored, ascending.
    pub(crate) gone: Vec<u32>,
    /// Rows whose samples are there already, ascending; none of them is gone.
    pub(crate) known: Vec<u32>,
    /// Why the batch fails as a whole; else all that are gone are in conflict.
    pub(crate) failed: Option<EngineError>,
}

/// What becomes of one row, as far as it alone is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stored,
    Known,
    Conflict,
}

impl<'a> Judge<'a> {
    /// A judge of a group, over what is stored before it. No two groups have the same number, and none 0.
    pub(crate) fn new(
        catalog: &'a Catalog,
        stored_values: &'a mut StoredValues,
        blocks_maxt_ms: i64,
        group: u64,
    ) -> Self {
        Self { catalog, stored_values, blocks_maxt_ms, group, table: None }
    }

    /// Judges the rows of `batch`, before which the group has `earlier`, without what they have lost.
    pub(crate) fn batch<'b>(&mut self, earlier: &(impl Iterator<Item = &'b Batch> + Clone), batch: &Batch) -> Verdict {
        let mut verdict = Verdict::default();
        if batch.points.is_empty() {
            (0..batch.len() as u32).for_each(|row| self.point(earlier, batch, row..row + 1, &mut verdict));
        } else {
            batch.each_point().for_each(|point| self.point(earlier, batch, point, &mut verdict));
        }
        verdict
    }

    /// Judges rows that are accepted together or not at all.
    #[inline]
    fn point<'b>(
        &mut self,
        earlier: &(impl Iterator<Item = &'b Batch> + Clone),
        batch: &Batch,
        rows: Range<u32>,
        verdict: &mut Verdict,
    ) {
        let known_before = verdict.known.len();
        for row in rows.clone() {
            let timestamp_ms = batch.timestamps_ms[row as usize];
            let fate = match self.catalog.bounded(batch.refs[row as usize]) {
                None => Err(EngineError::UnknownSeries),
                Some((_, bound)) if timestamp_ms > self.blocks_maxt_ms && bound.raise(self.group, timestamp_ms) => {
                    if self.table.is_some() {
                        self.note(batch, row);
                    }
                    continue;
                }
                Some((series, bound)) => self.row(earlier, batch, (row, rows.start), (series, bound), &verdict.gone),
            };
            match fate {
                Ok(Fate::Stored) => continue,
                Ok(Fate::Known) => {
                    verdict.known.push(row);
                    continue;
                }
                Ok(Fate::Conflict) => {}
                Err(error) => verdict.failed = Some(error),
            }
            self.forget(batch, rows.start..row, &verdict.known[known_before..]);
            verdict.known.truncate(known_before);
            verdict.gone.extend(rows);
            return;
        }
    }

    /// The fate of a row of the point that begins at `first`; the rows of earlier points are accepted but for those that
    /// are `gone`.
    fn row<'b>(
        &mut self,
        earlier: &(impl Iterator<Item = &'b Batch> + Clone),
        batch: &Batch,
        (row, first): (u32, u32),
        (series, bound): (&MemSeries, &Bound),
        gone: &[u32],
    ) -> Result<Fate, EngineError> {
        let timestamp_ms = batch.timestamps_ms[row as usize];
        // A series may have several references; the bound is that of its own.
        let own = (batch.refs[row as usize] != series.series).then(|| self.catalog.bounded(series.series)).flatten();
        let bound = own.map_or(bound, |(_, own)| own);
        let (mut is_first, mut stored) = (true, None);
        if timestamp_ms <= self.blocks_maxt_ms {
            stored = self.stored_values.get(series.series.0, &series.labels, timestamp_ms);
        }
        if !bound.raise(self.group, timestamp_ms) {
            let look = series.judge(self.group, timestamp_ms).map_err(|source| chunk_error(series, source))?;
            // Who raised the bound did not tell the series.
            is_first = look.is_first && !bound.is_raised_by(self.group);
            if is_first && look.is_newest {
                bound.set(self.group, timestamp_ms);
            }
            stored = stored.or(look.value);
        }
        if let Some(stored) = stored {
            return fate(&stored, batch, row, series);
        }
        if self.table.is_none() {
            if is_first {
                return Ok(Fate::Stored);
            }
            self.make_table(earlier.clone(), batch, first, gone);
            (first..row).for_each(|row| self.note(batch, row));
        }
        let key = (series.series, timestamp_ms);
        if let Some(known) = self.table.get_or_insert_default().get(&key) {
            return fate(known, batch, row, series);
        }
        self.note(batch, row);
        Ok(Fate::Stored)
    }

    /// Appends the samples of `batch`'s companions, whose rows are all accepted; tells which of these samples are lost.
    pub(crate) fn companions<'b>(
        &mut self,
        earlier: &(impl Iterator<Item = &'b Batch> + Clone),
        batch: &mut Batch,
    ) -> Verdict {
        let (first, mut fill_left) = (batch.len() as u32, batch.len().max(COMPANION_FILL_MIN));
        for companion in std::mem::take(&mut batch.companions) {
            let rows = companion.rows.start as usize..companion.rows.end as usize;
            let mut times = batch.timestamps_ms[rows].to_vec();
            times.sort_unstable();
            times.dedup();
            let (refs, timestamps_ms, values) = (&mut batch.refs, &mut batch.timestamps_ms, &mut batch.values);
            companion_times(
                &times,
                companion.step_ms,
                &mut fill_left,
                |_| true,
                |time| {
                    refs.push(companion.series);
                    timestamps_ms.push(time);
                    values.push(companion.value);
                },
            );
        }
        if !batch.starts_ms.is_empty() {
            batch.starts_ms.resize(batch.refs.len(), 0);
        }
        let mut verdict = Verdict::default();
        (first..batch.len() as u32).for_each(|row| self.point(earlier, batch, row..row + 1, &mut verdict));
        verdict
    }

    /// A table of all rows that have been accepted, of `batch` those before `end`.
    fn make_table<'b>(
        &mut self,
        earlier: impl Iterator<Item = &'b Batch> + Clone,
        batch: &Batch,
        end: u32,
        gone: &[u32],
    ) {
        let row_count = earlier.clone().map(Batch::len).sum::<usize>() + batch.len();
        self.table = Some(HashMap::with_capacity_and_hasher(row_count, FixedState::default()));
        for before in earlier {
            (0..before.len() as u32).for_each(|row| self.note(before, row));
        }
        let mut gone = gone.iter().peekable();
        (0..end).filter(|row| gone.next_if_eq(&row).is_none()).for_each(|row| self.note(batch, row));
    }

    /// Enters a row that is accepted unless something is stored at its time.
    fn note(&mut self, batch: &Batch, row: u32) {
        if let Some((key, table)) = self.key(batch, row).zip(self.table.as_mut()) {
            table.entry(key).or_insert_with(|| batch.value(row as usize).to_value());
        }
    }

    /// Takes back the rows of a point that is not accepted, if there is a table. Those that are known are not its own.
    fn forget(&mut self, batch: &Batch, rows: Range<u32>, known: &[u32]) {
        for row in rows.filter(|row| !known.contains(row)) {
            if let Some((key, table)) = self.key(batch, row).zip(self.table.as_mut()) {
                table.remove(&key);
            }
        }
    }

    /// A series has one name here, whatever references it has.
    fn key(&self, batch: &Batch, row: u32) -> Option<(SeriesRef, i64)> {
        let series = self.catalog.get(batch.refs[row as usize])?;
        Some((series.series, batch.timestamps_ms[row as usize]))
    }
}

fn fate(known: &Value, batch: &Batch, row: u32, series: &MemSeries) -> Result<Fate, EngineError> {
    let is_same = known.is(batch.value(row as usize)).map_err(|source| chunk_error(series, source))?;
    Ok(if is_same { Fate::Known } else { Fate::Conflict })
}
