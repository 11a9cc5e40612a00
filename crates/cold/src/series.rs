//! Series of a day that were found, and their samples, which are read some series at a time.

use crate::ahead::Question;
use crate::source::DayFiles;
use mytsdb_blocks::{Tombstone, keep};
use mytsdb_cache::Origin;
use mytsdb_columns::{Columns, Mark};
use mytsdb_engine::{EngineError, SourceSeries};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_parquet_tier::{DayReader, Series, TierError};
use mytsdb_stop::StopSign;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Samples that are read at once, unless one series has more. A histogram counts as [`HISTOGRAM_SAMPLES`].
pub(crate) const GROUP_SAMPLES: u64 = 1 << 15;
const HISTOGRAM_SAMPLES: u64 = 16;

/// Buckets that are read at once, unless one series has more.
pub(crate) const GROUP_BUCKETS: u64 = 1 << 12;

/// Groups that a selection holds: threads of a query are at different places.
const GROUPS_HELD: usize = 3;

/// Series that satisfy some matchers, in the order of the file.
#[derive(Debug)]
pub(crate) struct Listed {
    series: Arc<[Series]>,
    /// The first series of each group, and behind the last the number of series.
    groups: Box<[u32]>,
    /// Places in the order of labels, if the file has another.
    order: Option<Arc<Vec<u32>>>,
    /// Bytes of labels that nobody else holds.
    own_bytes: usize,
    /// Samples of a group.
    group_samples: u64,
}

impl Listed {
    /// Lists series in groups of so many samples, [`GROUP_SAMPLES`] or [`GROUP_BUCKETS`].
    pub fn new(series: Vec<Series>, group_samples: u64) -> Self {
        let (mut groups, mut samples) = (Vec::new(), u64::MAX);
        for (at, series) in (0..).zip(&series) {
            let more = series.sample_count() + series.histogram_count() * (HISTOGRAM_SAMPLES - 1);
            samples = samples.saturating_add(more);
            if samples > group_samples {
                groups.push(at);
                samples = more;
            }
        }
        groups.push(series.len() as u32);
        let order = if series.is_sorted_by(|a, b| a.labels() <= b.labels()) {
            None
        } else {
            let mut order: Vec<u32> = (0..series.len() as u32).collect();
            order.sort_by(|a, b| series[*a as usize].labels().cmp(series[*b as usize].labels()));
            Some(Arc::new(order))
        };
        let own_bytes = series.iter().map(|series| series.labels().as_bytes().len() + 2 * size_of::<usize>()).sum();
        Self { series: series.into(), groups: groups.into(), order, own_bytes, group_samples }
    }

    /// The one series of exactly these labels.
    pub fn only(self, labels: &Labels) -> Option<Self> {
        let found = self.series.iter().find(|series| series.labels() == labels)?;
        Some(Self::new(vec![found.clone()], self.group_samples))
    }

    /// Takes labels that are in memory already in place of its own.
    pub fn share(&mut self, share: &dyn Fn(&mut [Labels]) -> usize) {
        let Some(all) = Arc::get_mut(&mut self.series) else { return };
        self.own_bytes = 0;
        for part in all.chunks_mut(256) {
            let mut labels: Vec<Labels> = part.iter().map(|series| series.labels().clone()).collect();
            self.own_bytes += share(&mut labels);
            part.iter_mut().zip(&labels).for_each(|(series, labels)| series.share_labels(labels));
        }
    }

    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.series.iter().map(Series::labels)
    }

    pub fn bytes(&self) -> usize {
        let order = self.order.as_ref().map_or(0, |order| order.len() * size_of::<u32>());
        size_of::<Self>() + self.series.len() * size_of::<Series>() + self.groups.len() * 4 + order + self.own_bytes
    }

    /// The series, in the order of the file.
    pub fn series(&self) -> &Arc<[Series]> {
        &self.series
    }

    /// Places in the order of labels, if the file has another.
    pub fn order(&self) -> Option<&Arc<Vec<u32>>> {
        self.order.as_ref()
    }

    /// The group of a series.
    pub fn group_of(&self, place: u32) -> usize {
        self.groups.partition_point(|first| *first <= place) - 1
    }

    /// The series of a group.
    pub fn group(&self, group: usize) -> Range<usize> {
        self.groups[group] as usize..self.groups[group + 1] as usize
    }
}

/// The samples of a group that were read, by place in it. Threads that want the same group wait for the first.
type Slot = Arc<Mutex<Vec<Option<Arc<Columns>>>>>;

/// The same series, readable.
pub(crate) struct DaySeries {
    files: Arc<DayFiles>,
    deletions: Arc<[Tombstone]>,
    list: Arc<Listed>,
    held: Mutex<VecDeque<(usize, Slot)>>,
    /// What was asked, if others like it may come.
    question: Option<Question>,
    /// Set with the first samples that are read: who wants labels alone is no reason to read ahead.
    is_told: OnceLock<()>,
}

impl DaySeries {
    /// `question` is what was asked, if others like it may come.
    pub fn new(
        files: Arc<DayFiles>,
        deletions: Arc<[Tombstone]>,
        list: Arc<Listed>,
        question: Option<Question>,
    ) -> Self {
        Self { files, deletions, list, held: Mutex::default(), question, is_told: OnceLock::new() }
    }

    fn hidden(&self, labels: &Labels) -> Vec<TimeRange> {
        hidden(&self.deletions, labels)
    }

    fn slot(&self, group: usize) -> Slot {
        let mut held = self.held.lock();
        if let Some(at) = held.iter().position(|(number, _)| *number == group)
            && let Some(found) = held.remove(at)
        {
            held.push_back(found.clone());
            return found.1;
        }
        if held.len() >= GROUPS_HELD {
            held.pop_front();
        }
        let slot = Slot::default();
        held.push_back((group, slot.clone()));
        slot
    }

    /// All samples of a series that is not in the caches. What else of its group is not there is read with it.
    fn fetch(&self, place: u32) -> Result<Arc<Columns>, EngineError> {
        let group = self.list.group_of(place);
        let places = self.list.group(group);
        let (first, at) = (places.start, place as usize - places.start);
        let slot = self.slot(group);
        let mut held = slot.lock();
        held.resize(places.len(), None);
        if let Some(samples) = &held[at] {
            return Ok(samples.clone());
        }
        let cached = &self.files.cached;
        let is_wanted = |other: &usize| {
            held[*other - first].is_none() && (*other == place as usize || !cached.has(&self.list.series[*other]))
        };
        let wanted: Vec<usize> = places.filter(is_wanted).collect();
        let (list, asked, range) = (self.list.series.clone(), wanted.clone(), self.files.live.range);
        let read = self.files.read(StopSign::NEVER, move |reader| async move {
            let series: Vec<Series> = asked.into_iter().map(|place| list[place].clone()).collect();
            read_all(&reader, &series, range).await
        })?;
        for (place, samples) in wanted.into_iter().zip(read) {
            cached.put(&self.list.series[place], &samples, Origin::Asked);
            held[place - first] = Some(samples);
        }
        Ok(held[at].clone().expect("each series that is asked for is read"))
    }
}

/// Times that are deleted of a series.
pub(crate) fn hidden(deletions: &[Tombstone], labels: &Labels) -> Vec<TimeRange> {
    deletions.iter().filter(|deletion| deletion.matches(labels)).map(|deletion| deletion.range).collect()
}

/// Reads all samples of series, for whoever has the files.
pub(crate) async fn read_all(
    reader: &DayReader,
    series: &[Series],
    range: TimeRange,
) -> Result<Vec<Arc<Columns>>, TierError> {
    let mut all = Vec::with_capacity(series.len());
    reader
        .read(series, range, |_, columns| {
            let mut columns = std::mem::take(columns);
            columns.shrink_to_fit();
            all.push(Arc::new(columns));
            Ok::<(), TierError>(())
        })
        .await?;
    Ok(all)
}

impl SourceSeries for DaySeries {
    fn len(&self) -> usize {
        self.list.series.len()
    }

    fn by_labels(&self, _: StopSign<'_>) -> Result<Option<&Arc<Vec<u32>>>, EngineError> {
        Ok(self.list.order.as_ref())
    }

    fn labels(&self, place: u32, _: [u32; 2]) -> &Labels {
        self.list.series[place as usize].labels()
    }

    fn has(&self, place: u32, range: TimeRange) -> Result<bool, EngineError> {
        let series = &self.list.series[place as usize];
        if !series.range().overlaps(range) {
            return Ok(false);
        }
        if self.hidden(series.labels()).is_empty() {
            return Ok(true);
        }
        let mut columns = Columns::default();
        self.read(place, u32::MAX, range, &mut columns, Mark::default())?;
        Ok(!columns.is_empty())
    }

    fn read(&self, place: u32, _: u32, range: TimeRange, out: &mut Columns, from: Mark) -> Result<bool, EngineError> {
        let series = &self.list.series[place as usize];
        if !series.range().overlaps(range) {
            return Ok(true);
        }
        self.is_told.get_or_init(|| {
            if let Some(question) = &self.question {
                self.files.ahead.asked(question);
            }
        });
        let at = out.mark();
        let mut hidden = self.hidden(series.labels());
        let copied = self.files.cached.read(series, |samples| keep(samples, range, &mut hidden, out));
        if copied.is_none() {
            let samples = self.fetch(place)?;
            keep(&samples, range, &mut hidden, out);
        }
        Ok(out.continues_at(at, from))
    }
}
