//! `rate`, `increase` and `delta` of histograms that are in a table: bucket by bucket, over all windows at once. `irate`, `idelta` and
//! `resets`, of which few histograms have to be made.
//!
//! [`super::rate`] works on one window of whole histograms and defines the result, to the last bit. A window whose histograms
//! have one layout, none of which is below the one before it, needs the first and the last of them alone. Any other window
//! is handed to that code, with the histograms that it looks at.

use super::cells::Cells;
use super::over_time;
use super::rate::{self, Extrapolation, extrapolation_factor};
use super::window::{Remarks, Window};
use super::window_table::Windows;
use crate::options::Cancel;
use mytsdb_columns::{Columns, HistogramRun, HistogramTable};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use std::ops::Range;
use std::sync::Arc;

/// A window with two rows or more of runs that are alike, and no reset between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableWindow {
    step: usize,
    start_ms: i64,
    end_ms: i64,
    /// First and last row.
    first: usize,
    last: usize,
}

/// Buckets that fit into a cache line.
const LINE_BUCKETS: usize = 8;

/// Rows that are looked at between two looks at the cancel flag.
const CANCEL_ROWS: usize = 1 << 12;

/// `rate`, `increase` or `delta` in every window, of the series that is in `table`, without stale markers.
pub(crate) fn extrapolated(
    (windows, cancel): (Windows, &Cancel),
    table: &HistogramTable,
    (counter, rate): (bool, bool),
    (fast, numbers): (&mut Vec<TableWindow>, &mut Vec<f64>),
    out: &mut Cells,
    remarks: &mut Remarks<'_>,
) {
    out.reset(windows.steps);
    let falls = table.falls();
    let has_starts = counter && table.start_timestamps_ms().iter().any(|&start| start != 0);
    let mut spelled = Spelled::default();
    // The runs of the first and of the last row.
    let mut runs = [0, 0];
    fast.clear();
    let mut group = Group { table, runs, counter, rate, range_ms: windows.range_ms, differences: numbers };
    let mut walk = Walk::over(windows, table);
    for step in 0..windows.steps {
        let Some((start_ms, end_ms, Range { start: low, end: high })) = walk.window(step, cancel) else { return };
        if high - low < if has_starts { 1 } else { 2 } {
            continue;
        }
        for (run, row) in runs.iter_mut().zip([low, high - 1]) {
            while table.runs()[*run].rows().end <= row {
                *run += 1;
            }
        }
        let [first_group, last_group] = runs.map(|run| table.runs()[run].group());
        let next_fall = falls.get(falls.partition_point(|&row| row as usize <= low));
        if has_starts || first_group != last_group || next_fall.is_some_and(|&row| (row as usize) < high) {
            let window = spelled.window(table, (start_ms, end_ms), low..high, has_starts);
            if let Some(cell) = rate::extrapolated(&window, counter, rate, remarks) {
                out.set_cell(step, cell);
            }
            continue;
        }
        if group.runs != runs {
            group.compute(fast, out, remarks);
            fast.clear();
            group.runs = runs;
        }
        fast.push(TableWindow { step, start_ms, end_ms, first: low, last: high - 1 });
    }
    group.compute(fast, out, remarks);
}

/// `irate` or `idelta` in every window, of the series that is in `table`, without stale markers.
pub(crate) fn instantaneous(
    (windows, cancel): (Windows, &Cancel),
    table: &HistogramTable,
    rate: bool,
    out: &mut Cells,
    remarks: &mut Remarks<'_>,
) {
    out.reset(windows.steps);
    let has_starts = rate && table.start_timestamps_ms().iter().any(|&start| start != 0);
    let (mut spelled, mut walk) = (Spelled::default(), Walk::over(windows, table));
    for step in 0..windows.steps {
        let Some((start_ms, end_ms, rows)) = walk.window(step, cancel) else { return };
        // Without start times nothing but the last two is looked at.
        let rows = if has_starts || rows.len() < 2 { rows } else { rows.end - 2..rows.end };
        if rows.len() >= 2 {
            let window = spelled.window(table, (start_ms, end_ms), rows, has_starts);
            if let Some(cell) = rate::instantaneous(&window, rate, remarks) {
                out.set_cell(step, cell);
            }
        }
    }
}

/// `resets` in every window, of the series that is in `table`, without stale markers.
pub(crate) fn resets((windows, cancel): (Windows, &Cancel), table: &HistogramTable, out: &mut Cells) {
    out.reset(windows.steps);
    let has_starts = table.start_timestamps_ms().iter().any(|&start| start != 0);
    let resets = if has_starts { Vec::new() } else { reset_rows(table) };
    let (mut spelled, mut walk) = (Spelled::default(), Walk::over(windows, table));
    for step in 0..windows.steps {
        let Some((start_ms, end_ms, rows)) = walk.window(step, cancel) else { return };
        if rows.is_empty() {
            continue;
        }
        let count = if has_starts {
            over_time::resets(&spelled.window(table, (start_ms, end_ms), rows, true))
        } else {
            let before = |row: usize| resets.partition_point(|&reset| reset <= row);
            (before(rows.end - 1) - before(rows.start)) as f64
        };
        out.set(step, count);
    }
}

/// The rows that follow a reset, ascending. Only where a count falls, or histograms differ in more than counts, they have to be made.
fn reset_rows(table: &HistogramTable) -> Vec<usize> {
    let runs = table.runs().windows(2).filter(|pair| pair[0].group() != pair[1].group());
    let mut rows: Vec<usize> = runs.map(|pair| pair[1].rows().start).collect();
    rows.extend(table.falls().iter().map(|&row| row as usize).filter(|&row| row > 0));
    rows.sort_unstable();
    rows.dedup();
    rows.retain(|&row| table.histogram(row).detect_reset(&table.histogram(row - 1)));
    rows
}

/// The rows of each window.
struct Walk<'t> {
    windows: Windows,
    times: &'t [i64],
    rows: Range<usize>,
    looked_at: usize,
}

impl<'t> Walk<'t> {
    fn over(windows: Windows, table: &'t HistogramTable) -> Self {
        Self { windows, times: table.timestamps_ms(), rows: 0..0, looked_at: 0 }
    }

    /// Start, end and rows of the window of a step, which is that after the one before; `None` if the query is canceled: the evaluation looks
    /// again before it uses the row.
    fn window(&mut self, step: usize, cancel: &Cancel) -> Option<(i64, i64, Range<usize>)> {
        let end_ms = self.windows.end_ms(step);
        let start_ms = end_ms - self.windows.range_ms;
        let Range { start, end } = &mut self.rows;
        *end += self.times[*end..].partition_point(|&time| time <= end_ms);
        *start += self.times[*start..*end].partition_point(|&time| time <= start_ms);
        self.looked_at += 1 + self.rows.len();
        if self.looked_at > CANCEL_ROWS {
            self.looked_at = 0;
            cancel.check().ok()?;
        }
        Some((start_ms, end_ms, self.rows.clone()))
    }
}

/// Windows that begin in one run and end in one, which are alike.
struct Group<'g> {
    table: &'g HistogramTable,
    runs: [usize; 2],
    counter: bool,
    rate: bool,
    range_ms: i64,
    /// Of each window the difference of each bucket.
    differences: &'g mut Vec<f64>,
}

impl Group<'_> {
    fn compute(&mut self, windows: &[TableWindow], out: &mut Cells, remarks: &mut Remarks<'_>) {
        if windows.is_empty() {
            return;
        }
        let [first_run, run] = self.runs.map(|run| &self.table.runs()[run]);
        match (self.counter, run.is_gauge()) {
            (true, true) => remarks.not_a_counter(),
            (false, false) => remarks.not_a_gauge(),
            _ => {}
        }
        let (count, first_row, last_row) = (run.bucket_count(), first_run.rows().start, run.rows().start);
        self.differences.clear();
        self.differences.resize(windows.len() * count, 0.0);
        // A cache line of each result at a time.
        for from in (0..count).step_by(LINE_BUCKETS) {
            let to = count.min(from + LINE_BUCKETS);
            let columns: [(&[f64], &[f64]); LINE_BUCKETS] = std::array::from_fn(|place| {
                let bucket = (from + place).min(to - 1);
                (self.table.column(first_run, bucket), self.table.column(run, bucket))
            });
            for (differences, window) in self.differences.chunks_exact_mut(count).zip(windows) {
                let (first, last) = (window.first - first_row, window.last - last_row);
                for (difference, (firsts, lasts)) in differences[from..to].iter_mut().zip(&columns) {
                    *difference = lasts[last] - firsts[first];
                }
            }
        }
        let frame = compacted(run);
        for (number, window) in windows.iter().enumerate() {
            let buckets = &self.differences[number * count..][..count];
            let histogram = self.histogram(run, &frame, window, buckets);
            out.set_histogram(window.step, Arc::new(histogram));
        }
    }

    /// The result of one window.
    fn histogram(
        &self,
        run: &HistogramRun,
        frame: &FloatHistogram,
        window: &TableWindow,
        differences: &[f64],
    ) -> FloatHistogram {
        let difference = |column: &[f64]| column[window.last] - column[window.first];
        let (counts, times) = (self.table.counts(), self.table.timestamps_ms());
        let (count, first) = (difference(counts), counts[window.first]);
        // Custom buckets come without a zero bucket, of which nothing is taken.
        let zero_count = if frame.uses_custom_buckets() {
            self.table.zero_counts()[window.last]
        } else {
            difference(self.table.zero_counts())
        };
        let factor = extrapolation_factor(&Extrapolation {
            first_ms: times[window.first],
            last_ms: times[window.last],
            samples: window.last + 1 - window.first,
            start_ms: window.start_ms,
            end_ms: window.end_ms,
            rate_range_ms: self.rate.then_some(self.range_ms),
            zero_point_ms: None,
            zero_share: (self.counter && count > 0.0 && first >= 0.0).then(|| first / count),
        });
        let (positive, negative) = differences.split_at(run.positive_count());
        let sum = difference(self.table.sums());
        let any_empty = differences.iter().fold(0, |any, &difference| any | u64::from(difference == 0.0)) != 0;
        if any_empty {
            let mut histogram = FloatHistogram {
                counter_reset_hint: CounterResetHint::Gauge,
                count,
                zero_count,
                sum,
                positive_spans: run.frame().positive_spans.clone(),
                negative_spans: run.frame().negative_spans.clone(),
                positive_buckets: positive.to_vec(),
                negative_buckets: negative.to_vec(),
                custom_values: frame.custom_values.clone(),
                ..*frame
            };
            histogram.compact(0);
            histogram.mul(factor);
            return histogram;
        }
        let multiplied = |buckets: &[f64]| buckets.iter().map(|count| count * factor).collect::<Vec<f64>>();
        FloatHistogram {
            counter_reset_hint: CounterResetHint::Gauge,
            count: count * factor,
            zero_count: zero_count * factor,
            sum: sum * factor,
            positive_buckets: multiplied(positive),
            negative_buckets: multiplied(negative),
            positive_spans: frame.positive_spans.clone(),
            negative_spans: frame.negative_spans.clone(),
            custom_values: frame.custom_values.clone(),
            ..*frame
        }
    }
}

/// The frame of a run with the spans that its histograms have once they are compacted, if no bucket is empty.
fn compacted(run: &HistogramRun) -> FloatHistogram {
    let positive = run.positive_count();
    let mut frame = FloatHistogram {
        positive_buckets: vec![1.0; positive],
        negative_buckets: vec![1.0; run.bucket_count() - positive],
        ..run.frame().clone()
    };
    frame.compact(0);
    frame
}

/// Rows of a table as histograms, as far as they are needed.
#[derive(Default)]
struct Spelled {
    columns: Columns,
    is_made: Vec<bool>,
}

impl Spelled {
    /// A window of these rows.
    fn window<'w>(
        &'w mut self,
        table: &HistogramTable,
        (start_ms, end_ms): (i64, i64),
        rows: Range<usize>,
        has_starts: bool,
    ) -> Window<'w> {
        let columns = self.with(table, rows.clone(), has_starts);
        // Nothing depends on when it is evaluated.
        Window {
            columns,
            floats: 0..0,
            histograms: rows,
            start_ms,
            end_ms,
            eval_ms: end_ms,
            range_ms: end_ms - start_ms,
        }
    }

    /// The columns with these rows made; others may be anything.
    fn with(&mut self, table: &HistogramTable, rows: Range<usize>, has_starts: bool) -> &Columns {
        if self.is_made.is_empty() {
            self.is_made.resize(table.len(), false);
            self.columns.histogram_timestamps_ms.extend_from_slice(table.timestamps_ms());
            self.columns.histograms.resize(table.len(), Arc::default());
            if has_starts {
                self.columns.histogram_start_timestamps_ms.extend_from_slice(table.start_timestamps_ms());
            }
        }
        for row in rows {
            if !std::mem::replace(&mut self.is_made[row], true) {
                self.columns.histograms[row] = Arc::new(table.histogram(row));
            }
        }
        &self.columns
    }
}
