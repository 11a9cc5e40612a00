//! What a day is written from: blocks and the files that it has, merged by series, a metric at a time.

use crate::error::Result;
use crate::remote::{NoAnswer, Remote};
use mytsdb_blocks::{Tombstone, keep};
use mytsdb_columns::{Columns, Mark};
use mytsdb_engine::{BlockSeries, TakenOut};
use mytsdb_model::{LABEL_NAME, Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{Day, DayReader, LiveDay, Series, TierError};
use mytsdb_stop::StopSign;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Samples of files that are held while a day is written.
const BATCH_SAMPLES: u64 = 1 << 18;

/// A day's sources.
pub(crate) struct DayInput<'a> {
    pub day: Day,
    taken: &'a TakenOut,
    remote: &'a Arc<Remote>,
    /// The files that the day has, the oldest first, and what is deleted of each.
    files: Vec<(Arc<DayReader>, Vec<Tombstone>)>,
    stop: StopSign<'a>,
}

/// A series, and where its samples are.
#[derive(Default)]
pub(crate) struct Found {
    block: Option<BlockSeries>,
    /// Numbers of files, ascending, each with the series there.
    files: Vec<(usize, Series)>,
}

impl<'a> DayInput<'a> {
    /// Opens the files that a day has.
    pub fn open(
        day: Day,
        taken: &'a TakenOut,
        live: &[LiveDay],
        remote: &'a Arc<Remote>,
        stop: StopSign<'a>,
    ) -> Result<Self> {
        let mut live: Vec<&LiveDay> = live.iter().filter(|live| live.day == day && live.resolution.is_none()).collect();
        live.sort_by_key(|live| (live.number, live.id));
        let mut files = Vec::new();
        for live in live {
            let reader =
                remote.ask(stop, remote.clone().reader(Arc::new(live.clone()))).map_err(NoAnswer::into_cold)?;
            let is_about = |t: &&Tombstone| live.number < t.blocks_below && t.range.overlaps(live.range);
            files.push((reader, taken.deletions().iter().filter(is_about).cloned().collect()));
        }
        Ok(Self { day, taken, remote, files, stop })
    }

    /// Names of all labels that there may be.
    pub fn label_names(&self) -> Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = self.files.iter().flat_map(|(reader, _)| reader.label_names()).collect();
        for list in self.taken.label_names()? {
            names.extend(list.iter().map(str::to_owned));
        }
        Ok(names)
    }

    /// Names of all metrics, in the order of files.
    pub fn metrics(&self) -> Result<BTreeSet<String>> {
        // Series without a name come first.
        let mut metrics = BTreeSet::from([String::new()]);
        for list in self.taken.label_values(LABEL_NAME)? {
            metrics.extend(list.iter().map(str::to_owned));
        }
        for (reader, _) in &self.files {
            let reader = reader.clone();
            let work = async move { reader.label_values(LABEL_NAME).await };
            metrics.extend(self.remote.ask(self.stop, work).map_err(NoAnswer::into_cold)?);
        }
        Ok(metrics)
    }

    /// The series of a metric by labels, in the order of files.
    pub fn series(&self, metric: &str) -> Result<BTreeMap<Labels, Found>> {
        let matchers = [Matcher::metric(metric)];
        let mut all: BTreeMap<Labels, Found> = BTreeMap::new();
        for series in self.taken.series(&matchers, self.stop)? {
            let labels = series.labels.clone();
            all.entry(labels).or_default().block = Some(series);
        }
        for (number, (reader, _)) in self.files.iter().enumerate() {
            let (reader, matchers) = (reader.clone(), matchers.clone());
            let work = async move { reader.select(&matchers, TimeRange::ALL).await };
            for series in self.remote.ask(self.stop, work).map_err(NoAnswer::into_cold)? {
                all.entry(series.labels().clone()).or_default().files.push((number, series));
            }
        }
        Ok(all)
    }

    /// Reads the samples of series, which are in order, and hands them to `each`, in order and without what is deleted.
    pub fn read(
        &self,
        series: &BTreeMap<Labels, Found>,
        mut each: impl FnMut(&Labels, &Columns) -> Result<()>,
    ) -> Result<()> {
        let mut batch: Vec<(&Labels, &Found)> = Vec::new();
        let mut samples = 0;
        for (labels, found) in series {
            let more: u64 = found.files.iter().map(|(_, series)| series.sample_count()).sum();
            if samples + more > BATCH_SAMPLES && !batch.is_empty() {
                self.read_batch(&batch, &mut each)?;
                batch.clear();
                samples = 0;
            }
            samples += more;
            batch.push((labels, found));
        }
        self.read_batch(&batch, &mut each)
    }

    fn read_batch(
        &self,
        batch: &[(&Labels, &Found)],
        each: &mut impl FnMut(&Labels, &Columns) -> Result<()>,
    ) -> Result<()> {
        let mut columns: Vec<(Columns, Vec<Mark>)> = Vec::new();
        columns.resize_with(batch.len(), Default::default);
        let mut hidden = Vec::new();
        for (number, (reader, deletions)) in self.files.iter().enumerate() {
            let mut asked: Vec<(usize, Series)> = Vec::new();
            for (place, (_, found)) in batch.iter().enumerate() {
                asked.extend(
                    found.files.iter().filter(|(n, _)| *n == number).map(|(_, series)| (place, series.clone())),
                );
            }
            let (places, series): (Vec<usize>, Vec<Series>) = asked.into_iter().unzip();
            if series.is_empty() {
                continue;
            }
            let (reader, range) = (reader.clone(), self.day.range());
            let work = async move {
                let mut read = Vec::with_capacity(series.len());
                let keep_it = |_, part: &mut Columns| {
                    read.push(std::mem::take(part));
                    Ok::<(), TierError>(())
                };
                reader.read(&series, range, keep_it).await?;
                Ok(read)
            };
            let read = self.remote.ask(self.stop, work).map_err(NoAnswer::into_cold)?;
            for (place, part) in places.into_iter().zip(&read) {
                let (labels, _) = batch[place];
                let (into, sources) = &mut columns[place];
                sources.push(into.mark());
                hidden.clear();
                hidden.extend(deletions.iter().filter(|d| d.matches(labels)).map(|d| d.range));
                keep(part, range, &mut hidden, into);
            }
        }
        let mut own = Columns::default();
        for ((labels, found), (mut columns, mut sources)) in batch.iter().zip(columns) {
            self.stop.check().map_err(mytsdb_engine::EngineError::from)?;
            if let Some(series) = &found.block {
                own.clear();
                self.taken.read(series, self.day.range(), &mut own)?;
                sources.push(columns.mark());
                columns.append(&mut own);
            }
            columns.sort_and_dedup(&sources);
            columns.settle_hints(Mark::default());
            each(labels, &columns)?;
        }
        Ok(())
    }
}
