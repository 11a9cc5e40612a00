//! Lower resolutions: buckets merged to those of a smaller exponential schema.

use super::spans::{self, Sparse};
use super::{FloatHistogram, HistogramError};

impl FloatHistogram {
    /// A copy at a lower (or the same) exponential resolution; count, sum, zero bucket and hint stay.
    ///
    /// # Errors
    /// [`HistogramError::CannotRaiseResolution`] for a higher schema, [`HistogramError::IncompatibleSchemas`] between
    /// exponential and custom buckets.
    pub fn copy_to_schema(&self, schema: i32) -> Result<Self, HistogramError> {
        let mut copy = self.clone();
        copy.reduce_resolution(schema)?;
        Ok(copy)
    }

    /// [`copy_to_schema`](Self::copy_to_schema) in place.
    ///
    /// # Errors
    /// As there; `self` is unchanged then.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), HistogramError> {
        if schema == self.schema {
            return Ok(());
        }
        if self.uses_custom_buckets() || schema == super::CUSTOM_SCHEMA {
            return Err(HistogramError::IncompatibleSchemas);
        }
        if schema > self.schema {
            return Err(HistogramError::CannotRaiseResolution { from: self.schema, to: schema });
        }
        self.reduce_to(schema);
        Ok(())
    }

    /// Does nothing unless `schema` is lower. Only for exponential buckets.
    pub(super) fn reduce_to(&mut self, schema: i32) {
        if schema < self.schema {
            let positive = reduced(self.positive(), self.schema, schema);
            let negative = reduced(self.negative(), self.schema, schema);
            (self.positive_spans, self.positive_buckets) = spans::build(positive, 0);
            (self.negative_spans, self.negative_buckets) = spans::build(negative, 0);
            self.schema = schema;
        }
    }
}

/// The bucket of schema `to` that holds bucket `index` of the higher schema `from`.
pub(super) fn target_index(index: i64, from: i32, to: i32) -> i64 {
    ((index - 1) >> from.abs_diff(to).min(62)) + 1
}

/// Merges ascending buckets of schema `from` into those of schema `to`, unless that is no lower.
pub(super) fn reduced(buckets: impl Iterator<Item = (i64, f64)>, from: i32, to: i32) -> Sparse {
    if to >= from {
        return buckets.collect();
    }
    gathered(buckets.map(|(index, count)| (target_index(index, from, to), count)))
}

/// Sums neighbours of one index.
pub(super) fn gathered(buckets: impl Iterator<Item = (i64, f64)>) -> Sparse {
    let mut sums = Sparse::new();
    for (index, count) in buckets {
        match sums.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            _ => sums.push((index, count)),
        }
    }
    sums
}
