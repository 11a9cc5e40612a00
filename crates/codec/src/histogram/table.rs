//! Reads histogram chunks into tables: no histogram is built.

use super::decode::{COLUMN_BYTES_MIN, FIELD_COLUMNS, HistogramChunk, RunFront, stride_of};
use super::parts::{hint_of, marker};
use super::{CHUNK_CELLS_MAX, flag};
use crate::CodecError;
use crate::dx::{take_counts, take_integers, take_values};
use mytsdb_columns::{HistogramRows, HistogramTable};
use mytsdb_histogram::CounterResetHint;
use mytsdb_model::{TimeRange, is_stale_nan};
use std::ops::Range;

/// No chunk in the table form has one; the other form tells which.
const NEGATIVE: CodecError = CodecError::Damaged { reason: "a negative count" };

impl HistogramChunk<'_> {
    /// Appends the samples in a range, and the one before it, which tells whether the first continues its counter, as rows of a table: the
    /// same samples as [`decode`](Self::decode) gives, but for their hints, of which only gauges stay.
    ///
    /// Allocates as `decode` does, and 40 bytes for each sample. Cost: what lies behind the range is hardly looked at, of what lies before it
    /// the columns are added up.
    ///
    /// # Errors
    /// [`CodecError::Truncated`], [`CodecError::Damaged`] or [`CodecError::Histogram`]; then `out` has no meaning. Damaged is also
    /// a chunk with a negative count that belongs to none of its histograms, which `decode` does not look at.
    pub fn decode_table(&self, range: TimeRange, out: &mut HistogramTable) -> Result<(), CodecError> {
        let (mut times, mut starts) = (Vec::new(), Vec::new());
        let mut rest = self.take_times(&mut times, &mut starts)?;
        let end = times.partition_point(|&time| time <= range.maxt);
        let wanted = times[..end].partition_point(|&time| time < range.mint).saturating_sub(1)..end;
        let (mut first, mut cells_left) = (0, CHUNK_CELLS_MAX);
        while first < wanted.end {
            let front = RunFront::take(&mut rest, times.len() - first, &mut cells_left)?;
            let rows = first..first + front.shapes.len();
            let own = wanted.start.clamp(rows.start, rows.end) - first..wanted.end.min(rows.end) - first;
            // Then only the length of the columns is looked at.
            let own = if own.is_empty() { 0..0 } else { own };
            first = rows.end;
            front.decode_table(&mut rest, &times[rows.clone()], &starts[rows], own, out)?;
        }
        let is_whole = first < times.len() || rest.is_empty();
        if is_whole { Ok(()) } else { Err(CodecError::Damaged { reason: "bytes behind the last run" }) }
    }
}

/// The columns of a run that are not those of its buckets.
struct Fields {
    counts: Vec<f64>,
    zero_counts: Vec<f64>,
    sums: Vec<f64>,
}

/// The entries of a run's columns, and those of them that are wanted.
struct Wanted {
    entries: usize,
    own: Range<usize>,
}

impl RunFront {
    /// Reads the columns and appends the rows in `own`, of which there may be none.
    fn decode_table(
        &self,
        rest: &mut &[u8],
        times: &[i64],
        starts: &[i64],
        own: Range<usize>,
        out: &mut HistogramTable,
    ) -> Result<(), CodecError> {
        let entries_of = |shapes: &[i64]| shapes.iter().filter(|&&shape| shape > 0).count();
        let entries = entries_of(&self.shapes);
        if entries > 0 && rest.len() < (self.columns.len() + FIELD_COLUMNS) * COLUMN_BYTES_MIN {
            return Err(CodecError::Truncated { field: "columns of a run", bytes: rest.len() });
        }
        let own_entries = entries_of(&self.shapes[..own.start])..entries_of(&self.shapes[..own.end]);
        let (base, stride) = (out.cells_len(), stride_of(own_entries.len()));
        let wanted = Wanted { entries, own: own_entries };
        let fields = match entries {
            0 => Fields { counts: vec![], zero_counts: vec![], sums: vec![] },
            _ if self.flags & flag::VALUES == 0 => self.take_integers(rest, &wanted, stride, out.cells_mut())?,
            _ => self.take_values(rest, &wanted, stride, out.cells_mut())?,
        };
        let (shapes, times, starts) = (&self.shapes[own.clone()], &times[own.clone()], &starts[own]);
        let places: Vec<Vec<u32>> =
            self.layouts.iter().map(|l| self.columns.places(&l.positive, &l.negative)).collect();

        // Rows of one layout that are all gauges or none, and all stale or none.
        let (mut row, mut entry) = (0, 0);
        while row < shapes.len() {
            let count = alike(&shapes[row..], &fields.sums[entry..]);
            let shape = shapes[row];
            let rows = row..row + count;
            let (timestamps_ms, start_timestamps_ms) = (&times[rows.clone()], &starts[rows]);
            row += count;
            if shape == 0 {
                let frame = marker();
                let (zeros, sums) = (vec![0.0; count], vec![frame.sum; count]);
                let rows = HistogramRows {
                    timestamps_ms,
                    start_timestamps_ms,
                    counts: &zeros,
                    zero_counts: &zeros,
                    sums: &sums,
                };
                out.push_run(frame, Vec::new(), &rows);
                continue;
            }
            let layout = (shape - 1) as usize / 4;
            let first_row = out.len();
            let columns = places[layout].iter().map(|&place| (base + place as usize * stride + entry) as u32).collect();
            let own = entry..entry + count;
            let rows = HistogramRows {
                timestamps_ms,
                start_timestamps_ms,
                counts: &fields.counts[own.clone()],
                zero_counts: &fields.zero_counts[own.clone()],
                sums: &fields.sums[own],
            };
            let hint = if is_gauge(shape) { CounterResetHint::Gauge } else { CounterResetHint::Unknown };
            out.push_run(self.frame(hint, &self.layouts[layout]), columns, &rows);
            let resets = shapes[row - count..row].iter().enumerate().filter(|(_, shape)| is_reset(**shape));
            resets.for_each(|(place, _)| out.note_reset(first_row + place));
            // Counts are checked column by column; all else is the same in every row.
            let first = out.histogram(first_row);
            first.validate().map_err(|source| CodecError::Histogram { sample: first_row, source })?;
            if self.flags & flag::CUSTOM != 0 && fields.zero_counts.iter().any(|&zero_count| zero_count != 0.0) {
                return Err(CodecError::Damaged { reason: "a zero count of custom buckets" });
            }
            entry += count;
        }
        Ok(())
    }

    fn take_integers(
        &self,
        rest: &mut &[u8],
        Wanted { entries, own }: &Wanted,
        stride: usize,
        cells: &mut Vec<f64>,
    ) -> Result<Fields, CodecError> {
        let (mut counts, mut zero_counts, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        take_integers(rest, *entries, &mut counts)?;
        take_integers(rest, *entries, &mut zero_counts)?;
        take_values(rest, *entries, &mut sums)?;
        keep(&mut counts, own);
        keep(&mut zero_counts, own);
        keep(&mut sums, own);
        let columns = self.columns.len();
        cells.reserve(columns * stride);
        let base = cells.len();
        let mut signs = 0;
        for column in 1..=columns {
            signs |= take_counts(rest, *entries, own.clone(), &mut counts, cells)?;
            cells.resize(base + column * stride, 0.0);
        }
        for (count, &zero_count) in counts.iter_mut().zip(&zero_counts) {
            *count = count.wrapping_add(zero_count);
            signs |= *count | zero_count;
        }
        if signs < 0 {
            return Err(NEGATIVE);
        }
        let floats = |integers: &[i64]| integers.iter().map(|&integer| integer as f64).collect();
        Ok(Fields { counts: floats(&counts), zero_counts: floats(&zero_counts), sums })
    }

    fn take_values(
        &self,
        rest: &mut &[u8],
        Wanted { entries, own }: &Wanted,
        stride: usize,
        cells: &mut Vec<f64>,
    ) -> Result<Fields, CodecError> {
        let mut fields = Fields { counts: vec![], zero_counts: vec![], sums: vec![] };
        for field in [&mut fields.counts, &mut fields.zero_counts, &mut fields.sums] {
            take_values(rest, *entries, field)?;
            keep(field, own);
        }
        let (columns, base, mut values) = (self.columns.len(), cells.len(), Vec::new());
        cells.reserve(columns * stride);
        for column in 1..=columns {
            values.clear();
            take_values(rest, *entries, &mut values)?;
            cells.extend_from_slice(&values[own.clone()]);
            cells.resize(base + column * stride, 0.0);
        }
        let all = fields.counts.iter().chain(&fields.zero_counts).chain(&cells[base..]);
        if all.fold(0, |any, &count| any | u64::from(count < 0.0)) != 0 { Err(NEGATIVE) } else { Ok(fields) }
    }
}

/// Leaves only some entries.
fn keep<T>(entries: &mut Vec<T>, own: &Range<usize>) {
    entries.truncate(own.end);
    entries.drain(..own.start);
}

/// How many rows from the first of some on go into one run of a table: rows of one layout that are all gauges or none, and all stale or
/// none; `sums` begin with the first row's, if it has one.
fn alike(shapes: &[i64], sums: &[f64]) -> usize {
    let key = |shape: i64| (shape > 0).then(|| ((shape - 1) / 4, is_gauge(shape)));
    let first = key(shapes[0]);
    let of_layout = shapes.iter().take_while(|&&shape| key(shape) == first).count();
    let Some(stale) = sums.first().filter(|_| first.is_some()).map(|&sum| is_stale_nan(sum)) else {
        return of_layout;
    };
    sums[..of_layout].iter().take_while(|&&sum| is_stale_nan(sum) == stale).count()
}

fn is_reset(shape: i64) -> bool {
    hint_of((shape - 1) as u8) == CounterResetHint::CounterReset
}

fn is_gauge(shape: i64) -> bool {
    hint_of((shape - 1) as u8) == CounterResetHint::Gauge
}
