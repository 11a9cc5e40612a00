//! `buckets.parquet`: a row for each bucket of samples, with all labels of its series.

use crate::Day;
use crate::error::Result;
use crate::numbers::{Candidates, Encodings};
use crate::runs::RunColumn;
use crate::samples_writer::LabelColumns;
use crate::schema::{self, FileKind, LabelNames};
use crate::sink::{FileDigest, FileWriter};
use mytsdb_downsample::{Buckets, Resolution};
use mytsdb_model::Labels;
use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{DoubleType, Int32Type, Int64Type};
use parquet::schema::types::SchemaDescPtr;
use std::io::Write;

/// Rows of a page. A query reads a few hundred buckets of each of many series, and a page is unpacked as a whole.
const PAGE_ROWS: usize = 4_096;

/// Footer key of the width of the buckets, in ms.
const RESOLUTION_KEY: &str = "mytsdb.resolution_ms";

/// Writes the file a row group at a time; holds one row group.
pub(crate) struct BucketsWriter<W: Write + Send> {
    file: FileWriter<W>,
    columns: SchemaDescPtr,
    labels: LabelColumns,
    ids: RunColumn,
    held: Buckets,
    row_group_rows: usize,
    written: u64,
}

impl<W: Write + Send> BucketsWriter<W> {
    pub fn new(inner: W, day: Day, names: &LabelNames, resolution: Resolution, row_group_rows: usize) -> Result<Self> {
        let number = |name| schema::plain(name, Physical::DOUBLE, Repetition::REQUIRED);
        let rest = vec![
            schema::plain("series_id", Physical::INT32, Repetition::REQUIRED),
            schema::time("timestamp", Repetition::REQUIRED),
            schema::time("first_timestamp", Repetition::REQUIRED),
            schema::plain("count", Physical::INT32, Repetition::REQUIRED),
            number("sum"),
            number("min"),
            number("max"),
            number("first"),
            number("last"),
            number("resets"),
        ];
        let schema = schema::file(FileKind::Buckets, names, rest);
        let columns = FileWriter::<W>::columns(&schema);
        let (id, time) = (names.len(), names.len() + 1);
        let footer = vec![(RESOLUTION_KEY, resolution.ms().to_string())];
        Ok(Self {
            file: FileWriter::new(inner, schema, FileKind::Buckets, day, &[id, time], footer)?,
            labels: LabelColumns::new(&columns, names.len()),
            ids: RunColumn::new(columns.column(id)),
            columns,
            held: Buckets::default(),
            row_group_rows,
            written: 0,
        })
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.written + self.held.len() as u64
    }

    /// Appends the buckets of a series.
    pub fn push(&mut self, names: &LabelNames, labels: &Labels, series_id: i32, buckets: &Buckets) -> Result<()> {
        let mut from = 0;
        while from < buckets.len() {
            let room = self.row_group_rows - self.held.len();
            let to = from + room.min(buckets.len() - from);
            let at = self.held.len() as u64;
            self.labels.push(names, labels, at, (to - from) as u32);
            self.ids.push(at, (to - from) as u32, &series_id.to_le_bytes());
            self.held.extend_from(buckets, from..to);
            if self.held.len() >= self.row_group_rows {
                self.flush(names)?;
            }
            from = to;
        }
        Ok(())
    }

    fn flush(&mut self, names: &LabelNames) -> Result<()> {
        let rows = self.held.len() as u64;
        if rows == 0 {
            return Ok(());
        }
        let encodings = Encodings::with_pages_of(PAGE_ROWS);
        let column = |place: usize| self.columns.column(names.len() + place);
        let mut chunks = self.labels.encode(rows)?;
        chunks.push(self.ids.encode(rows, PAGE_ROWS as u64, false)?);
        let held = &self.held;
        let counts: Vec<i32> = held.counts.iter().map(|count| i32::try_from(*count).unwrap_or(i32::MAX)).collect();
        chunks.push(encodings.smallest::<Int64Type>(&column(1), &held.lasts_ms, Candidates::Times)?);
        chunks.push(encodings.smallest::<Int64Type>(&column(2), &held.firsts_ms, Candidates::Times)?);
        chunks.push(encodings.smallest::<Int32Type>(&column(3), &counts, Candidates::Integers)?);
        let numbers = [&held.sums, &held.minima, &held.maxima, &held.firsts, &held.lasts, &held.resets];
        for (place, values) in (4..).zip(numbers) {
            chunks.push(encodings.smallest::<DoubleType>(&column(place), values, Candidates::Values)?);
        }
        self.file.append(chunks)?;
        self.written += rows;
        self.held.clear();
        Ok(())
    }

    /// Bytes held, about.
    pub fn heap_bytes(&self) -> usize {
        self.held.heap_bytes() + self.labels.heap_bytes() + self.ids.heap_bytes()
    }

    pub fn finish(mut self, names: &LabelNames) -> Result<(W, FileDigest)> {
        self.flush(names)?;
        self.file.finish()
    }
}
