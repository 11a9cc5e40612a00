//! What the evaluator needs from a storage.

use crate::error::StorageError;
use crate::options::Cancel;
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_downsample::{Buckets, Stored};
use mytsdb_model::{Labels, Matcher, TimeRange};
use std::any::Any;
use std::sync::Arc;

/// What the evaluator knows about a selection beyond its matchers. A storage may ignore all but `range`.
#[derive(Debug, Clone)]
pub struct SelectHints {
    /// Samples outside are not read.
    pub range: TimeRange,
    /// Step of the evaluation; 0 for an instant query.
    pub step_ms: i64,
    /// Series without a sample in `range` are not wanted, though it takes longer to tell. Evaluations do not care.
    pub stored: bool,
    /// Width of the range selector; 0 for an instant selector.
    pub range_ms: i64,
    /// The order of series does not matter.
    pub any_order: bool,
    /// Tells when nobody waits for the answer any more. A storage that looks at it every millisecond or so and then
    /// gives any error ends the query at once.
    pub cancel: Cancel,
}

impl SelectHints {
    /// A selection in `range` that is stopped by `cancel`, with nothing else known about it.
    pub fn new(range: TimeRange, cancel: &Cancel) -> Self {
        Self { range, step_ms: 0, stored: false, range_ms: 0, any_order: false, cancel: cancel.clone() }
    }
}

/// A moment of a storage, from which on it can tell what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadStamp {
    /// Which storage of this process, opened anew or not.
    pub storage: u64,
    /// The moment.
    pub moment: u64,
}

/// Series and samples, addressed by matchers and time.
pub trait Storage: Send + Sync {
    /// Series that satisfy all matchers and may have samples in `hints.range`, in ascending order of labels unless
    /// `hints.any_order`, each label set once.
    ///
    /// # Errors
    /// Whatever keeps the storage from answering completely.
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError>;

    /// Whether every sample is a float without a start time and no series has a label `__type__` or `__unit__`.
    ///
    /// Then reading fewer series cannot hide a remark, and the planner may do so more often. `false` is always right.
    fn is_plain(&self) -> bool;

    /// Sentences that an answer over `range` must carry: parts of the storage that could not be read, for example. Asked
    /// after the samples were read, once for each range of a selector. A storage that reads everything or fails has none.
    fn warnings(&self, range: TimeRange) -> Vec<String> {
        let _ = range;
        Vec::new()
    }

    /// A stamp for what is read from here on, for [`Storage::changed_since`]. `None` is always right: the storage cannot tell what changes.
    fn stamp(&self) -> Option<ReadStamp> {
        None
    }

    /// A time before which samples of series with this metric name are, within a range, as they were for who read after taking the stamp,
    /// and that range has no warnings; `i64::MAX` if all of them are. Must take into account what was acknowledged or returned to anybody
    /// before the call. Any earlier time is right too, and `i64::MIN` always.
    fn changed_since(&self, stamp: ReadStamp, metric: &str, range: TimeRange) -> i64 {
        let (_, _, _) = (stamp, metric, range);
        i64::MIN
    }
}

/// A storage that also lists the labels of its series, which no query needs and an API does.
pub trait LabelStorage: Storage {
    /// Label names, sorted and unique; of all series if `matchers` is empty. At most `limit` (0 = no limit). May end
    /// with any error once `cancel` says so.
    ///
    /// # Errors
    /// Whatever keeps the storage from answering completely.
    fn label_names(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError>;

    /// Values of label `name`, sorted and unique; of all series if `matchers` is empty. At most `limit` (0 = no limit).
    /// May end with any error once `cancel` says so.
    ///
    /// # Errors
    /// Whatever keeps the storage from answering completely.
    fn label_values(
        &self,
        name: &str,
        range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError>;
}

/// What was found out about the labels of some series, for those who know its type.
pub type Finding = Arc<dyn Any + Send + Sync>;

/// A set of series of which some may be there as buckets, in place of samples.
pub trait DownsampledSet {
    /// Appends what there is of series `index` to `out` if some of it is buckets and all else are floats: buckets whose last sample is in
    /// `range`, and single samples as buckets of their own; ascending by last sample. Samples alone are to be [read](SeriesSet::read), and with
    /// histograms beside buckets that gives the last sample of each bucket.
    ///
    /// # Errors
    /// As [`SeriesSet::read`].
    fn read_buckets(&self, index: usize, range: TimeRange, out: &mut Buckets) -> Result<Stored, StorageError>;
}

/// The series of one selection. No method but [`SeriesSet::is_empty`] and [`SeriesSet::downsampled`] has a default, so that what wraps a
/// set cannot forget to hand one on. The samples stay in the storage until [`SeriesSet::read`].
pub trait SeriesSet: Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same set, if any of its series may be there as buckets in place of samples. Who wraps another set must hand it on.
    fn downsampled(&self) -> Option<&dyn DownsampledSet> {
        None
    }

    /// Whether a series may have a label of this name: `false` only if none has. Cheap, or `true`.
    fn may_have_label(&self, name: &str) -> bool;

    /// Labels of series `index`, which is below [`SeriesSet::len`].
    fn labels(&self, index: usize) -> &Labels;

    /// What an equal selection, of the same series in the same order, was told to [remember](SeriesSet::remember) for
    /// `key`. `None` is always right.
    fn recall(&self, key: &[u8]) -> Option<Finding>;

    /// Keeps for `key` what follows from the labels of the series and their order alone, and takes `bytes`, if the
    /// storage has room for it.
    fn remember(&self, key: &[u8], finding: Finding, bytes: usize);

    /// Appends the samples of series `index` in `range` to `out`, ascending and unique in time. `out` is cleared by
    /// the caller. Cost: decoding.
    ///
    /// # Errors
    /// Whatever keeps the storage from answering completely.
    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError>;

    /// Puts the samples of series `index` in `range` into a table, which is empty, if they are nothing but histograms and the
    /// storage can do that. Else `false`, which is always right: the samples are [read](SeriesSet::read) then, and the table
    /// has no meaning. Samples outside the range may come with it, stale markers are among them.
    ///
    /// With `with_hints` the hints that the table tells of rows in the range are those that `read` gives; else they may be
    /// of less use.
    ///
    /// # Errors
    /// Whatever keeps the storage from answering completely.
    fn read_table(
        &self,
        index: usize,
        range: TimeRange,
        with_hints: bool,
        out: &mut HistogramTable,
    ) -> Result<bool, StorageError>;

    /// Puts the samples of series `index` in `range` into an outline, whatever it had, if they are nothing but floats and the storage can do that: stretches
    /// where `outlining` allows them and it knows their statistics, else samples. Else `false`, which is always right: the samples are
    /// [read](SeriesSet::read) then, and the outline has no meaning.
    ///
    /// # Errors
    /// Whatever keeps the storage from answering completely.
    fn read_outline(
        &self,
        index: usize,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, StorageError>;
}
