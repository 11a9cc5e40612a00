//! Rows that say what was counted since the sample before: they become sums before they are logged.
//!
//! The sum of a series is its newest sample, so it is as durable as that, and a replay finds sums. A row counts if it is
//! newer than the newest sample: one that is not has been counted, or comes too late to be, and its point is refused. Within
//! a group, points are added in the order of their time, whatever order they came in.
//!
//! A series starts from nothing if its newest sample is of the other kind, has buckets that cannot be added to, or is the
//! marker that ends a series; and if the sum of two histograms is too large to be stored.

use crate::blocks::StoredValues;
use crate::head::Catalog;
use crate::value::{RowValue, Value, decode};
use crate::{Batch, EngineError};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use mytsdb_codec::CodecError;
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::{SeriesRef, is_stale_nan};
use std::ops::Range;
use std::sync::Arc;

/// What a batch loses.
#[derive(Default)]
pub(crate) struct Loss {
    /// Rows of points that are refused, ascending.
    pub(crate) gone: Vec<u32>,
    /// Why the batch fails as a whole.
    pub(crate) failed: Option<EngineError>,
}

/// Adds up the rows of one group.
pub(crate) struct Accumulator<'a> {
    catalog: &'a Catalog,
    stored_values: &'a mut StoredValues,
    blocks_maxt_ms: i64,
    /// The newest time of each series, and the sum there, as far as the group has come; `None` is a series without samples.
    newest: HashMap<SeriesRef, Option<(i64, Value)>, FixedState>,
}

impl<'a> Accumulator<'a> {
    pub(crate) fn new(catalog: &'a Catalog, stored_values: &'a mut StoredValues, blocks_maxt_ms: i64) -> Self {
        Self { catalog, stored_values, blocks_maxt_ms, newest: HashMap::default() }
    }

    /// Turns the deltas of all batches into sums. One loss for each batch, in their order.
    ///
    /// Cost: one lookup of the newest sample for each series, one addition and one entry of a table for each row.
    pub(crate) fn accumulate(&mut self, batches: &mut [&mut Batch]) -> Vec<Loss> {
        let mut losses: Vec<Loss> = batches.iter().map(|_| Loss::default()).collect();
        let mut points: Vec<(i64, usize, Range<u32>)> = Vec::new();
        for (number, batch) in batches.iter().enumerate().filter(|(_, batch)| batch.has_deltas()) {
            let mut add = |rows: Range<u32>| points.push((batch.timestamps_ms[rows.start as usize], number, rows));
            if batch.points.is_empty() {
                batch.deltas().iter().for_each(|&row| add(row..row + 1));
            } else {
                let with_deltas = batch.each_point().filter(|rows| rows.clone().any(|row| batch.is_delta(row)));
                with_deltas.for_each(add);
            }
        }
        self.newest.reserve(points.len());
        // The sort is stable: of equal times the first that came is first.
        points.sort_by_key(|point| point.0);
        for (_, number, rows) in points {
            match self.point(batches[number], rows.clone()) {
                Ok(true) => {}
                Ok(false) => losses[number].gone.extend(rows),
                // A delta must not be logged as if it were a sum.
                Err(error) => {
                    losses[number].failed = Some(error);
                    losses[number].gone.extend(rows);
                }
            }
        }
        for loss in &mut losses {
            loss.gone.sort_unstable();
        }
        losses
    }

    /// Adds the deltas of a point; false if one of them does not count. Then, and after an error, none is added.
    fn point(&mut self, batch: &mut Batch, rows: Range<u32>) -> Result<bool, EngineError> {
        if rows.len() == 1 {
            return self.single(batch, rows.start);
        }
        let mut sums = Vec::new();
        for row in rows.filter(|row| batch.is_delta(*row)) {
            match sum_of(self.newest(batch.refs[row as usize])?.as_ref(), batch, row)? {
                Some(sum) => sums.push((row, sum)),
                None => return Ok(false),
            }
        }
        for (row, sum) in sums {
            let (series, time) = (batch.refs[row as usize], batch.timestamps_ms[row as usize]);
            let sum = batch.set_sum(row, sum);
            self.newest.insert(series, Some((time, sum)));
        }
        Ok(true)
    }

    /// The same for a point of one row, which is a delta: one look into the table.
    fn single(&mut self, batch: &mut Batch, row: u32) -> Result<bool, EngineError> {
        let newest = self.newest(batch.refs[row as usize])?;
        let Some(sum) = sum_of(newest.as_ref(), batch, row)? else { return Ok(false) };
        *newest = Some((batch.timestamps_ms[row as usize], batch.set_sum(row, sum)));
        Ok(true)
    }

    /// The newest sample of a series in head, blocks and the group so far.
    fn newest(&mut self, series: SeriesRef) -> Result<&mut Option<(i64, Value)>, EngineError> {
        Ok(match self.newest.entry(series) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let found = stored(self.catalog, self.stored_values, self.blocks_maxt_ms, series)?;
                place.insert(found)
            }
        })
    }
}

/// The newest sample of a series in head and blocks.
fn stored(
    catalog: &Catalog,
    stored_values: &mut StoredValues,
    blocks_maxt_ms: i64,
    series_ref: SeriesRef,
) -> Result<Option<(i64, Value)>, EngineError> {
    let series = catalog.get(series_ref).ok_or(EngineError::UnknownSeries)?;
    // Most series have a newer sample in the head than any block has. What came into the head anew asks the blocks.
    if let Some((time, value)) = series.newest_float().filter(|(time, _)| *time > blocks_maxt_ms) {
        return Ok(Some((time, Value::Float(value))));
    }
    let mut newest_ms = series.newest_ms();
    if newest_ms.is_none_or(|time| time <= blocks_maxt_ms) {
        newest_ms = newest_ms.max(stored_values.newest_ms(&series.labels));
    }
    let Some(time) = newest_ms else { return Ok(None) };
    let in_blocks = || {
        let may_have = time <= blocks_maxt_ms;
        may_have.then(|| stored_values.get(series_ref.0, &series.labels, time)).flatten()
    };
    let value = series.value_at(time, in_blocks);
    let value = value.map_err(|source| EngineError::Chunk { series: series.labels.to_string(), source })?;
    Ok(value.map(|value| (time, value)))
}

/// What the delta of a row makes of the newest sample of its series; `None` if it is not newer.
fn sum_of(newest: Option<&(i64, Value)>, batch: &Batch, row: u32) -> Result<Option<Value>, EngineError> {
    let (series, time) = (batch.refs[row as usize], batch.timestamps_ms[row as usize]);
    if newest.is_some_and(|(newest_ms, _)| time <= *newest_ms) {
        return Ok(None);
    }
    sum(newest.map(|(_, value)| value), batch.value(row as usize))
        .map(Some)
        .map_err(|source| EngineError::Chunk { series: series.0.to_string(), source })
}

/// What a delta makes of the newest value.
fn sum(newest: Option<&Value>, delta: RowValue<'_>) -> Result<Value, CodecError> {
    match (newest, delta) {
        (Some(Value::Float(sum)), RowValue::Float(delta)) if !is_stale_nan(*sum) => Ok(Value::Float(sum + delta)),
        (_, RowValue::Float(delta)) => Ok(Value::Float(delta)),
        (newest, RowValue::Histogram(bytes)) => {
            let delta = decode(bytes)?;
            let sum = match newest {
                Some(Value::Encoded(sum)) => Some(decode(sum)?),
                Some(Value::Histogram(sum)) => Some(FloatHistogram::clone(sum)),
                Some(Value::Float(_)) | None => None,
            };
            Ok(Value::Histogram(Arc::new(sum.and_then(|sum| added(sum, &delta)).unwrap_or(delta))))
        }
    }
}

/// The sum of two histograms; `None` if one cannot be added to the other.
fn added(mut sum: FloatHistogram, delta: &FloatHistogram) -> Option<FloatHistogram> {
    if sum.is_stale() {
        return None;
    }
    sum.counter_reset_hint = CounterResetHint::Unknown;
    sum.add(delta).ok()?;
    sum.counter_reset_hint = CounterResetHint::Unknown;
    Some(sum)
}
