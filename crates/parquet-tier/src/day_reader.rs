//! Reads the files of one day.

use crate::buckets_reader::{COLUMNS as BUCKET_COLUMNS, fault_of, read_buckets};
use crate::error::{Result, TierError};
use crate::histograms_reader::read_histograms;
use crate::labels_writer::{Place, SeriesRow};
use crate::manifest::LiveDay;
use crate::remote::RemoteFile;
use crate::schema::{FileKind, HISTOGRAM_COLUMNS};
use crate::sink::FileDigest;
use crate::store::Store;
use crate::table::Table;
use mytsdb_columns::{Columns, Mark};
use mytsdb_downsample::Buckets;
use mytsdb_model::{FamilyKind, Labels, Matcher, TimeRange};
use parquet::basic::Type as Physical;
use parquet::data_type::{DoubleType, Int64Type};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Samples that are read into columns before they are handed on.
const BATCH_SAMPLES: u64 = 1 << 20;

/// A series that was found in the files of a day.
#[derive(Debug, Clone)]
pub struct Series(pub(crate) SeriesRow);

impl Series {
    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// Takes equal labels that are in memory already in place of its own.
    ///
    /// # Panics
    /// If they are not equal.
    pub fn share_labels(&mut self, labels: &Labels) {
        assert_eq!(self.0.labels, *labels, "labels of another series");
        self.0.labels = labels.clone();
    }

    /// Where its samples are in the files of the day: no other series of these files has the same number.
    pub fn row(&self) -> u64 {
        // Parquet counts rows by an i64, so there is a bit left for the kind of file.
        let SeriesRow { samples, histograms, .. } = &self.0;
        if samples.count > 0 { samples.first_row << 1 } else { histograms.first_row << 1 | 1 }
    }

    /// How many histograms it has there.
    pub fn histogram_count(&self) -> u64 {
        self.0.histograms.count
    }

    /// How many samples of both kinds it has there; in a downsampled day how many buckets.
    pub fn sample_count(&self) -> u64 {
        self.0.samples.count + self.0.histograms.count
    }

    /// Times of its first and last sample there.
    pub fn range(&self) -> TimeRange {
        self.0.samples.range.cover(self.0.histograms.range)
    }

    /// The type of its metric, if it was known when the file was written.
    pub fn kind(&self) -> Option<FamilyKind> {
        self.0.kind
    }

    /// The unit of its metric, empty if there is none.
    pub fn unit(&self) -> &str {
        &self.0.unit
    }
}

/// The files of one day. Opening reads the footer of the labels file; those of the others are read when they are needed.
#[derive(Debug)]
pub struct DayReader {
    store: Arc<Store>,
    live: LiveDay,
    table: Table,
    samples: OnceCell<RemoteFile>,
    histograms: OnceCell<RemoteFile>,
    buckets: OnceCell<RemoteFile>,
}

impl DayReader {
    /// Opens files that a manifest names.
    ///
    /// # Errors
    /// Those of the store; [`TierError::Corrupt`] if a footer is none of the format.
    pub async fn open(store: Arc<Store>, live: &LiveDay) -> Result<Self> {
        let (path, digest) = file_of(live, FileKind::Labels)?;
        let file = RemoteFile::open(store.clone(), path, digest, &[]).await?;
        if file.rows() != live.series {
            return Err(TierError::corrupt(file.path(), "footer", "not as many series as the manifest says"));
        }
        let (samples, histograms, buckets) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Ok(Self { store, live: live.clone(), table: Table::new(file)?, samples, histograms, buckets })
    }

    /// What the manifest says of the files.
    pub fn live(&self) -> &LiveDay {
        &self.live
    }

    /// Names of all labels in the files, ascending. Asks nobody.
    pub fn label_names(&self) -> BTreeSet<String> {
        self.table.label_names()
    }

    /// Values of a label of all series, ascending. Reads one column of the labels file.
    ///
    /// # Errors
    /// Those of the store; [`TierError::Corrupt`].
    pub async fn label_values(&self, name: &str) -> Result<BTreeSet<String>> {
        self.table.label_values(name).await
    }

    /// Type and unit of each family whose type was known when the files were written, `x` for the series `x_bucket` of a classic
    /// histogram. Reads four columns of the labels file.
    ///
    /// # Errors
    /// Those of the store; [`TierError::Corrupt`].
    pub async fn kinds(&self) -> Result<BTreeMap<String, (FamilyKind, String)>> {
        self.table.kinds().await
    }

    /// The series that satisfy all matchers and have samples in `range`, in the order of
    /// [`compare_series`](crate::compare_series). Reads the row groups of the labels file that may have some.
    ///
    /// # Errors
    /// Those of the store; [`TierError::Corrupt`].
    pub async fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<Series>> {
        if !self.live.range.overlaps(range) {
            return Ok(Vec::new());
        }
        Ok(self.table.select(matchers, range).await?.into_iter().map(Series).collect())
    }

    /// Reads the samples in `range` of series, which are in the order in which `select` gave them, and hands each to `each`
    /// with its place in `series`. The columns are in order; those that have no samples are handed on too. `each` may keep
    /// what is in them.
    ///
    /// Reads only pages that hold rows of these series, those near each other by one request. Holds the pages of a row
    /// group, and about a million samples.
    ///
    /// # Errors
    /// Those of the store and of `each`; [`TierError::Corrupt`].
    pub async fn read<E: From<TierError>>(
        &self,
        series: &[Series],
        range: TimeRange,
        mut each: impl FnMut(usize, &mut Columns) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut columns: Vec<Columns> = Vec::new();
        let mut at = 0;
        while at < series.len() {
            let mut end = at;
            let mut samples = 0;
            while end < series.len() && (end == at || samples + series[end].sample_count() <= BATCH_SAMPLES) {
                samples += series[end].sample_count();
                end += 1;
            }
            let batch = &series[at..end];
            columns.resize_with(columns.len().max(batch.len()), Columns::default);
            for columns in &mut columns {
                columns.clear();
            }
            self.read_samples(batch, range, &mut columns).await?;
            self.read_histograms(batch, range, &mut columns).await?;
            for (place, columns) in columns[..batch.len()].iter_mut().enumerate() {
                columns.clip(Mark::default(), range);
                if !columns.is_in_order(Mark::default()) {
                    let reason = format!("samples of {} are not in order", batch[place].labels());
                    return Err(TierError::corrupt(&self.live.folder(), "samples", reason).into());
                }
                each(at + place, columns)?;
            }
            at = end;
        }
        Ok(())
    }

    /// Reads all buckets of series of a downsampled day, which are in the order in which `select` gave them. Each has its own.
    ///
    /// Reads only pages that hold rows of these series. Holds what it gives back, and the pages of a row group.
    ///
    /// # Errors
    /// Those of the store; [`TierError::Corrupt`], also if the day has samples and no buckets.
    pub async fn read_buckets(&self, series: &[Series]) -> Result<Vec<Buckets>> {
        let mut all: Vec<Buckets> = Vec::new();
        all.resize_with(series.len(), Buckets::default);
        let wanted = wanted(series, TimeRange::ALL, |row| row.samples);
        if wanted.is_empty() {
            return Ok(all);
        }
        let corrupt = |what: String| TierError::corrupt(&self.live.folder(), "buckets", what);
        let resolution = self.live.resolution.ok_or_else(|| corrupt("the day has samples".into()))?;
        let file = self.buckets.get_or_try_init(|| self.file(FileKind::Buckets, &BUCKET_COLUMNS)).await?;
        for (group, parts) in by_group(file, &wanted)? {
            read_buckets(file, group, &parts, resolution, &mut all).await?;
        }
        for (series, buckets) in series.iter().zip(&all) {
            let is_outside =
                || buckets.firsts_ms.iter().chain(&buckets.lasts_ms).any(|t| !self.live.range.contains(*t));
            if let Some(fault) = fault_of(buckets).or_else(|| is_outside().then_some("not of its day")) {
                return Err(corrupt(format!("{}: {fault}", series.labels())));
            }
        }
        Ok(all)
    }

    async fn read_samples(&self, batch: &[Series], range: TimeRange, columns: &mut [Columns]) -> Result<()> {
        let wanted = wanted(batch, range, |row| row.samples);
        if wanted.is_empty() {
            return Ok(());
        }
        let file = self
            .samples
            .get_or_try_init(|| self.file(FileKind::Samples, &["timestamp", "start_timestamp", "value"]))
            .await?;
        let times = file.column("timestamp", Physical::INT64, (0, 0))?;
        let starts = file.column("start_timestamp", Physical::INT64, (1, 0))?;
        let values = file.column("value", Physical::DOUBLE, (0, 0))?;
        for (group, parts) in by_group(file, &wanted)? {
            let rows: Vec<Range<u64>> = parts.iter().map(|(_, rows)| rows.clone()).collect();
            // A row group none of whose samples has a start time has no need of that column.
            let chunk = file.footer().row_group(group).column(starts);
            let nulls = chunk.statistics().and_then(parquet::file::statistics::Statistics::null_count_opt);
            let with_starts = nulls != Some(chunk.num_values() as u64);
            let needed = if with_starts { &[times, starts, values][..] } else { &[times, values][..] };
            let fetched = file.fetch(group, needed, &rows).await?;
            let mut time_rows = fetched.reader::<Int64Type>(times)?;
            let mut value_rows = fetched.reader::<DoubleType>(values)?;
            let mut start_rows = if with_starts { Some(fetched.reader::<Int64Type>(starts)?) } else { None };
            for (place, rows) in parts {
                let into = &mut columns[place];
                time_rows.read(rows.clone(), &mut into.timestamps_ms)?;
                value_rows.read(rows.clone(), &mut into.values)?;
                if let Some(starts) = &mut start_rows {
                    append_starts(starts, rows, into.timestamps_ms.len(), &mut into.start_timestamps_ms)?;
                }
                into.pad_starts();
            }
        }
        Ok(())
    }

    async fn read_histograms(&self, batch: &[Series], range: TimeRange, columns: &mut [Columns]) -> Result<()> {
        let wanted = wanted(batch, range, |row| row.histograms);
        if wanted.is_empty() {
            return Ok(());
        }
        let names = HISTOGRAM_COLUMNS;
        let file = self.histograms.get_or_try_init(|| self.file(FileKind::Histograms, &names)).await?;
        for (group, parts) in by_group(file, &wanted)? {
            read_histograms(file, group, &parts, columns).await?;
        }
        Ok(())
    }

    async fn file(&self, kind: FileKind, columns: &[&str]) -> Result<RemoteFile> {
        let (path, digest) = file_of(&self.live, kind)?;
        let rows = match kind {
            FileKind::Samples => self.live.samples,
            FileKind::Histograms => self.live.histograms,
            FileKind::Buckets => self.live.buckets,
            FileKind::Labels | FileKind::Chunks => self.live.series,
        };
        let file = RemoteFile::open(self.store.clone(), path, digest, columns).await?;
        if file.rows() != rows {
            return Err(TierError::corrupt(file.path(), "footer", "not as many rows as the manifest says"));
        }
        Ok(file)
    }
}

fn file_of(live: &LiveDay, kind: FileKind) -> Result<(String, FileDigest)> {
    live.file(kind).ok_or_else(|| {
        let reason = format!("{} is needed, and not in the manifest", kind.name());
        TierError::corrupt(&live.folder(), "manifest", reason)
    })
}

/// Rows of each series of a batch that has samples in the range.
fn wanted(batch: &[Series], range: TimeRange, place: impl Fn(&SeriesRow) -> Place) -> Vec<(usize, Range<u64>)> {
    let places = batch.iter().map(|series| place(&series.0)).enumerate();
    places
        .filter(|(_, place)| place.count > 0 && place.range.overlaps(range))
        .map(|(at, place)| (at, place.first_row..place.first_row.saturating_add(place.count)))
        .collect()
}

/// Rows of a series within a row group.
pub(crate) type Part = (usize, Range<u64>);

/// Cuts rows of series at the row groups.
fn by_group(file: &RemoteFile, wanted: &[Part]) -> Result<Vec<(usize, Vec<Part>)>> {
    let mut groups: Vec<(usize, Vec<Part>)> = Vec::new();
    let mut last = 0;
    for (series, rows) in wanted {
        if rows.end > file.rows() || rows.start < last {
            let reason = "rows of a series are outside of the file, or those of another";
            return Err(TierError::corrupt(file.path(), "labels", reason));
        }
        last = rows.end;
        let mut at = rows.start;
        while at < rows.end {
            let group = file.group_of(at);
            let all = file.group_rows(group);
            let end = rows.end.min(all.end);
            let part = (*series, at - all.start..end - all.start);
            match groups.last_mut() {
                Some((same, parts)) if *same == group => parts.push(part),
                _ => groups.push((group, vec![part])),
            }
            at = end;
        }
    }
    Ok(groups)
}

/// Appends start times of rows to a column that then belongs to `count` samples.
pub(crate) fn append_starts(
    rows_of: &mut crate::remote::Rows<Int64Type>,
    rows: Range<u64>,
    count: usize,
    starts_ms: &mut Vec<i64>,
) -> Result<()> {
    let (mut present, mut values) = (Vec::new(), Vec::new());
    let added = (rows.end - rows.start) as usize;
    rows_of.read_levels(rows, Some(&mut present), None, &mut values)?;
    if !values.is_empty() {
        starts_ms.resize(count - added, 0);
        let mut values = values.into_iter();
        starts_ms.extend(present.iter().map(|level| if *level == 0 { 0 } else { values.next().unwrap_or(0) }));
    }
    Ok(())
}
