//! `samples.parquet`: a row for each float sample, with all labels of its series.

use crate::Day;
use crate::error::Result;
use crate::numbers::{Candidates, Encodings, PAGE_ROWS};
use crate::runs::RunColumn;
use crate::schema::{self, FileKind, LabelNames};
use crate::sink::{FileDigest, FileWriter};
use mytsdb_columns::Columns;
use mytsdb_model::Labels;
use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{DoubleType, Int64Type};
use parquet::schema::types::SchemaDescPtr;
use std::io::Write;

/// Columns behind the labels: series_id, timestamp, start_timestamp, value.
pub(crate) const SERIES_ID: usize = 0;
pub(crate) const TIMESTAMP: usize = 1;
pub(crate) const START: usize = 2;
pub(crate) const VALUE: usize = 3;

/// The columns of labels of a row group that is being filled.
pub(crate) struct LabelColumns(Vec<RunColumn>);

impl LabelColumns {
    pub fn new(columns: &SchemaDescPtr, count: usize) -> Self {
        Self((0..count).map(|place| RunColumn::new(columns.column(place))).collect())
    }

    /// Appends `rows` rows of a series behind row `at`. All its labels are in `names`.
    pub fn push(&mut self, names: &LabelNames, labels: &Labels, at: u64, rows: u32) {
        for (name, value) in labels {
            let place = names.place(name).expect("labels were checked against the names");
            self.0[place].push(at, rows, value.as_bytes());
        }
    }

    /// Encodes and empties all of them.
    pub fn encode(&mut self, rows: u64) -> Result<Vec<crate::runs::Chunk>> {
        // Only pages of the metric's name are cut: with 500 labels that few series have, more pages cost more than they
        // help, and the pages of a name tell readers in which of them a metric is.
        let page_rows = |place: usize| if place == 0 { PAGE_ROWS as u64 } else { 1 << 30 };
        self.0.iter_mut().enumerate().map(|(place, column)| column.encode(rows, page_rows(place), place == 0)).collect()
    }

    pub fn heap_bytes(&self) -> usize {
        self.0.iter().map(RunColumn::heap_bytes).sum()
    }
}

/// Writes the file a row group at a time; holds one row group.
pub(crate) struct SamplesWriter<W: Write + Send> {
    file: FileWriter<W>,
    columns: SchemaDescPtr,
    labels: LabelColumns,
    ids: RunColumn,
    starts: RunColumn,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
    row_group_rows: usize,
    written: u64,
}

impl<W: Write + Send> SamplesWriter<W> {
    pub fn new(inner: W, day: Day, names: &LabelNames, row_group_rows: usize) -> Result<Self> {
        let rest = vec![
            schema::plain("series_id", Physical::INT32, Repetition::REQUIRED),
            schema::time("timestamp", Repetition::REQUIRED),
            schema::time("start_timestamp", Repetition::OPTIONAL),
            schema::plain("value", Physical::DOUBLE, Repetition::REQUIRED),
        ];
        let schema = schema::file(FileKind::Samples, names, rest);
        let columns = FileWriter::<W>::columns(&schema);
        let sorting = [names.len() + SERIES_ID, names.len() + TIMESTAMP];
        Ok(Self {
            file: FileWriter::new(inner, schema, FileKind::Samples, day, &sorting, Vec::new())?,
            labels: LabelColumns::new(&columns, names.len()),
            ids: RunColumn::new(columns.column(names.len() + SERIES_ID)),
            starts: RunColumn::new(columns.column(names.len() + START)),
            columns,
            timestamps_ms: Vec::new(),
            values: Vec::new(),
            row_group_rows,
            written: 0,
        })
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.written + self.values.len() as u64
    }

    /// Appends the float samples of a series.
    pub fn push(&mut self, names: &LabelNames, labels: &Labels, series_id: i32, samples: &Columns) -> Result<()> {
        let (times, values) = (&samples.timestamps_ms[..], &samples.values[..]);
        let mut from = 0;
        while from < times.len() {
            let left = times.len() - from;
            let room = self.row_group_rows - self.values.len();
            // A series that fits into a row group is not cut, unless that would leave a small one behind.
            if left > room && left <= self.row_group_rows && self.values.len() >= self.row_group_rows / 2 {
                self.flush(names)?;
                continue;
            }
            let to = from + left.min(room);
            let at = self.values.len() as u64;
            self.labels.push(names, labels, at, (to - from) as u32);
            self.ids.push(at, (to - from) as u32, &series_id.to_le_bytes());
            push_starts(&mut self.starts, at, samples.start_timestamps_ms.get(from..to).unwrap_or_default());
            self.timestamps_ms.extend_from_slice(&times[from..to]);
            self.values.extend_from_slice(&values[from..to]);
            if self.values.len() >= self.row_group_rows {
                self.flush(names)?;
            }
            from = to;
        }
        Ok(())
    }

    fn flush(&mut self, names: &LabelNames) -> Result<()> {
        let rows = self.values.len() as u64;
        if rows == 0 {
            return Ok(());
        }
        let encodings = Encodings::new();
        let column = |place: usize| self.columns.column(names.len() + place);
        let mut chunks = self.labels.encode(rows)?;
        chunks.push(self.ids.encode(rows, PAGE_ROWS as u64, false)?);
        chunks.push(encodings.smallest::<Int64Type>(&column(TIMESTAMP), &self.timestamps_ms, Candidates::Times)?);
        chunks.push(self.starts.encode(rows, PAGE_ROWS as u64, false)?);
        chunks.push(encodings.smallest::<DoubleType>(&column(VALUE), &self.values, Candidates::Values)?);
        self.file.append(chunks)?;
        self.written += rows;
        self.timestamps_ms.clear();
        self.values.clear();
        Ok(())
    }

    /// Bytes held, about.
    pub fn heap_bytes(&self) -> usize {
        let columns = (self.timestamps_ms.capacity() + self.values.capacity()) * size_of::<u64>();
        columns + self.labels.heap_bytes() + self.ids.heap_bytes() + self.starts.heap_bytes()
    }

    pub fn finish(mut self, names: &LabelNames) -> Result<(W, FileDigest)> {
        self.flush(names)?;
        self.file.finish()
    }
}

/// Appends start times behind row `at`; 0 is one that is not known.
pub(crate) fn push_starts(column: &mut RunColumn, at: u64, starts_ms: &[i64]) {
    let mut at = at;
    for run in starts_ms.chunk_by(|a, b| a == b) {
        if run[0] != 0 {
            column.push(at, run.len() as u32, &run[0].to_le_bytes());
        }
        at += run.len() as u64;
    }
}
