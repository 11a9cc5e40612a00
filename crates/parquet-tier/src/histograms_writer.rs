//! `hist.parquet`: a row for each native histogram, with all labels of its series and its buckets as lists.

use crate::Day;
use crate::error::Result;
use crate::numbers::{Candidates, Encodings, PAGE_ROWS};
use crate::runs::{Chunk, RunColumn};
use crate::samples_writer::{LabelColumns, push_starts};
use crate::schema::{self, FileKind, HISTOGRAM_COLUMNS, LabelNames};
use crate::sink::{FileDigest, FileWriter};
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::Labels;
use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{DataType, DoubleType, Int32Type, Int64Type};
use parquet::schema::types::{SchemaDescPtr, Type};
use std::io::Write;
use std::sync::Arc;

/// Rows of a row group, and numbers in its lists: whichever is met first ends it.
const ROW_GROUP_ROWS: usize = 1 << 16;
const ROW_GROUP_NUMBERS: usize = 1 << 21;

fn column_type(name: &str) -> Type {
    match name {
        "series_id" | "counter_reset" | "schema" => schema::plain(name, Physical::INT32, Repetition::REQUIRED),
        "timestamp" => schema::time(name, Repetition::REQUIRED),
        "start_timestamp" => schema::time(name, Repetition::OPTIONAL),
        "zero_threshold" | "zero_count" | "count" | "sum" => {
            schema::plain(name, Physical::DOUBLE, Repetition::REQUIRED)
        }
        "positive_offsets" | "negative_offsets" => schema::list(name, Physical::INT32),
        // Lengths of spans have 32 bits without a sign.
        "positive_lengths" | "negative_lengths" => schema::list(name, Physical::INT64),
        _ => schema::list(name, Physical::DOUBLE),
    }
}

/// The number of a hint in the file.
pub(crate) fn hint_number(hint: CounterResetHint) -> i32 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

/// Writes the file a row group at a time; holds one row group.
pub(crate) struct HistogramsWriter<W: Write + Send> {
    file: FileWriter<W>,
    columns: SchemaDescPtr,
    labels: LabelColumns,
    ids: RunColumn,
    starts: RunColumn,
    timestamps_ms: Vec<i64>,
    histograms: Vec<Arc<FloatHistogram>>,
    numbers: usize,
    written: u64,
}

impl<W: Write + Send> HistogramsWriter<W> {
    pub fn new(inner: W, day: Day, names: &LabelNames) -> Result<Self> {
        let schema =
            schema::file(FileKind::Histograms, names, HISTOGRAM_COLUMNS.iter().map(|name| column_type(name)).collect());
        let columns = FileWriter::<W>::columns(&schema);
        let sorting = [names.len(), names.len() + 1];
        Ok(Self {
            file: FileWriter::new(inner, schema, FileKind::Histograms, day, &sorting, Vec::new())?,
            labels: LabelColumns::new(&columns, names.len()),
            ids: RunColumn::new(columns.column(names.len())),
            starts: RunColumn::new(columns.column(names.len() + 2)),
            columns,
            timestamps_ms: Vec::new(),
            histograms: Vec::new(),
            numbers: 0,
            written: 0,
        })
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.written + self.histograms.len() as u64
    }

    /// Appends the histograms of a series.
    pub fn push(&mut self, names: &LabelNames, labels: &Labels, series_id: i32, samples: &Columns) -> Result<()> {
        for (place, (time, histogram)) in samples.histogram_timestamps_ms.iter().zip(&samples.histograms).enumerate() {
            let numbers = (histogram.size() - 168) / 8;
            let full = self.histograms.len() >= ROW_GROUP_ROWS || self.numbers + numbers > ROW_GROUP_NUMBERS;
            if full {
                self.flush(names)?;
            }
            let at = self.histograms.len() as u64;
            self.labels.push(names, labels, at, 1);
            self.ids.push(at, 1, &series_id.to_le_bytes());
            let start = samples.histogram_start_timestamps_ms.get(place..=place).unwrap_or_default();
            push_starts(&mut self.starts, at, start);
            self.timestamps_ms.push(*time);
            self.histograms.push(histogram.clone());
            self.numbers += numbers;
        }
        Ok(())
    }

    fn flush(&mut self, names: &LabelNames) -> Result<()> {
        let rows = self.histograms.len() as u64;
        if rows == 0 {
            return Ok(());
        }
        let histograms = std::mem::take(&mut self.histograms);
        let mut chunks = self.labels.encode(rows)?;
        chunks.push(self.ids.encode(rows, PAGE_ROWS as u64, false)?);
        let lists =
            Lists { columns: &self.columns, labels: names.len(), rows: &histograms, encodings: Encodings::new() };
        let times = &self.columns.column(names.len() + 1);
        chunks.push(lists.encodings.smallest::<Int64Type>(times, &self.timestamps_ms, Candidates::Times)?);
        chunks.push(self.starts.encode(rows, PAGE_ROWS as u64, false)?);
        for name in &HISTOGRAM_COLUMNS[3..] {
            chunks.push(lists.column(name)?);
        }
        self.file.append(chunks)?;
        self.written += rows;
        self.timestamps_ms.clear();
        self.numbers = 0;
        Ok(())
    }

    pub fn finish(mut self, names: &LabelNames) -> Result<(W, FileDigest)> {
        self.flush(names)?;
        self.file.finish()
    }
}

/// The histograms of a row group, as columns.
struct Lists<'a> {
    columns: &'a SchemaDescPtr,
    labels: usize,
    rows: &'a [Arc<FloatHistogram>],
    encodings: Encodings,
}

impl Lists<'_> {
    fn column(&self, name: &str) -> Result<Chunk> {
        let offset = |span: &Span| span.offset;
        let length = |span: &Span| i64::from(span.length);
        match name {
            "counter_reset" => self.integers(name, |h| hint_number(h.counter_reset_hint)),
            "schema" => self.integers(name, |h| h.schema),
            "zero_threshold" => self.floats(name, |h| h.zero_threshold),
            "zero_count" => self.floats(name, |h| h.zero_count),
            "count" => self.floats(name, |h| h.count),
            "sum" => self.floats(name, |h| h.sum),
            "positive_offsets" => self.list::<Int32Type, _>(name, |h| &h.positive_spans, offset),
            "positive_lengths" => self.list::<Int64Type, _>(name, |h| &h.positive_spans, length),
            "positive_buckets" => self.list::<DoubleType, _>(name, |h| &h.positive_buckets, |v| *v),
            "negative_offsets" => self.list::<Int32Type, _>(name, |h| &h.negative_spans, offset),
            "negative_lengths" => self.list::<Int64Type, _>(name, |h| &h.negative_spans, length),
            "negative_buckets" => self.list::<DoubleType, _>(name, |h| &h.negative_buckets, |v| *v),
            _ => self.list::<DoubleType, _>(name, |h| &h.custom_values, |v| *v),
        }
    }

    fn descr(&self, name: &str) -> parquet::schema::types::ColumnDescPtr {
        let place = HISTOGRAM_COLUMNS.iter().position(|other| *other == name).expect("a column of the format");
        self.columns.column(self.labels + place)
    }

    fn integers(&self, name: &str, pick: impl Fn(&FloatHistogram) -> i32) -> Result<Chunk> {
        let values: Vec<i32> = self.rows.iter().map(|row| pick(row)).collect();
        self.encodings.smallest::<Int32Type>(&self.descr(name), &values, Candidates::Integers)
    }

    fn floats(&self, name: &str, pick: impl Fn(&FloatHistogram) -> f64) -> Result<Chunk> {
        let values: Vec<f64> = self.rows.iter().map(|row| pick(row)).collect();
        self.encodings.smallest::<DoubleType>(&self.descr(name), &values, Candidates::Values)
    }

    fn list<T: DataType, E>(
        &self,
        name: &str,
        pick: impl Fn(&FloatHistogram) -> &Vec<E>,
        number: impl Fn(&E) -> T::T,
    ) -> Result<Chunk> {
        let (mut values, mut present, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
        for row in self.rows {
            let elements = pick(row);
            if elements.is_empty() {
                present.push(0);
                repeats.push(0);
            }
            for (place, element) in elements.iter().enumerate() {
                values.push(number(element));
                present.push(1);
                repeats.push(i16::from(place > 0));
            }
        }
        let levels = (&present[..], Some(&repeats[..]));
        self.encodings.smallest_with_levels::<T>(&self.descr(name), &values, levels)
    }
}
