//! Writes the files of one day.

use crate::Day;
use crate::buckets_reader::fault_of;
use crate::buckets_writer::BucketsWriter;
use crate::chunks_writer::ChunksWriter;
use crate::error::{Result, TierError};
use crate::histograms_writer::HistogramsWriter;
use crate::labels_writer::{LabelsWriter, Place, SeriesRow};
use crate::samples_writer::SamplesWriter;
use crate::schema::{FileKind, LabelNames};
use crate::sink::FileDigest;
use mytsdb_columns::{Columns, Mark};
use mytsdb_downsample::{Buckets, Resolution};
use mytsdb_model::{FamilyMetadata, Labels, TimeRange};
use std::cmp::Ordering;
use std::io::Write;

/// How files are written.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Rows of a row group of samples, 1,048,576 unless set; from 1 to 16,777,216. The writer holds one row group: 16
    /// bytes a row, and about as much again while it is encoded.
    pub row_group_rows: usize,
    /// Whether `chunks.parquet` is written too, with the samples once more as parquet-common reads them; not unless set. The
    /// writer then holds another 64 MiB, and about as much again while a row group is encoded.
    pub chunks: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { row_group_rows: 1 << 20, chunks: false }
    }
}

/// The order of series in files: by the metric's name, then by all labels.
pub fn compare_series(a: &Labels, b: &Labels) -> Ordering {
    a.metric_name().cmp(b.metric_name()).then_with(|| a.cmp(b))
}

/// What was written of a day.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WrittenDay<W> {
    /// The day.
    pub day: Day,
    /// The files that there are: of samples and of histograms only if there are any.
    pub files: Vec<(FileKind, W, FileDigest)>,
    /// Number of series.
    pub series: u64,
    /// Number of float samples.
    pub samples: u64,
    /// Number of histograms.
    pub histograms: u64,
    /// Times of the first and the last sample.
    pub range: TimeRange,
    /// All samples are floats without start times.
    pub plain: bool,
    /// The width of its buckets, if it has any.
    pub resolution: Option<Resolution>,
    /// Number of buckets.
    pub buckets: u64,
}

impl<W> WrittenDay<W> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.samples + self.histograms + self.buckets == 0
    }
}

/// Writes one day of series that come in the order of [`compare_series`].
///
/// Holds one row group of each file, whatever is written. A writer that is dropped before [`finish`](Self::finish)
/// leaves incomplete files in its sinks: no reader takes them for whole, since the footer is last.
pub struct DayWriter<W: Write + Send> {
    day: Day,
    names: LabelNames,
    options: WriteOptions,
    open: Box<dyn FnMut(FileKind) -> Result<W> + Send>,
    samples: Option<SamplesWriter<W>>,
    histograms: Option<HistogramsWriter<W>>,
    buckets: Option<(Resolution, BucketsWriter<W>)>,
    chunks: Option<ChunksWriter<W>>,
    labels: LabelsWriter<W>,
    last: Option<Labels>,
    series: i32,
    range: TimeRange,
    plain: bool,
}

impl<W: Write + Send> std::fmt::Debug for DayWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DayWriter").field("day", &self.day).field("series", &self.series).finish_non_exhaustive()
    }
}

impl<W: Write + Send> DayWriter<W> {
    /// Begins the files of a day. `label_names` are those of all series that will come, at most 500, in any order; `open`
    /// makes the sink of a file when its first row comes.
    ///
    /// # Errors
    /// [`TierError::TooMuch`] and [`TierError::BadLabel`] for labels that are no columns; whatever `open` says.
    pub fn new(
        day: Day,
        label_names: impl IntoIterator<Item = impl Into<String>>,
        options: WriteOptions,
        mut open: impl FnMut(FileKind) -> Result<W> + Send + 'static,
    ) -> Result<Self> {
        let names = LabelNames::new(label_names)?;
        let labels = LabelsWriter::new(open(FileKind::Labels)?, day, &names)?;
        let options = WriteOptions { row_group_rows: options.row_group_rows.clamp(1, 1 << 24), ..options };
        let chunks = options.chunks.then(|| ChunksWriter::new(open(FileKind::Chunks)?, day)).transpose()?;
        Ok(Self {
            day,
            names,
            options,
            open: Box::new(open),
            samples: None,
            histograms: None,
            buckets: None,
            chunks,
            labels,
            last: None,
            series: 0,
            range: TimeRange::EMPTY,
            plain: true,
        })
    }

    /// Appends a series with its samples of the day, which are in order; a series without samples is left out.
    ///
    /// # Errors
    /// [`TierError::OutOfOrder`], [`TierError::BadSample`] and [`TierError::BadLabel`] if the input is not as described:
    /// then nothing of the series was written. Errors of the sinks end the writer: what comes after them fails too.
    pub fn push(&mut self, labels: &Labels, samples: &Columns, metadata: Option<&FamilyMetadata>) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        self.check(labels, samples)?;
        let mut row = self.row(labels, metadata)?;
        let series_id = row.series_id;
        if let (Some(first), Some(last)) = (samples.timestamps_ms.first(), samples.timestamps_ms.last()) {
            if self.samples.is_none() {
                let sink = (self.open)(FileKind::Samples)?;
                self.samples = Some(SamplesWriter::new(sink, self.day, &self.names, self.options.row_group_rows)?);
            }
            let writer = self.samples.as_mut().expect("made above");
            let (first_row, count) = (writer.rows(), samples.timestamps_ms.len() as u64);
            row.samples = Place { first_row, count, range: TimeRange::new(*first, *last) };
            writer.push(&self.names, labels, series_id, samples)?;
        }
        let times = &samples.histogram_timestamps_ms;
        if let (Some(first), Some(last)) = (times.first(), times.last()) {
            if self.histograms.is_none() {
                let sink = (self.open)(FileKind::Histograms)?;
                self.histograms = Some(HistogramsWriter::new(sink, self.day, &self.names)?);
            }
            let writer = self.histograms.as_mut().expect("made above");
            let (first_row, count) = (writer.rows(), times.len() as u64);
            row.histograms = Place { first_row, count, range: TimeRange::new(*first, *last) };
            writer.push(&self.names, labels, series_id, samples)?;
        }
        self.plain &= times.is_empty() && samples.start_timestamps_ms.iter().all(|start| *start == 0);
        self.end_series(row, Some(samples))
    }

    /// Appends a series with its buckets of the day, which ascend and all have one width; a series without buckets is left out. What is
    /// written has samples or buckets, not both.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn push_buckets(
        &mut self,
        labels: &Labels,
        (resolution, buckets): (Resolution, &Buckets),
        metadata: Option<&FamilyMetadata>,
    ) -> Result<()> {
        let (Some(&first_ms), Some(&last_ms)) = (buckets.firsts_ms.first(), buckets.lasts_ms.last()) else {
            return Ok(());
        };
        self.check_labels(labels)?;
        let bad = |timestamp_ms, reason| {
            let labels = labels.to_string();
            Err(TierError::BadSample { labels, timestamp_ms, reason })
        };
        if let Some(reason) = fault_of(buckets) {
            return bad(first_ms, reason);
        }
        if !self.day.range().contains(first_ms) || !self.day.range().contains(last_ms) {
            return bad(first_ms, "not of the day of the file");
        }
        if self.samples.is_some() || self.histograms.is_some() {
            return bad(first_ms, "buckets beside samples");
        }
        let mut row = self.row(labels, metadata)?;
        if self.buckets.is_none() {
            let (sink, rows) = ((self.open)(FileKind::Buckets)?, self.options.row_group_rows);
            let writer = BucketsWriter::new(sink, self.day, &self.names, resolution, rows)?;
            self.buckets = Some((resolution, writer));
        }
        let (of_all, writer) = self.buckets.as_mut().expect("made above");
        if *of_all != resolution || buckets.widths_ms.iter().any(|width_ms| *width_ms != resolution.ms()) {
            return bad(first_ms, "buckets of another width");
        }
        let (first_row, count) = (writer.rows(), buckets.len() as u64);
        row.samples = Place { first_row, count, range: TimeRange::new(first_ms, last_ms) };
        writer.push(&self.names, labels, row.series_id, buckets)?;
        self.end_series(row, None)
    }

    /// The row of the next series, which has no samples yet.
    fn row(&self, labels: &Labels, metadata: Option<&FamilyMetadata>) -> Result<SeriesRow> {
        if self.series == i32::MAX {
            return Err(TierError::TooMuch { what: "series of a file", found: 1 << 31, limit: (1 << 31) - 1 });
        }
        Ok(SeriesRow {
            labels: labels.clone(),
            series_id: self.series,
            samples: Place::NONE,
            histograms: Place::NONE,
            kind: metadata.map(|metadata| metadata.kind),
            unit: metadata.map(|metadata| metadata.unit.clone()).unwrap_or_default(),
        })
    }

    fn end_series(&mut self, row: SeriesRow, samples: Option<&Columns>) -> Result<()> {
        self.range = self.range.cover(row.samples.range).cover(row.histograms.range);
        self.last = Some(row.labels.clone());
        self.labels.push(&self.names, row)?;
        if let (Some(chunks), Some(samples)) = (&mut self.chunks, samples) {
            chunks.push(samples)?;
            // Row groups of both files have the same rows.
            if chunks.is_full() {
                self.labels.flush(&self.names)?;
            }
            if self.labels.is_empty() {
                chunks.flush()?;
            }
        }
        self.series += 1;
        Ok(())
    }

    /// Refuses labels that are no columns, or out of order.
    fn check_labels(&self, labels: &Labels) -> Result<()> {
        if let Some(last) = self.last.as_ref().filter(|last| compare_series(last, labels) != Ordering::Less) {
            return Err(TierError::OutOfOrder { before: last.to_string(), labels: labels.to_string() });
        }
        if let Some((label, _)) = labels.iter().find(|(name, _)| self.names.place(name).is_none()) {
            let reason = "not among the names that the writer was given";
            return Err(TierError::BadLabel { label: label.to_owned(), reason });
        }
        Ok(())
    }

    /// Refuses what would make files that are read wrongly.
    fn check(&self, labels: &Labels, samples: &Columns) -> Result<()> {
        self.check_labels(labels)?;
        let bad = |timestamp_ms, reason| {
            let labels = labels.to_string();
            Err(TierError::BadSample { labels, timestamp_ms, reason })
        };
        let range = samples.range(Mark::default());
        if self.buckets.is_some() {
            return bad(range.mint, "samples beside buckets");
        }
        if !samples.is_in_order(Mark::default()) {
            return bad(range.mint, "times do not ascend, or a time has a float and a histogram");
        }
        let lengths = [
            (samples.timestamps_ms.len(), samples.values.len(), samples.start_timestamps_ms.len()),
            (
                samples.histogram_timestamps_ms.len(),
                samples.histograms.len(),
                samples.histogram_start_timestamps_ms.len(),
            ),
        ];
        if lengths.iter().any(|(times, values, starts)| times != values || (*starts != 0 && starts != times)) {
            return bad(range.mint, "columns of different lengths");
        }
        if !self.day.range().encloses(range) {
            let outside = if self.day.range().contains(range.mint) { range.maxt } else { range.mint };
            return bad(outside, "not of the day of the file");
        }
        Ok(())
    }

    /// Bytes that the row group of samples in progress holds, about.
    pub fn heap_bytes(&self) -> usize {
        let buckets = self.buckets.as_ref().map_or(0, |(_, writer)| writer.heap_bytes());
        buckets + self.samples.as_ref().map_or(0, SamplesWriter::heap_bytes)
    }

    /// Writes what is held and the footers; gives back the sinks, flushed.
    ///
    /// # Errors
    /// Those of the sinks.
    pub fn finish(self) -> Result<WrittenDay<W>> {
        let (mut files, mut samples, mut histograms, mut buckets) = (Vec::new(), 0, 0, 0);
        let mut resolution = None;
        if let Some(writer) = self.samples {
            samples = writer.rows();
            let (sink, digest) = writer.finish(&self.names)?;
            files.push((FileKind::Samples, sink, digest));
        }
        if let Some(writer) = self.histograms {
            histograms = writer.rows();
            let (sink, digest) = writer.finish(&self.names)?;
            files.push((FileKind::Histograms, sink, digest));
        }
        if let Some((width, writer)) = self.buckets {
            (resolution, buckets) = (Some(width), writer.rows());
            let (sink, digest) = writer.finish(&self.names)?;
            files.push((FileKind::Buckets, sink, digest));
        }
        if let Some(writer) = self.chunks {
            let (sink, digest) = writer.finish()?;
            files.push((FileKind::Chunks, sink, digest));
        }
        let (sink, digest) = self.labels.finish(&self.names)?;
        files.push((FileKind::Labels, sink, digest));
        let (day, series, range, plain) = (self.day, self.series as u64, self.range, self.plain);
        Ok(WrittenDay { day, files, series, samples, histograms, range, plain, resolution, buckets })
    }
}
