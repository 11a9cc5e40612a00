//! One answer over the files of many days.

use crate::day_reader::{DayReader, Series};
use crate::day_writer::compare_series;
use crate::error::{Result, TierError};
use crate::manifest::LiveDay;
use crate::tier::Tier;
use futures_util::{StreamExt, TryStreamExt};
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::{Labels, Matcher, TimeRange};
use std::collections::BTreeSet;

/// Days whose files are asked at the same time.
const DAYS_AT_ONCE: usize = 8;
/// Samples that are held while days are merged.
const BATCH_SAMPLES: u64 = 1 << 21;

/// A series, and where it was found.
#[derive(Debug)]
struct Found {
    labels: Labels,
    /// Places of readers, in the order in which their samples win over later ones.
    parts: Vec<(usize, Series)>,
}

/// The series that satisfy matchers, over all days of a range, in the order of [`compare_series`].
#[derive(Debug, Default)]
pub struct Selection {
    readers: Vec<DayReader>,
    series: Vec<Found>,
}

impl Tier {
    /// The live files that have samples, and not buckets, in a range, by day and then by age.
    pub fn days_in(&self, range: TimeRange) -> Vec<LiveDay> {
        let manifest = self.manifest();
        manifest.days.iter().filter(|day| day.resolution.is_none() && day.range.overlaps(range)).cloned().collect()
    }

    async fn readers(&self, range: TimeRange) -> Result<Vec<DayReader>> {
        let days = self.days_in(range);
        let opened = days.iter().map(|day| DayReader::open(self.store.clone(), day));
        futures_util::stream::iter(opened).buffered(DAYS_AT_ONCE).try_collect().await
    }

    /// The series that satisfy all matchers and have samples in `range`. Reads the labels files of its days.
    ///
    /// # Errors
    /// Those of the store; [`TierError::Corrupt`].
    pub async fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selection> {
        let readers = self.readers(range).await?;
        let asked = readers.iter().map(|reader| reader.select(matchers, range));
        let found: Vec<Vec<Series>> = futures_util::stream::iter(asked).buffered(DAYS_AT_ONCE).try_collect().await?;
        let mut all: Vec<(usize, Series)> = found
            .into_iter()
            .enumerate()
            .flat_map(|(reader, series)| series.into_iter().map(move |series| (reader, series)))
            .collect();
        all.sort_by(|a, b| compare_series(a.1.labels(), b.1.labels()).then(a.0.cmp(&b.0)));
        let mut series: Vec<Found> = Vec::new();
        for part in all {
            match series.last_mut() {
                Some(last) if last.labels == *part.1.labels() => last.parts.push(part),
                _ => series.push(Found { labels: part.1.labels().clone(), parts: vec![part] }),
            }
        }
        Ok(Selection { readers, series })
    }

    /// Names of the labels of the series that satisfy all matchers and have samples in `range`, ascending. Without
    /// matchers those of all files that may have samples there.
    ///
    /// # Errors
    /// As for [`select`](Self::select).
    pub async fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<BTreeSet<String>> {
        if matchers.is_empty() {
            return Ok(self.readers(range).await?.iter().flat_map(DayReader::label_names).collect());
        }
        let selection = self.select(matchers, range).await?;
        Ok(selection.series.iter().flat_map(|series| series.labels.iter()).map(|(name, _)| name.to_owned()).collect())
    }

    /// Values of a label of the series that satisfy all matchers and have samples in `range`, ascending.
    ///
    /// # Errors
    /// As for [`select`](Self::select).
    pub async fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<BTreeSet<String>> {
        let selection = self.select(matchers, range).await?;
        Ok(selection.series.iter().filter_map(|series| series.labels.get(name)).map(str::to_owned).collect())
    }
}

impl Selection {
    /// Number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Labels of the series, in order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &Labels> {
        self.series.iter().map(|series| &series.labels)
    }

    /// Reads the samples in `range` of all series, and hands each to `each` with its place, in order. What several files
    /// have of one time is there once: the sample of the older file wins. `each` may keep what is in the columns.
    ///
    /// Holds some two million samples, or those of one series.
    ///
    /// # Errors
    /// Those of the store and of `each`; [`TierError::Corrupt`].
    pub async fn read<E: From<TierError>>(
        &self,
        range: TimeRange,
        mut each: impl FnMut(usize, &mut Columns) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut at = 0;
        while at < self.series.len() {
            let (mut end, mut samples) = (at, 0);
            while end < self.series.len() {
                let more: u64 = self.series[end].parts.iter().map(|(_, series)| series.sample_count()).sum();
                if end > at && samples + more > BATCH_SAMPLES {
                    break;
                }
                samples += more;
                end += 1;
            }
            self.read_batch(at..end, range, &mut each).await?;
            at = end;
        }
        Ok(())
    }

    async fn read_batch<E: From<TierError>>(
        &self,
        batch: std::ops::Range<usize>,
        range: TimeRange,
        each: &mut impl FnMut(usize, &mut Columns) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut columns: Vec<(Columns, Vec<Mark>)> = Vec::new();
        columns.resize_with(batch.len(), Default::default);
        for (number, reader) in self.readers.iter().enumerate() {
            let (mut places, mut asked) = (Vec::new(), Vec::new());
            for (place, found) in self.series[batch.clone()].iter().enumerate() {
                for (_, series) in found.parts.iter().filter(|(reader, _)| *reader == number) {
                    places.push(place);
                    asked.push(series.clone());
                }
            }
            reader
                .read(&asked, range, |at, part| {
                    let (into, sources) = &mut columns[places[at]];
                    sources.push(into.mark());
                    if into.is_empty() {
                        *into = std::mem::take(part);
                    } else {
                        into.append(part);
                    }
                    Ok::<(), TierError>(())
                })
                .await?;
        }
        for (place, (columns, sources)) in columns.iter_mut().enumerate() {
            columns.sort_and_dedup(sources);
            each(batch.start + place, columns)?;
        }
        Ok(())
    }
}
