//! How samples are cut into records of the log.

use super::Batch;
use crate::EngineError;
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_wal::{CheckpointWriter, RECORD_ROWS_MAX, Rows};
use std::ops::Range;

/// Bytes of histograms in a record at most, unless a point has more.
const RECORD_BYTES: usize = 1 << 20;

/// The same for a point that has more: a record must fit a frame of the log.
const RECORD_BYTES_MAX: usize = 12 << 20;

/// The rows of a batch by the records that they are logged in. A torn write loses whole records, so none ends within a
/// point, unless the point is larger than a record may be.
pub(crate) fn records(batch: &Batch) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rows = start..record_end(batch, start, RECORD_BYTES);
        if rows.is_empty() {
            return None;
        }
        let across = batch.points.get(batch.points.partition_point(|p| (p.end as usize) <= rows.end));
        let across = across.filter(|point| (point.start as usize) < rows.end);
        start = match across {
            None => rows.end,
            Some(point) if point.start as usize > rows.start => point.start as usize,
            Some(point) => record_end(batch, rows.start, RECORD_BYTES_MAX).min(point.end as usize),
        };
        Some(rows.start..start)
    })
}

/// Behind the rows from `start` on that fit a record with so many bytes of histograms; one row always does.
fn record_end(batch: &Batch, start: usize, bytes_max: usize) -> usize {
    let end = batch.len().min(start + RECORD_ROWS_MAX);
    let mut bytes = 0;
    let beyond = batch.histograms_in(&(start..end)).iter().find(|(row, histogram)| {
        bytes += histogram.len();
        bytes > bytes_max && *row as usize > start
    });
    beyond.map_or(end, |(row, _)| *row as usize)
}

/// Puts samples of a series, in any order, into a checkpoint.
pub(crate) fn log_columns(
    writer: &mut CheckpointWriter,
    (series, labels): (SeriesRef, &Labels),
    columns: &Columns,
) -> Result<(), EngineError> {
    let refs = vec![series; RECORD_ROWS_MAX];
    let (times, starts) = (&columns.timestamps_ms, &columns.start_timestamps_ms);
    for from in (0..times.len()).step_by(RECORD_ROWS_MAX) {
        let rows = from..times.len().min(from + RECORD_ROWS_MAX);
        let (timestamps_ms, starts_ms) = (&times[rows.clone()], starts.get(rows.clone()).unwrap_or_default());
        let (refs, values) = (&refs[..rows.len()], &columns.values[rows]);
        writer.log_rows(&Rows { refs, timestamps_ms, starts_ms, values, histograms: &[] })?;
    }
    let (times, starts) = (&columns.histogram_timestamps_ms, &columns.histogram_start_timestamps_ms);
    let values = vec![0.0; times.len().min(RECORD_ROWS_MAX)];
    let (mut from, mut bytes, mut ends) = (0, Vec::new(), vec![0]);
    for (row, histogram) in columns.histograms.iter().enumerate() {
        mytsdb_codec::put_histogram(histogram, &mut bytes)
            .map_err(|source| EngineError::Chunk { series: labels.to_string(), source })?;
        ends.push(bytes.len());
        let rows = from..row + 1;
        if bytes.len() < RECORD_BYTES && rows.len() < RECORD_ROWS_MAX && rows.end < times.len() {
            continue;
        }
        let bodies = ends.windows(2).map(|ends| &bytes[ends[0]..ends[1]]);
        let histograms = &(0..).zip(bodies).collect::<Vec<(u32, &[u8])>>()[..];
        let (timestamps_ms, starts_ms) = (&times[rows.clone()], starts.get(rows.clone()).unwrap_or_default());
        let (refs, values) = (&refs[..rows.len()], &values[..rows.len()]);
        writer.log_rows(&Rows { refs, timestamps_ms, starts_ms, values, histograms })?;
        from = rows.end;
        bytes.clear();
        ends.truncate(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_histogram::{FloatHistogram, Span};

    #[test]
    fn no_record_ends_within_a_point_that_fits_one() {
        let mut batch = Batch::default();
        let mut add = |rows: usize| {
            let first = batch.len() as u32;
            (0..rows).for_each(|_| batch.push(SeriesRef(1), 0, 0.0));
            batch.end_point_of(first);
        };
        [4_000, 97, 4_096, 4_097, 1, 2].into_iter().for_each(&mut add);
        let records: Vec<_> = records(&batch).collect();
        assert_eq!(records, [0..4_000, 4_000..4_097, 4_097..8_193, 8_193..12_289, 12_289..12_293]);
    }

    #[test]
    fn records_end_between_points_where_histograms_are_large() {
        let buckets = 30_000;
        let large = FloatHistogram {
            schema: 3,
            positive_spans: vec![Span { offset: 0, length: buckets }],
            positive_buckets: (0..buckets).map(|i| f64::from(i % 2 * 1_000_000_007)).collect(),
            ..FloatHistogram::default()
        };
        let mut batch = Batch::default();
        batch.push_histogram(SeriesRef(1), 0, 0, &large).unwrap();
        let (bytes, mut time) = (batch.histograms_in(&(0..1))[0].1.len(), 1);
        let fit = RECORD_BYTES / bytes;
        assert!((2..20).contains(&fit), "{bytes}");
        for rows in [fit, 3 * fit, 1, 1] {
            let first = batch.len() as u32;
            for _ in 0..rows {
                batch.push_histogram(SeriesRef(1), time, 0, &large).unwrap();
                time += 1;
            }
            batch.end_point_of(first);
        }
        let records: Vec<_> = records(&batch).collect();
        let ends: Vec<_> = records.iter().map(|rows| rows.end).collect();
        assert_eq!(ends, [1, 1 + fit, 1 + 4 * fit, 3 + 4 * fit]);
        assert!(records.windows(2).all(|pair| pair[0].end == pair[1].start) && records[0].start == 0);
    }
}
