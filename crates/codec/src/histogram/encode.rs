//! Writes histogram chunks.

use super::parts::{Layout, put_schema, put_threshold, to_integer};
use super::plan::Run;
use super::singles::Rows;
use super::{CHUNK_CELLS_MAX, HAS_STARTS, HISTOGRAM_SAMPLES_MAX, flag};
use crate::CodecError;
use crate::dx::ColumnWriter;
use crate::varint::put_uvarint;
use mytsdb_histogram::FloatHistogram;
use std::sync::Arc;

/// Writes histogram chunks; keeps its scratch memory from one to the next, some 4 MiB at most.
#[derive(Debug, Default)]
pub struct HistogramEncoder {
    pub(super) writer: ColumnWriter,
    pub(super) bytes: Vec<u8>,
    /// Buckets, column after column.
    pub(super) integers: Vec<i64>,
    values: Vec<f64>,
    column: Vec<i64>,
    pub(super) rows: Rows,
}

impl HistogramEncoder {
    /// Appends one chunk to `out` with as many of the samples as it has room for, and returns their number: one at least,
    /// [`HISTOGRAM_SAMPLES_MAX`] at most, and all of so many if they have no more than 400 buckets in a few spans.
    ///
    /// Times are in ms since the epoch and ascend strictly. Start times are as many (0 = not known), or none. Every
    /// histogram comes back as it is, bit for bit. The same samples give the same bytes on every CPU. Cost:
    /// `benches/histogram.rs`.
    ///
    /// # Errors
    /// [`CodecError::Columns`], [`CodecError::OutOfOrder`], [`CodecError::Histogram`],
    /// [`CodecError::HistogramTooLarge`]; then `out` is as it was.
    pub fn encode(
        &mut self,
        timestamps_ms: &[i64],
        start_timestamps_ms: &[i64],
        histograms: &[Arc<FloatHistogram>],
        out: &mut Vec<u8>,
    ) -> Result<usize, CodecError> {
        check(timestamps_ms, start_timestamps_ms, histograms.len())?;
        let count = timestamps_ms.len().min(HISTOGRAM_SAMPLES_MAX);

        // The runs are written first: only then the number of samples is known.
        let mut runs = std::mem::take(&mut self.bytes);
        runs.clear();
        let taken = self.put_runs(&histograms[..count], &mut runs);
        if let Ok(taken) = taken {
            self.put_front(&timestamps_ms[..taken], start_timestamps_ms.get(..taken).unwrap_or_default(), out);
            out.extend_from_slice(&runs);
        }
        self.bytes = runs;
        taken
    }

    pub(super) fn put_front(&mut self, timestamps_ms: &[i64], starts_ms: &[i64], out: &mut Vec<u8>) {
        let mut times = Vec::new();
        put_uvarint(&mut times, timestamps_ms.len() as u64 - 1);
        self.writer.put_integers(timestamps_ms, &mut times);
        put_uvarint(out, times.len() as u64);
        out.extend_from_slice(&times);
        if starts_ms.iter().any(|&start_ms| start_ms != 0) {
            out.push(HAS_STARTS);
            self.writer.put_integers(starts_ms, out);
        } else {
            out.push(0);
        }
    }

    /// Appends runs while there is room; returns the number of their samples.
    fn put_runs(&mut self, histograms: &[Arc<FloatHistogram>], out: &mut Vec<u8>) -> Result<usize, CodecError> {
        let (mut taken, mut cells_left) = (0, CHUNK_CELLS_MAX);
        while taken < histograms.len() {
            let run = Run::of_front(&histograms[taken..], taken, cells_left)?;
            if run.rows == 0 {
                break;
            }
            self.put_run(&run, &histograms[taken..][..run.rows], out);
            taken += run.rows;
            cells_left -= run.cells;
        }
        Ok(taken)
    }

    fn put_run(&mut self, run: &Run<'_>, histograms: &[Arc<FloatHistogram>], out: &mut Vec<u8>) {
        put_uvarint(out, run.rows as u64 - 1);
        let places: Vec<Vec<u32>> =
            run.layouts.iter().map(|l| run.columns.places(&l.positive_spans, &l.negative_spans)).collect();
        let table = Table { run, places: &places, histograms };
        let are_integers = table.fill(&mut self.integers, to_integer) && self.integers.iter().all(|&entry| entry >= 0);

        let first = run.layouts.first();
        let is_custom = first.is_some_and(|first| first.uses_custom_buckets());
        out.push(if are_integers { 0 } else { flag::VALUES } | if is_custom { flag::CUSTOM } else { 0 });
        put_schema(first.map_or(0, |first| first.schema), out);
        if let Some(first) = first.filter(|_| is_custom) {
            put_uvarint(out, first.custom_values.len() as u64);
            if !first.custom_values.is_empty() {
                self.writer.put_values(&first.custom_values, out);
            }
        }
        put_threshold(first.map_or(0.0, |first| first.zero_threshold), out);
        put_uvarint(out, run.layouts.len() as u64);
        for layout in &run.layouts {
            Layout::put(layout, out);
        }
        self.writer.put_integers(&run.shapes, out);
        let rows = table.rows().count();
        if rows == 0 {
            return;
        }
        if are_integers {
            let counts: Vec<i64> = table.rows().map(|(_, histogram)| to_integer(histogram.count)).collect();
            let zero_counts: Vec<i64> = table.rows().map(|(_, histogram)| to_integer(histogram.zero_count)).collect();
            let sums: Vec<f64> = table.rows().map(|(_, histogram)| histogram.sum).collect();
            self.put_integer_columns(&counts, &zero_counts, &sums, out);
        } else {
            self.put_value_columns(&table, rows, out);
        }
    }

    /// Appends the columns of as many rows as there are counts; `integers` has those of the buckets.
    pub(super) fn put_integer_columns(&mut self, counts: &[i64], zero_counts: &[i64], sums: &[f64], out: &mut Vec<u8>) {
        self.column.clear();
        self.column.extend(counts.iter().zip(zero_counts).map(|(count, zero)| count.wrapping_sub(*zero)));
        for buckets in self.integers.chunks_exact(counts.len()) {
            for (count, &bucket) in self.column.iter_mut().zip(buckets) {
                *count = count.wrapping_sub(bucket);
            }
        }
        self.writer.put_integers(&self.column, out);
        self.writer.put_integers(zero_counts, out);
        self.writer.put_values(sums, out);
        for buckets in self.integers.chunks_exact(counts.len()) {
            self.writer.put_integers(buckets, out);
        }
    }

    fn put_value_columns(&mut self, table: &Table<'_>, rows: usize, out: &mut Vec<u8>) {
        let counts: Vec<f64> = table.rows().map(|(_, histogram)| histogram.count).collect();
        let zero_counts: Vec<f64> = table.rows().map(|(_, histogram)| histogram.zero_count).collect();
        self.writer.put_values(&counts, out);
        self.writer.put_values(&zero_counts, out);
        let sums: Vec<f64> = table.rows().map(|(_, histogram)| histogram.sum).collect();
        self.writer.put_values(&sums, out);
        table.fill(&mut self.values, |count| count);
        for buckets in self.values.chunks_exact(rows) {
            self.writer.put_values(buckets, out);
        }
    }
}

/// Checks what is said of samples beside their values.
pub(super) fn check(timestamps_ms: &[i64], starts_ms: &[i64], count: usize) -> Result<(), CodecError> {
    let timestamps = timestamps_ms.len();
    let has_fitting_starts = starts_ms.is_empty() || starts_ms.len() == timestamps;
    if timestamps == 0 || count != timestamps || !has_fitting_starts {
        return Err(CodecError::Columns { timestamps, values: count });
    }
    let timestamps_ms = &timestamps_ms[..timestamps.min(HISTOGRAM_SAMPLES_MAX)];
    match timestamps_ms.windows(2).find(|pair| pair[1] <= pair[0]) {
        Some(pair) => Err(CodecError::OutOfOrder { timestamp_ms: pair[1], last_ms: pair[0] }),
        None => Ok(()),
    }
}

/// The samples of a run with the columns of their buckets.
struct Table<'a> {
    run: &'a Run<'a>,
    /// Of each layout the column of each bucket.
    places: &'a [Vec<u32>],
    histograms: &'a [Arc<FloatHistogram>],
}

impl Table<'_> {
    /// The number of the layout and the histogram of each row that is no stale marker.
    fn rows(&self) -> impl Iterator<Item = (usize, &FloatHistogram)> {
        let with_shapes = self.run.shapes.iter().zip(self.histograms);
        with_shapes.filter(|&(&shape, _)| shape > 0).map(|(&shape, histogram)| ((shape as usize - 1) / 4, &**histogram))
    }

    /// Sets the entries of all bucket columns, one column behind the other. False if a count or a zero count becomes -1.
    fn fill<T: Copy + Default + PartialOrd>(&self, entries: &mut Vec<T>, convert: impl Fn(f64) -> T) -> bool {
        let row_count = self.rows().count();
        entries.clear();
        entries.resize(self.run.columns.len() * row_count, T::default());
        let mut all = true;
        for (row, (layout, histogram)) in self.rows().enumerate() {
            let places = &self.places[layout];
            if places.len() < self.run.columns.len() && row > 0 {
                // A bucket that this histogram does not have repeats its entry before.
                for column in entries.chunks_exact_mut(row_count) {
                    column[row] = column[row - 1];
                }
            }
            let (positive, negative) = places.split_at(histogram.positive_buckets.len());
            for (places, buckets) in [(positive, &histogram.positive_buckets), (negative, &histogram.negative_buckets)]
            {
                for (&place, &count) in places.iter().zip(buckets) {
                    entries[place as usize * row_count + row] = convert(count);
                }
            }
            all &= convert(histogram.count) >= T::default() && convert(histogram.zero_count) >= T::default();
        }
        all
    }
}
