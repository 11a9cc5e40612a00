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
            let with_deltas = batch.each_point().filter(|rows| rows.clone().any(|row| batch.is_delta(row)));
            points.extend(with_deltas.map(|rows| (batch.timestamps_ms[rows.start as usize], number, rows)));
        }
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
        let mut sums = Vec::new();
        for row in rows.filter(|row| batch.is_delta(*row)) {
            let (series, time) = (batch.refs[row as usize], batch.timestamps_ms[row as usize]);
            let newest = self.newest(series)?.as_ref();
            if newest.is_some_and(|(newest_ms, _)| time <= *newest_ms) {
                return Ok(false);
            }
            let sum = sum(newest.map(|(_, value)| value), batch.value(row as usize))
                .map_err(|source| EngineError::Chunk { series: series.0.to_string(), source })?;
            sums.push((row, sum));
        }
        for (row, sum) in sums {
            let (series, time) = (batch.refs[row as usize], batch.timestamps_ms[row as usize]);
            let sum = batch.set_sum(row, sum);
            self.newest.insert(series, Some((time, sum)));
        }
        Ok(true)
    }

    /// The newest sample of a series in head, blocks and the group so far.
    fn newest(&mut self, series_ref: SeriesRef) -> Result<&Option<(i64, Value)>, EngineError> {
        if !self.newest.contains_key(&series_ref) {
            let found = self.stored(series_ref)?;
            self.newest.insert(series_ref, found);
        }
        Ok(&self.newest[&series_ref])
    }

    fn stored(&mut self, series_ref: SeriesRef) -> Result<Option<(i64, Value)>, EngineError> {
        let series = self.catalog.get(series_ref).ok_or(EngineError::UnknownSeries)?;
        let mut newest_ms = series.newest_ms();
        // Most series have a newer sample in the head than any block has. What came into the head anew asks the blocks.
        if newest_ms.is_none_or(|time| time <= self.blocks_maxt_ms) {
            newest_ms = newest_ms.max(self.stored_values.newest_ms(&series.labels));
        }
        let Some(time) = newest_ms else { return Ok(None) };
        let in_blocks = || {
            let may_have = time <= self.blocks_maxt_ms;
            may_have.then(|| self.stored_values.get(series_ref.0, &series.labels, time)).flatten()
        };
        let value = series.value_at(time, in_blocks);
        let value = value.map_err(|source| EngineError::Chunk { series: series.labels.to_string(), source })?;
        Ok(value.map(|value| (time, value)))
    }
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
