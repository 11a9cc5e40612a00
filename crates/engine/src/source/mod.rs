//! What has samples and can be asked for them: the seam between the reader and the head, the blocks, and others.
//!
//! `docs/sources.md` says how the reader asks, and what holds while sources come and go.

mod manifest;

pub(crate) use manifest::Manifest;

use crate::EngineError;
use mytsdb_blocks::Tombstone;
use mytsdb_columns::{Columns, HistogramTable, Mark, Outline, Outlining};
use mytsdb_downsample::{Buckets, Resolution};
use mytsdb_index::TextList;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::any::Any;
use std::sync::Arc;

/// What is asked of [`Engine::candidates`](crate::Engine::candidates), and of every source.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// Samples outside are of no interest.
    pub range: TimeRange,
    /// All of them hold for every series found; none: every series.
    pub matchers: &'a [Matcher],
    /// Series may come in any order, which saves sorting them when only one source has any.
    pub any_order: bool,
    /// The width of buckets that is wanted where there are buckets of several.
    pub resolution: Resolution,
    /// Ends the lookup with [`EngineError::Canceled`].
    pub stop: StopSign<'a>,
}

impl<'a> Lookup<'a> {
    /// A lookup in the order of labels that nobody stops.
    pub fn new(range: TimeRange, matchers: &'a [Matcher]) -> Self {
        Self { range, matchers, any_order: false, resolution: Resolution::FiveMinutes, stop: StopSign::NEVER }
    }
}

/// Who a source is. Of two samples with one time, that of the lower id stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceId {
    /// One that is no part of the engine, by a number that no other has had; those that are served later have higher ones.
    Outside(u64),
    /// What cannot be read of blocks.
    Damage,
    /// A block, by its id.
    Block(u64),
    /// The head.
    Head,
}

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// Names of labels.
    Names,
    /// Values of the label of this name.
    Values(&'a str),
}

/// What a source wants to be reminded of when it is asked the same again.
#[derive(Debug, Clone)]
pub struct Known {
    /// Only the source knows its type.
    pub what: Arc<dyn Any + Send + Sync>,
    /// Its size in memory.
    pub bytes: usize,
}

/// When a live source was asked; only the source can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub [u64; 2]);

/// What a source has that has buckets in place of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coarse {
    /// The width of its buckets.
    pub resolution: Resolution,
    /// The day that they are of. Sources of one day and different widths were made from the same samples: of each series one is read.
    pub day: TimeRange,
}

/// A question for series.
pub struct Ask<'a> {
    /// The question.
    pub lookup: &'a Lookup<'a>,
    /// What the source wanted to remember when it was last asked with these matchers, whatever the range.
    pub known: Option<&'a Known>,
    /// Replaces label sets by equal ones that are in memory already, so that comparing them compares pointers; gives back the bytes of
    /// those that are not. Cost: a lookup for each.
    pub share: &'a dyn Fn(&mut [Labels]) -> usize,
}

/// The series of a source that satisfy some matchers.
pub struct Found {
    /// The series. Some may have no samples in the range.
    pub series: Arc<dyn SourceSeries>,
    /// What to give back with the next equal question: what was given, if it is still true.
    pub known: Known,
    /// The series are those of the `known` that was given, in the same order.
    pub same_series: bool,
}

impl Found {
    /// No series, and nothing to remember.
    pub fn nothing() -> Self {
        Self { series: Arc::new(NoSeries), known: Known { what: Arc::new(()), bytes: 0 }, same_series: false }
    }
}

/// Something that has samples.
///
/// Every method but [`select`](Source::select), [`find`](Source::find) and [`texts`](Source::texts) answers at once. A source that cannot
/// be asked answers those, and reads, with [`EngineError::Unavailable`]: it is left out of the answer then, which says so.
pub trait Source: Send + Sync {
    /// Who it is. Never changes.
    fn id(&self) -> SourceId;

    /// It has no sample outside.
    fn range(&self) -> TimeRange;

    /// Another one whenever it has other samples than before under the same [`id`](Source::id); `None` if they change at any time.
    fn version(&self) -> Option<u64>;

    /// Whether every sample is a float without a start time. `false` is always right.
    fn is_plain(&self) -> bool;

    /// What it has in place of samples, if that is buckets. Never changes.
    fn coarse(&self) -> Option<Coarse> {
        None
    }

    /// May begin to fetch what an answer needs. Waits for nothing, reports nothing.
    fn prepare(&self, lookup: &Lookup<'_>) {
        let _ = lookup;
    }

    /// Its series that satisfy all matchers.
    ///
    /// # Errors
    /// [`EngineError::Canceled`] when told to stop; [`EngineError::Unavailable`]; what makes the whole answer fail.
    fn select(self: Arc<Self>, ask: &Ask<'_>) -> Result<Found, EngineError>;

    /// The series of exactly these labels, by itself, if there is one.
    ///
    /// # Errors
    /// As [`select`](Source::select).
    fn find(self: Arc<Self>, labels: &Labels) -> Result<Option<Arc<dyn SourceSeries>>, EngineError>;

    /// Names or values, ascending, of labels of its series that satisfy the matchers. Series without samples in the range may be among them.
    /// A source without a [`version`](Source::version) says of which moment the list is, if it can tell later what has come since.
    ///
    /// # Errors
    /// As [`select`](Source::select).
    fn texts(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        known: Option<&Known>,
    ) -> Result<(TextList, Option<Moment>), EngineError>;

    /// The texts that [`texts`](Source::texts) would list now and did not at that moment: those of which `is_new` holds; ascending. `None` if
    /// it cannot tell, as a source that gives no moments.
    ///
    /// # Errors
    /// As [`select`](Source::select).
    #[expect(unused_variables, reason = "a source that gives no moments is not asked about one")]
    fn texts_since(
        &self,
        moment: Moment,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        is_new: &dyn Fn(&str) -> bool,
    ) -> Result<Option<(TextList, Moment)>, EngineError> {
        Ok(None)
    }

    /// Whether any series may have a label of this name; `false` only if none has.
    ///
    /// # Errors
    /// As [`select`](Source::select).
    fn has_label_name(&self, name: &str) -> Result<bool, EngineError>;

    /// Counts the times that samples have left it for sources served later: after they were served, before they left.
    fn moved_out(&self) -> u64 {
        0
    }

    /// What [`Ask::share`] does, for others.
    fn share(&self, labels: &mut [Labels]) -> usize {
        labels.iter().map(|labels| labels.as_bytes().len() + 2 * size_of::<usize>()).sum()
    }

    /// The same source without what a deletion hides of it; `None` if that is nothing. Asked of sources outside of the engine only.
    fn without(&self, deletion: &Tombstone) -> Option<Arc<dyn Source>> {
        let _ = deletion;
        None
    }

    /// Whether it may have samples that the deletion of this id hides: as long as that is so the deletion is kept.
    fn is_hit_by(&self, deletion: u64) -> bool {
        let _ = deletion;
        false
    }

    /// Sentences that every answer over a range must carry, in bounds. Asked after the samples were read.
    fn warnings(&self, range: TimeRange) -> Vec<String> {
        let _ = range;
        Vec::new()
    }
}

/// Series of one source, by places from 0 on. They stay readable for as long as somebody has them.
pub trait SourceSeries: Send + Sync {
    /// The number of series.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The places in the order of labels; `None` if they are in that order, as those of most sources.
    ///
    /// # Errors
    /// [`EngineError::Canceled`].
    fn by_labels(&self, stop: StopSign<'_>) -> Result<Option<&Arc<Vec<u32>>>, EngineError> {
        let _ = stop;
        Ok(None)
    }

    /// The labels of a series. `ahead` are places, or none, whose labels will be asked for soon and later.
    ///
    /// # Panics
    /// If there is no such place.
    fn labels(&self, place: u32, ahead: [u32; 2]) -> &Labels;

    /// Whether a series may have samples in a range. `false` is certain, `true` always right.
    ///
    /// # Errors
    /// As [`Source::select`].
    fn has(&self, place: u32, range: TimeRange) -> Result<bool, EngineError> {
        let _ = (place, range);
        Ok(true)
    }

    /// Decodes what there is of a series in a range behind what the columns hold; tells whether that, with what they hold from `from` on, is
    /// in order. Samples outside the range may come with it. `ahead` is a place, or none, that will be read soon.
    ///
    /// # Errors
    /// As [`Source::select`]; what the columns hold behind their old end has no meaning then.
    fn read(
        &self,
        place: u32,
        ahead: u32,
        range: TimeRange,
        out: &mut Columns,
        from: Mark,
    ) -> Result<bool, EngineError>;

    /// Hears that the buckets of a series are about to be read, after those of other sources. Waits for nothing, reports nothing.
    fn begin_buckets(&self, place: u32) {
        let _ = place;
    }

    /// Appends the buckets of a series whose last samples are in a range, in order. Asked of a [coarse](Source::coarse) source alone,
    /// whose [`read`](SourceSeries::read) gives the last sample of each bucket.
    ///
    /// # Errors
    /// As [`Source::select`]; what the buckets hold behind their old end has no meaning then.
    fn read_buckets(&self, place: u32, range: TimeRange, out: &mut Buckets) -> Result<(), EngineError> {
        let (_, _, _) = (place, range, out);
        Ok(())
    }

    /// Appends what there is of a series in a range to a table, if that is nothing but histograms, in order and behind those that the
    /// table holds. Else `false`, which is always right: the series has to be [read](SourceSeries::read) then, and the table has no
    /// meaning. Samples outside the range may come with it.
    ///
    /// # Errors
    /// As [`Source::select`]; the table has no meaning then, either.
    fn read_table(&self, place: u32, range: TimeRange, out: &mut HistogramTable) -> Result<bool, EngineError> {
        let _ = (place, range, out);
        Ok(false)
    }

    /// Appends what there is of a series in a range to an outline, if that is nothing but floats, in order and behind those that the outline has;
    /// `outlining` says what of it may be a stretch. Else `false`, which is always right: the series has to be [read](SourceSeries::read)
    /// then, and the outline has no meaning. Samples outside the range may come with it, but in no stretch. `ahead` is as in `read`.
    ///
    /// # Errors
    /// As [`Source::select`]; the outline has no meaning then, either.
    fn read_outline(
        &self,
        place: u32,
        ahead: u32,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, EngineError> {
        let _ = outlining;
        let (at, last_ms) = (out.columns.mark(), out.last_ms());
        let ordered = self.read(place, ahead, range, &mut out.columns, at)?;
        let is_behind = out.columns.timestamps_ms.get(at.floats).is_none_or(|first_ms| Some(*first_ms) > last_ms);
        Ok(ordered && is_behind && out.columns.histograms.is_empty())
    }
}

/// The series of a source that has none.
struct NoSeries;

impl SourceSeries for NoSeries {
    fn len(&self) -> usize {
        0
    }

    fn labels(&self, place: u32, _: [u32; 2]) -> &Labels {
        unreachable!("place {place} of no series")
    }

    fn read(&self, _: u32, _: u32, _: TimeRange, _: &mut Columns, _: Mark) -> Result<bool, EngineError> {
        Ok(true)
    }
}
