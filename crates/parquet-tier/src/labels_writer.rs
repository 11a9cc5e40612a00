//! `labels.parquet`: a row for each series, with the place of its samples in the other files.
//!
//! Columns of labels and the two columns `s_...` are those that prometheus-community/parquet-common reads.

use crate::Day;
use crate::error::Result;
use crate::numbers::{Candidates, Encodings};
use crate::schema::{self, FileKind, LabelNames};
use crate::sink::{FileDigest, FileWriter};
use mytsdb_model::{FamilyKind, Labels, TimeRange};
use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{ByteArray, Int32Type, Int64Type};
use parquet::schema::types::SchemaDescPtr;
use std::io::Write;

/// Series of a row group.
pub(crate) const ROW_GROUP_SERIES: usize = 1 << 16;
/// What parquet-common takes for the length of a column of chunks.
pub(crate) const CHUNK_COLUMN_MS: i64 = 8 * 3_600_000;

/// Columns behind the labels.
pub(crate) const COLUMNS: [&str; 13] = [
    "s_col_indexes",
    "s_series_hash",
    "series_id",
    "first_row",
    "n",
    "min_t",
    "max_t",
    "hist_first_row",
    "hist_n",
    "hist_min_t",
    "hist_max_t",
    "type",
    "unit",
];

/// Where the samples of a series are in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The row of the first, counted over all row groups.
    pub first_row: u64,
    /// How many there are.
    pub count: u64,
    /// Times of the first and the last.
    pub range: TimeRange,
}

impl Place {
    /// Of a series without samples.
    pub const NONE: Self = Self { first_row: 0, count: 0, range: TimeRange::EMPTY };
}

/// A row of the file.
#[derive(Debug, Clone)]
pub(crate) struct SeriesRow {
    pub labels: Labels,
    pub series_id: i32,
    pub samples: Place,
    pub histograms: Place,
    pub kind: Option<FamilyKind>,
    pub unit: String,
}

/// Writes the file; holds the series of one row group.
pub(crate) struct LabelsWriter<W: Write + Send> {
    file: FileWriter<W>,
    columns: SchemaDescPtr,
    rows: Vec<SeriesRow>,
}

impl<W: Write + Send> LabelsWriter<W> {
    pub fn new(inner: W, day: Day, names: &LabelNames) -> Result<Self> {
        let rest = COLUMNS
            .iter()
            .map(|name| match *name {
                "s_col_indexes" | "s_series_hash" => schema::plain(name, Physical::BYTE_ARRAY, Repetition::REQUIRED),
                "series_id" => schema::plain(name, Physical::INT32, Repetition::REQUIRED),
                "type" | "unit" => schema::text(name),
                "min_t" | "max_t" | "hist_min_t" | "hist_max_t" => schema::time(name, Repetition::OPTIONAL),
                _ => schema::plain(name, Physical::INT64, Repetition::REQUIRED),
            })
            .collect();
        let schema = schema::file(FileKind::Labels, names, rest);
        let columns = FileWriter::<W>::columns(&schema);
        let file = FileWriter::new(inner, schema, FileKind::Labels, day, &[], footer(day))?;
        Ok(Self { file, columns, rows: Vec::new() })
    }

    /// Appends a series.
    pub fn push(&mut self, names: &LabelNames, row: SeriesRow) -> Result<()> {
        self.rows.push(row);
        if self.rows.len() >= ROW_GROUP_SERIES { self.flush(names) } else { Ok(()) }
    }

    /// Whether a row group has just ended.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Ends the row group, if it has rows.
    pub fn flush(&mut self, names: &LabelNames) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let encodings = Encodings::new();
        let mut chunks = Vec::with_capacity(names.len() + COLUMNS.len());
        for (place, name) in names.iter().enumerate() {
            chunks.push(encodings.texts(&self.columns.column(place), rows.iter().map(|row| row.labels.get(name)))?);
        }
        for (place, name) in COLUMNS.iter().enumerate() {
            let descr = self.columns.column(names.len() + place);
            let integers = |pick: &dyn Fn(&SeriesRow) -> u64| {
                let values: Vec<i64> = rows.iter().map(|row| pick(row) as i64).collect();
                encodings.smallest::<Int64Type>(&descr, &values, Candidates::Integers)
            };
            let times = |pick: &dyn Fn(&SeriesRow) -> (Place, i64)| {
                let (mut levels, mut values) = (Vec::new(), Vec::new());
                for (place, time) in rows.iter().map(pick) {
                    levels.push(i16::from(place.count > 0));
                    values.extend((place.count > 0).then_some(time));
                }
                encodings.smallest_with_levels::<Int64Type>(&descr, &values, (&levels, None))
            };
            let bytes = |pick: &dyn Fn(&SeriesRow) -> Vec<u8>| {
                let values: Vec<ByteArray> = rows.iter().map(|row| ByteArray::from(pick(row))).collect();
                encodings.bytes(&descr, &values)
            };
            chunks.push(match *name {
                "s_col_indexes" => bytes(&|row| column_indexes(names, &row.labels)),
                "s_series_hash" => bytes(&|row| series_hash(&row.labels).to_be_bytes().to_vec()),
                "series_id" => {
                    let ids: Vec<i32> = rows.iter().map(|row| row.series_id).collect();
                    encodings.smallest::<Int32Type>(&descr, &ids, Candidates::Integers)
                }
                "first_row" => integers(&|row| row.samples.first_row),
                "n" => integers(&|row| row.samples.count),
                "min_t" => times(&|row| (row.samples, row.samples.range.mint)),
                "max_t" => times(&|row| (row.samples, row.samples.range.maxt)),
                "hist_first_row" => integers(&|row| row.histograms.first_row),
                "hist_n" => integers(&|row| row.histograms.count),
                "hist_min_t" => times(&|row| (row.histograms, row.histograms.range.mint)),
                "hist_max_t" => times(&|row| (row.histograms, row.histograms.range.maxt)),
                "type" => encodings.texts(&descr, rows.iter().map(|row| row.kind.map(FamilyKind::as_str))),
                _ => encodings.texts(&descr, rows.iter().map(|row| Some(&*row.unit).filter(|unit| !unit.is_empty()))),
            }?);
        }
        self.file.append(chunks)
    }

    pub fn finish(mut self, names: &LabelNames) -> Result<(W, FileDigest)> {
        self.flush(names)?;
        self.file.finish()
    }
}

/// What parquet-common expects in the footer.
pub(crate) fn footer(day: Day) -> Vec<(&'static str, String)> {
    vec![
        ("minT", day.range().mint.to_string()),
        ("maxT", day.range().maxt.to_string()),
        ("data_col_duration_ms", CHUNK_COLUMN_MS.to_string()),
    ]
}

/// The columns in which a series has a label, as parquet-common writes lists of numbers: their count, then each place
/// among the columns of the file, ascending, as zigzag varints.
fn column_indexes(names: &LabelNames, labels: &Labels) -> Vec<u8> {
    let mut places: Vec<usize> = labels.iter().filter_map(|(name, _)| names.place(name)).collect();
    places.sort_unstable();
    let mut bytes = Vec::with_capacity(places.len() + 1);
    for number in std::iter::once(places.len()).chain(places) {
        let mut zigzag = (number as u64) << 1;
        while zigzag >= 0x80 {
            bytes.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        bytes.push(zigzag as u8);
    }
    bytes
}

/// Prometheus' stable hash of a label set: XXH64 with seed 0 over each name and value in order, 0xFF behind each.
fn series_hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(256);
    for (name, value) in labels {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0xff);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0xff);
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_labels_are_zigzag_varints() {
        let names = LabelNames::new((0..100).map(|n| format!("l{n:03}"))).unwrap();
        let labels = Labels::from_pairs([("__name__", "up"), ("l002", "a"), ("l099", "b")]);
        assert_eq!(column_indexes(&names, &labels), [6, 0, 6, 200, 1]);
    }
}
