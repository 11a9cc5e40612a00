//! The files of a day as a source of the engine.

use crate::ahead::{Ahead, Question};
use crate::cached::Cached;
use crate::coarse::CoarseSeries;
use crate::metrics::Metrics;
use crate::options::Unreachable;
use crate::remote::{NoAnswer, Remote};
use crate::series::{DaySeries, GROUP_BUCKETS, GROUP_SAMPLES, Listed};
use mytsdb_blocks::Tombstone;
use mytsdb_cache::Caches;
use mytsdb_engine::{Ask, Asked, Coarse, EngineError, Found, Known, Lookup, Moment, Source, SourceId, SourceSeries};
use mytsdb_index::TextList;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{DayReader, LiveDay, TierError};
use mytsdb_stop::StopSign;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::future::Future;
use std::sync::{Arc, OnceLock};

/// What all forms of a day share, whatever is deleted of it.
pub(crate) struct DayFiles {
    pub live: Arc<LiveDay>,
    number: u64,
    remote: Arc<Remote>,
    unreachable: Unreachable,
    metrics: Metrics,
    /// What was read of it before, by anybody.
    pub cached: Cached,
    /// What may be asked of it next.
    pub ahead: Arc<Ahead>,
    /// Names of its labels, once they were read.
    names: OnceLock<BTreeSet<String>>,
    /// Deletions that were found to be about none of its series.
    harmless: Mutex<HashSet<u64>>,
}

/// The files of a day, and what is deleted of them. It never changes: a deletion puts another one in its place.
pub(crate) struct DaySource {
    files: Arc<DayFiles>,
    /// Those that may be about it, all younger than its files.
    deletions: Arc<[Tombstone]>,
}

impl DayFiles {
    pub fn new(
        live: LiveDay,
        remote: Arc<Remote>,
        (caches, ahead): (Arc<Caches>, Arc<Ahead>),
        unreachable: Unreachable,
        metrics: Metrics,
    ) -> Self {
        let (number, cached) = (live.number, Cached::new(caches, &live));
        let (names, harmless) = (OnceLock::new(), Mutex::default());
        Self { live: Arc::new(live), number, remote, unreachable, metrics, cached, ahead, names, harmless }
    }

    /// Its place in the order of writing.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who asks the store for it.
    pub fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Says that a deletion is about none of its series.
    pub fn note_harmless(&self, deletion: u64) {
        self.harmless.lock().insert(deletion);
    }

    /// Whether a deletion may hide samples of it.
    pub fn may_be_hit(&self, deletion: &Tombstone) -> bool {
        self.number < deletion.blocks_below
            && deletion.range.overlaps(self.live.range)
            && !self.harmless.lock().contains(&deletion.id)
    }

    /// What an answer is when the files cannot be read.
    pub fn failed(&self, error: NoAnswer) -> EngineError {
        let reason = match error {
            NoAnswer::Canceled => return EngineError::Canceled,
            NoAnswer::Failed(error) => error.to_string(),
            NoAnswer::Lost => "a task ended without an answer".to_owned(),
        };
        self.metrics.read_failures.inc();
        let what = format!("{} of the cold tier", self.live.day);
        match self.unreachable {
            Unreachable::Warn => EngineError::Unavailable { what, reason },
            Unreachable::Error => EngineError::Incomplete { what, reason },
        }
    }

    /// Waits for something that is read from the files.
    pub fn read<T, F>(
        &self,
        stop: StopSign<'_>,
        work: impl FnOnce(Arc<DayReader>) -> F + Send + 'static,
    ) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, TierError>> + Send + 'static,
    {
        let opening = self.remote.clone().reader(self.live.clone());
        let (answer, names) = self
            .remote
            .ask(stop, async move {
                let reader = opening.await?;
                let names = reader.label_names();
                Ok((work(reader).await?, names))
            })
            .map_err(|error| self.failed(error))?;
        self.names.get_or_init(|| names);
        Ok(answer)
    }

    /// Reads the names of its labels beside everything else, so that questions about them find them.
    pub fn read_names_some_time(self: &Arc<Self>) {
        let files = self.clone();
        self.remote.spawn(async move {
            let _turn = files.remote.turn().await;
            if let Ok(reader) = files.remote.clone().reader(files.live.clone()).await {
                files.names.get_or_init(|| reader.label_names());
            }
        });
    }

    /// Opens the files beside everything else, for a query that is about to ask.
    pub fn begin_to_open(self: &Arc<Self>) {
        let files = self.clone();
        self.remote.spawn(async move {
            if let Ok(reader) = files.remote.clone().reader(files.live.clone()).await {
                files.names.get_or_init(|| reader.label_names());
            }
        });
    }
}

impl DaySource {
    pub fn new(files: Arc<DayFiles>) -> Self {
        Self { files, deletions: Arc::from([]) }
    }

    /// Whether one deletion hides all that the day may have of a series.
    fn is_hidden_whole(&self, labels: &Labels) -> bool {
        self.deletions.iter().any(|deletion| deletion.range.encloses(self.files.live.range) && deletion.matches(labels))
    }

    fn list(&self, lookup: &Lookup<'_>) -> Result<Listed, EngineError> {
        let (matchers, range) = (lookup.matchers.to_vec(), self.files.live.range);
        let series =
            self.files.read(lookup.stop, move |reader| async move { reader.select(&matchers, range).await })?;
        let group_samples = if self.files.live.resolution.is_some() { GROUP_BUCKETS } else { GROUP_SAMPLES };
        Ok(Listed::new(series, group_samples))
    }

    fn series(&self, list: Arc<Listed>, question: Option<Question>) -> Arc<dyn SourceSeries> {
        let (files, deletions) = (self.files.clone(), self.deletions.clone());
        match files.live.resolution {
            Some(_) => Arc::new(CoarseSeries::new(files, deletions, list)),
            None => Arc::new(DaySeries::new(files, deletions, list, question)),
        }
    }
}

impl Source for DaySource {
    fn id(&self) -> SourceId {
        SourceId::Outside(self.files.number)
    }

    fn range(&self) -> TimeRange {
        self.files.live.range
    }

    fn version(&self) -> Option<u64> {
        Some(self.deletions.len() as u64)
    }

    fn is_plain(&self) -> bool {
        self.files.live.plain
    }

    fn coarse(&self) -> Option<Coarse> {
        let day = self.files.live.day.range();
        self.files.live.resolution.map(|resolution| Coarse { resolution, day })
    }

    fn prepare(&self, _: &Lookup<'_>) {
        if self.files.remote.known_reader(&self.files.live).is_none() {
            self.files.begin_to_open();
        }
    }

    fn select(self: Arc<Self>, ask: &Ask<'_>) -> Result<Found, EngineError> {
        // Files never change, and what is deleted hides no series from a list.
        let known = ask.known.and_then(|known| known.what.clone().downcast::<Listed>().ok());
        let same_series = known.is_some();
        let list = if let Some(known) = known {
            known
        } else {
            let mut list = self.list(ask.lookup)?;
            list.share(ask.share);
            Arc::new(list)
        };
        let known = Known { what: list.clone(), bytes: list.bytes() };
        let question = self.files.ahead.question(ask.lookup);
        Ok(Found { series: self.series(list, question), known, same_series })
    }

    fn find(self: Arc<Self>, labels: &Labels) -> Result<Option<Arc<dyn SourceSeries>>, EngineError> {
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let list = self.list(&Lookup::new(TimeRange::ALL, &matchers))?.only(labels);
        Ok(list.map(|list| self.series(Arc::new(list), None)))
    }

    fn texts(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        known: Option<&Known>,
    ) -> Result<(TextList, Option<Moment>), EngineError> {
        let known = known.and_then(|known| known.what.clone().downcast::<Listed>().ok());
        let texts: BTreeSet<String> = if known.is_none() && lookup.matchers.is_empty() && self.deletions.is_empty() {
            match asked {
                Asked::Names => self.files.read(lookup.stop, |reader| async move { Ok(reader.label_names()) })?,
                Asked::Values(name) => {
                    let name = name.to_owned();
                    self.files.read(lookup.stop, move |reader| async move { reader.label_values(&name).await })?
                }
            }
        } else {
            let list = match known {
                Some(known) => known,
                None => Arc::new(self.list(lookup)?),
            };
            let mut texts: BTreeSet<&str> = BTreeSet::new();
            let mut looks = lookup.stop.looks();
            for labels in list.labels() {
                looks.before(1)?;
                match asked {
                    _ if self.is_hidden_whole(labels) => {}
                    Asked::Names => texts.extend(labels.iter().map(|(name, _)| name)),
                    Asked::Values(name) => texts.extend(labels.get(name)),
                }
            }
            texts.into_iter().map(str::to_owned).collect()
        };
        let mut list = TextList::default();
        for text in &texts {
            list.push(text);
        }
        Ok((list, None))
    }

    fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        // Asked of every source by every query: the store is not.
        Ok(self.files.names.get().is_none_or(|names| names.contains(name)))
    }

    fn without(&self, deletion: &Tombstone) -> Option<Arc<dyn Source>> {
        if !self.files.may_be_hit(deletion) || self.deletions.iter().any(|known| known.id == deletion.id) {
            return None;
        }
        let deletions = self.deletions.iter().cloned().chain([deletion.clone()]).collect();
        Some(Arc::new(Self { files: self.files.clone(), deletions }))
    }

    fn is_hit_by(&self, deletion: u64) -> bool {
        self.deletions.iter().any(|known| known.id == deletion) && !self.files.harmless.lock().contains(&deletion)
    }
}
