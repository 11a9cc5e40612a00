//! What the nodes of a plan took, counted while a query runs.

use crate::error::StorageError;
use crate::storage::{DownsampledSet, Finding, SeriesSet};
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_downsample::{Buckets, Stored};
use mytsdb_model::{Labels, TimeRange};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts of one node.
// Relaxed throughout: counters that order nothing, read when the threads that add to them are gone.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    nanos: AtomicU64,
    evaluations: AtomicU64,
    reuses: AtomicU64,
    rows: AtomicU64,
    series: AtomicU64,
    samples: AtomicU64,
}

impl Meter {
    /// One evaluation: how long it took, with all below, and how many rows it gave.
    pub fn evaluated(&self, took: Duration, rows: usize) {
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.evaluations.fetch_add(1, Ordering::Relaxed);
    }

    /// The result was taken from a node like this one.
    pub fn reused(&self) {
        self.reuses.fetch_add(1, Ordering::Relaxed);
    }

    /// Series that a selector found.
    pub fn found(&self, series: usize) {
        self.series.fetch_add(series as u64, Ordering::Relaxed);
    }

    pub fn took(&self) -> Option<Duration> {
        let ran = self.evaluations.load(Ordering::Relaxed) > 0;
        ran.then(|| Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }

    pub fn was_reused(&self) -> bool {
        self.reuses.load(Ordering::Relaxed) > 0
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub fn series(&self) -> u64 {
        self.series.load(Ordering::Relaxed)
    }

    pub fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }
}

/// A selection that counts the samples read from it.
pub(crate) struct MeteredSet<'a> {
    pub inner: Box<dyn SeriesSet + 'a>,
    pub meter: &'a Meter,
}

impl SeriesSet for MeteredSet<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.labels(index)
    }

    fn downsampled(&self) -> Option<&dyn DownsampledSet> {
        self.inner.downsampled().is_some().then_some(self)
    }

    fn recall(&self, key: &[u8]) -> Option<Finding> {
        self.inner.recall(key)
    }

    fn remember(&self, key: &[u8], finding: Finding, bytes: usize) {
        self.inner.remember(key, finding, bytes);
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        let before = out.len();
        self.inner.read(index, range, out)?;
        self.meter.samples.fetch_add((out.len() - before) as u64, Ordering::Relaxed);
        Ok(())
    }

    fn read_table(
        &self,
        index: usize,
        range: TimeRange,
        with_hints: bool,
        out: &mut HistogramTable,
    ) -> Result<bool, StorageError> {
        let is_read = self.inner.read_table(index, range, with_hints, out)?;
        if is_read {
            self.meter.samples.fetch_add(out.rows_in(range).len() as u64, Ordering::Relaxed);
        }
        Ok(is_read)
    }

    fn read_outline(
        &self,
        index: usize,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, StorageError> {
        let is_read = self.inner.read_outline(index, range, outlining, out)?;
        if is_read {
            self.meter.samples.fetch_add(out.len() as u64, Ordering::Relaxed);
        }
        Ok(is_read)
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.inner.may_have_label(name)
    }
}

impl DownsampledSet for MeteredSet<'_> {
    fn read_buckets(&self, index: usize, range: TimeRange, out: &mut Buckets) -> Result<Stored, StorageError> {
        let before = out.len();
        let Some(inner) = self.inner.downsampled() else { return Ok(Stored::Samples) };
        let stored = inner.read_buckets(index, range, out)?;
        self.meter.samples.fetch_add((out.len() - before) as u64, Ordering::Relaxed);
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two series that know what they are asked.
    struct Knowing(Labels);

    impl SeriesSet for Knowing {
        fn len(&self) -> usize {
            2
        }

        fn may_have_label(&self, name: &str) -> bool {
            name == "there"
        }

        fn labels(&self, _: usize) -> &Labels {
            &self.0
        }

        fn downsampled(&self) -> Option<&dyn DownsampledSet> {
            Some(self)
        }

        fn recall(&self, key: &[u8]) -> Option<Finding> {
            (key == b"known").then(|| std::sync::Arc::new(7_u32) as Finding)
        }

        fn remember(&self, _: &[u8], _: Finding, _: usize) {}

        fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
            out.timestamps_ms.push(range.mint + index as i64);
            out.values.push(1.0);
            Ok(())
        }

        fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
            Ok(false)
        }

        fn read_outline(
            &self,
            _: usize,
            _: TimeRange,
            _: &Outlining<'_>,
            _: &mut Outline,
        ) -> Result<bool, StorageError> {
            Ok(false)
        }
    }

    impl DownsampledSet for Knowing {
        fn read_buckets(&self, _: usize, range: TimeRange, out: &mut Buckets) -> Result<Stored, StorageError> {
            out.push(&mytsdb_downsample::Bucket::sample(range.mint, 1.0));
            Ok(Stored::Buckets)
        }
    }

    #[test]
    fn counting_samples_changes_nothing_that_an_evaluation_asks() {
        let meter = Meter::default();
        let set = MeteredSet { inner: Box::new(Knowing(Labels::empty())), meter: &meter };
        assert!(set.may_have_label("there") && !set.may_have_label("absent"));
        assert!(set.recall(b"known").is_some() && set.recall(b"new").is_none());
        let mut columns = Columns::default();
        set.read(1, TimeRange::new(5, 9), &mut columns).unwrap();
        assert_eq!((columns.timestamps_ms, set.len(), meter.samples()), (vec![6], 2, 1));
        let mut buckets = Buckets::default();
        let stored = set.downsampled().unwrap().read_buckets(0, TimeRange::new(5, 9), &mut buckets).unwrap();
        assert_eq!((stored, buckets.lasts_ms, meter.samples()), (Stored::Buckets, vec![5], 2));
    }
}
