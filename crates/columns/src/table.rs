//! Histograms of one series with a column for each bucket.

use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::{TimeRange, is_stale_nan};
use std::ops::Range;

/// Buckets that fit into a cache line.
const LINE_BUCKETS: usize = 8;

/// Histograms of one series, ascending in time, in runs that have one layout: a column for each bucket of a run.
///
/// It holds the same samples as [`Columns`](crate::Columns) could, without an object for each. It has no floats.
///
/// Invariant R: the runs cover all rows, in order, and each column of a run has a cell for each of its rows.
///
/// ```
/// use mytsdb_columns::{HistogramRows, HistogramTable};
/// use mytsdb_histogram::{FloatHistogram, Span};
///
/// let frame = FloatHistogram { positive_spans: vec![Span { offset: 1, length: 2 }], ..FloatHistogram::default() };
/// let mut table = HistogramTable::default();
/// let columns = table.cells_len() as u32;
/// table.cells_mut().extend([1.0, 2.0, /* the other bucket */ 5.0, 4.0]);
/// table.push_run(frame, vec![columns, columns + 2], &HistogramRows {
///     timestamps_ms: &[1_000, 2_000],
///     start_timestamps_ms: &[0, 0],
///     counts: &[6.0, 6.0],
///     zero_counts: &[0.0, 0.0],
///     sums: &[7.0, 8.0],
/// });
/// assert_eq!(table.histogram(1).positive_buckets, [2.0, 4.0]);
/// assert_eq!(table.falls(), [1], "the second bucket went down");
/// ```
#[derive(Debug, Clone, Default)]
pub struct HistogramTable {
    timestamps_ms: Vec<i64>,
    start_timestamps_ms: Vec<i64>,
    counts: Vec<f64>,
    zero_counts: Vec<f64>,
    sums: Vec<f64>,
    cells: Vec<f64>,
    runs: Vec<HistogramRun>,
    falls: Vec<u32>,
}

/// Rows that share a layout, and the hint as far as it tells gauges.
#[derive(Debug, Clone)]
pub struct HistogramRun {
    rows: Range<usize>,
    frame: FloatHistogram,
    /// Where the first row's cell of each bucket is, positive buckets first.
    columns: Vec<u32>,
    /// Runs that follow each other and are alike have the same.
    group: u32,
}

/// The columns of a run beside those of its buckets, all of one length.
#[derive(Debug, Clone, Copy)]
pub struct HistogramRows<'a> {
    /// Times, in ms since the epoch, strictly ascending.
    pub timestamps_ms: &'a [i64],
    /// Start times; 0 where one is not known.
    pub start_timestamps_ms: &'a [i64],
    /// Observations.
    pub counts: &'a [f64],
    /// Observations in the zero bucket.
    pub zero_counts: &'a [f64],
    /// Sums of what was observed.
    pub sums: &'a [f64],
}

impl HistogramTable {
    /// Removes all rows and keeps the memory of the columns.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.start_timestamps_ms.clear();
        self.counts.clear();
        self.zero_counts.clear();
        self.sums.clear();
        self.cells.clear();
        self.runs.clear();
        self.falls.clear();
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// The number of cells: where the next column begins.
    pub fn cells_len(&self) -> usize {
        self.cells.len()
    }

    /// The cells, for whoever appends columns for the next run; those of other runs must stay.
    pub fn cells_mut(&mut self) -> &mut Vec<f64> {
        &mut self.cells
    }

    /// Adds a run of rows behind those that are there. `frame` has all that they share: its own counts, sum and buckets are not
    /// looked at, and its hint is gauge or anything else. `columns` are the places of each bucket's first cell among the
    /// cells, as many as the spans of the frame have buckets. No row, or every row, has a stale marker as its sum.
    ///
    /// Cost: one pass over the cells.
    ///
    /// # Panics
    /// If the columns differ in their length, or a cell is missing.
    pub fn push_run(&mut self, frame: FloatHistogram, columns: Vec<u32>, rows: &HistogramRows<'_>) {
        let (first, count) = (self.len(), rows.timestamps_ms.len());
        let lens = [rows.start_timestamps_ms.len(), rows.counts.len(), rows.zero_counts.len(), rows.sums.len()];
        assert!(lens == [count; 4], "columns of one run have as many rows");
        self.timestamps_ms.extend_from_slice(rows.timestamps_ms);
        self.start_timestamps_ms.extend_from_slice(rows.start_timestamps_ms);
        self.counts.extend_from_slice(rows.counts);
        self.zero_counts.extend_from_slice(rows.zero_counts);
        self.sums.extend_from_slice(rows.sums);
        let mut run = HistogramRun { rows: first..first + count, frame, columns, group: 0 };
        let mut is_below = false;
        if let Some(last) = self.runs.last() {
            let is_continued = self.are_alike(last, &run);
            is_below = is_continued && self.is_below(last, &run);
            run.group = last.group + u32::from(!is_continued);
        }
        if is_below {
            self.falls.push(first as u32);
        }
        self.note_falls(&run);
        self.runs.push(run);
    }

    /// Whether histograms of two runs have all in common but their counts, and none is a stale marker.
    fn are_alike(&self, left: &HistogramRun, right: &HistogramRun) -> bool {
        let is_stale = |run: &HistogramRun| self.sums.get(run.rows.start).is_none_or(|sum| is_stale_nan(*sum));
        let (a, b) = (&left.frame, &right.frame);
        left.is_gauge() == right.is_gauge()
            && a.schema == b.schema
            && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
            && a.positive_spans == b.positive_spans
            && a.negative_spans == b.negative_spans
            && a.custom_values.len() == b.custom_values.len()
            && a.custom_values.iter().zip(&b.custom_values).all(|(a, b)| a.to_bits() == b.to_bits())
            && !is_stale(left)
            && !is_stale(right)
    }

    /// Whether any count of the first row of a run is below that of the last row of the one before, which is alike.
    fn is_below(&self, before: &HistogramRun, run: &HistogramRun) -> bool {
        let (last, now) = (before.rows.len() - 1, run.rows.start);
        let fell = |column: &[f64]| column[now] < column[now - 1];
        let any_bucket = before.columns.iter().zip(&run.columns).fold(0, |any, (&before, &at)| {
            any | u64::from(self.cells[at as usize] < self.cells[before as usize + last])
        });
        fell(&self.counts) || fell(&self.zero_counts) || any_bucket != 0
    }

    /// Notes that a row is said to follow a reset, whatever its counts are.
    pub fn note_reset(&mut self, row: usize) {
        if let Err(place) = self.falls.binary_search(&(row as u32)) {
            self.falls.insert(place, row as u32);
        }
    }

    /// Notes the rows of a run that are below the one before.
    fn note_falls(&mut self, run: &HistogramRun) {
        let known = self.falls.len();
        let first = run.rows.start;
        let buckets = run.columns.iter().map(|&at| &self.cells[at as usize..][..run.rows.len()]);
        for column in [&self.counts[run.rows.clone()], &self.zero_counts[run.rows.clone()]].into_iter().chain(buckets) {
            if falls(column) {
                let places = (1..column.len()).filter(|&row| column[row] < column[row - 1]);
                self.falls.extend(places.map(|row| (first + row) as u32));
            }
        }
        if self.falls.len() > known + 1 {
            self.falls[known..].sort_unstable();
            self.falls.dedup();
        }
    }

    /// Times of the rows, in ms since the epoch, strictly ascending.
    pub fn timestamps_ms(&self) -> &[i64] {
        &self.timestamps_ms
    }

    /// Start times of the rows; 0 where one is not known. None after they were [forgotten](Self::forget_starts).
    pub fn start_timestamps_ms(&self) -> &[i64] {
        &self.start_timestamps_ms
    }

    /// Forgets the start times. No run may be added then until the table is cleared.
    pub fn forget_starts(&mut self) {
        self.start_timestamps_ms.clear();
    }

    /// Observations of the rows.
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// Observations in the zero buckets of the rows.
    pub fn zero_counts(&self) -> &[f64] {
        &self.zero_counts
    }

    /// Sums of the rows.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// The runs, in the order of their rows.
    pub fn runs(&self) -> &[HistogramRun] {
        &self.runs
    }

    /// The number of the run of a row.
    pub fn run_of(&self, row: usize) -> usize {
        self.runs.partition_point(|run| run.rows.end <= row)
    }

    /// The rows, ascending, of which a count is below that of the row before in the same [group](HistogramRun::group), and those
    /// that are [said](Self::note_reset) to follow a reset.
    pub fn falls(&self) -> &[u32] {
        &self.falls
    }

    /// The cells of a bucket in the rows of a run; positive buckets come first.
    ///
    /// # Panics
    /// If the run has no such bucket.
    #[inline]
    pub fn column(&self, run: &HistogramRun, bucket: usize) -> &[f64] {
        &self.cells[run.columns[bucket] as usize..][..run.rows.len()]
    }

    /// The rows in a range.
    pub fn rows_in(&self, range: TimeRange) -> Range<usize> {
        crate::columns::inside(&self.timestamps_ms, range)
    }

    /// The histogram of a row. Its hint is gauge or unknown.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn histogram(&self, row: usize) -> FloatHistogram {
        let run = &self.runs[self.run_of(row)];
        let within = row - run.rows.start;
        let (positive, negative) = run.columns.split_at(run.positive_count());
        let buckets = |columns: &[u32]| columns.iter().map(|&at| self.cells[at as usize + within]).collect();
        self.assembled(run, row, buckets(positive), buckets(negative))
    }

    /// The histograms of some rows, ascending, as [`histogram`](Self::histogram) gives them one by one. Cost: less, as cells that lie side by
    /// side are read together.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn histograms(&self, rows: &[usize]) -> Vec<FloatHistogram> {
        let mut made = Vec::with_capacity(rows.len());
        for rows in rows.chunk_by(|&row, &next| self.run_of(row) == self.run_of(next)) {
            let run = &self.runs[self.run_of(rows[0])];
            let (positive, negative) = run.columns.split_at(run.positive_count());
            let buckets = [positive, negative].map(|columns| self.buckets(run, columns, rows));
            let [positive, negative] = buckets.map(Vec::into_iter);
            let both = rows.iter().zip(positive.zip(negative));
            made.extend(both.map(|(&row, (positive, negative))| self.assembled(run, row, positive, negative)));
        }
        made
    }

    /// The buckets of some columns in some rows of a run, row by row.
    fn buckets(&self, run: &HistogramRun, columns: &[u32], rows: &[usize]) -> Vec<Vec<f64>> {
        let mut all: Vec<Vec<f64>> = rows.iter().map(|_| Vec::with_capacity(columns.len())).collect();
        for some in columns.chunks(LINE_BUCKETS) {
            for (buckets, row) in all.iter_mut().zip(rows) {
                buckets.extend(some.iter().map(|&at| self.cells[at as usize + row - run.rows.start]));
            }
        }
        all
    }

    fn assembled(
        &self,
        run: &HistogramRun,
        row: usize,
        positive_buckets: Vec<f64>,
        negative_buckets: Vec<f64>,
    ) -> FloatHistogram {
        FloatHistogram {
            counter_reset_hint: if run.is_gauge() { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
            count: self.counts[row],
            zero_count: self.zero_counts[row],
            sum: self.sums[row],
            positive_buckets,
            negative_buckets,
            positive_spans: run.frame.positive_spans.clone(),
            negative_spans: run.frame.negative_spans.clone(),
            custom_values: run.frame.custom_values.clone(),
            ..run.frame
        }
    }

    /// What [`Columns::settle_hints`](crate::Columns::settle_hints) says of a row if there are no floats among these.
    ///
    /// Cost: next to nothing, but for the first row of a run: two histograms.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn settled_hint(&self, row: usize) -> CounterResetHint {
        let run = &self.runs[self.run_of(row)];
        let continues = match row.checked_sub(1) {
            _ if run.is_gauge() => return CounterResetHint::Gauge,
            _ if self.falls.binary_search(&(row as u32)).is_ok() => false,
            None => false,
            Some(before) if self.runs[self.run_of(before)].group != run.group => {
                self.histogram(row).continues(&self.histogram(before))
            }
            Some(_) => !is_stale_nan(self.sums[row]),
        };
        if continues { CounterResetHint::NotCounterReset } else { CounterResetHint::Unknown }
    }

    /// Removes the rows that are stale markers. Hints are those of what is left then.
    pub fn drop_stale(&mut self) {
        let is_stale = |run: &HistogramRun| self.sums.get(run.rows.start).is_some_and(|sum| is_stale_nan(*sum));
        if !self.runs.iter().any(is_stale) {
            return;
        }
        let stale: Vec<bool> = self.runs.iter().map(is_stale).collect();
        let (mut kept, mut gone, mut stale) = (Vec::new(), 0, stale.into_iter());
        for mut run in std::mem::take(&mut self.runs) {
            let rows = run.rows.start - gone..run.rows.end - gone;
            if stale.next() == Some(true) {
                gone += rows.len();
                self.remove_rows(&rows);
            } else {
                run.rows = rows;
                kept.push(run);
            }
        }
        self.runs = kept;
    }

    /// Takes the buckets, the zero bucket and the bounds away, if all rows are alike and none is below the one before: then
    /// nothing but them told of resets, of which there are none. Else `false`, and nothing is changed.
    pub fn summarise(&mut self) -> bool {
        let is_one_group = self.runs.first().map(|run| run.group) == self.runs.last().map(|run| run.group);
        if !is_one_group || !self.falls.is_empty() {
            return false;
        }
        for run in &mut self.runs {
            let FloatHistogram { schema, counter_reset_hint, .. } = run.frame;
            run.frame = FloatHistogram { schema, counter_reset_hint, ..FloatHistogram::default() };
            run.columns.clear();
        }
        self.zero_counts.fill(0.0);
        true
    }

    /// Takes rows out of all columns but those of the buckets.
    fn remove_rows(&mut self, rows: &Range<usize>) {
        self.timestamps_ms.drain(rows.clone());
        if !self.start_timestamps_ms.is_empty() {
            self.start_timestamps_ms.drain(rows.clone());
        }
        for column in [&mut self.counts, &mut self.zero_counts, &mut self.sums] {
            column.drain(rows.clone());
        }
        self.falls.retain(|row| !rows.contains(&(*row as usize)));
        let behind = self.falls.partition_point(|row| (*row as usize) < rows.end);
        self.falls[behind..].iter_mut().for_each(|row| *row -= rows.len() as u32);
    }

    /// Bytes of the columns, unused room included.
    pub fn heap_bytes(&self) -> usize {
        let columns = [&self.counts, &self.zero_counts, &self.sums, &self.cells];
        let words = columns.iter().map(|column| column.capacity()).sum::<usize>()
            + self.timestamps_ms.capacity()
            + self.start_timestamps_ms.capacity();
        words * size_of::<u64>()
    }
}

impl HistogramRun {
    /// The rows of the table that it has.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// What its histograms share; the counts have no meaning.
    pub fn frame(&self) -> &FloatHistogram {
        &self.frame
    }

    /// A number that runs share if they follow each other and their histograms differ in nothing but counts and sums.
    pub fn group(&self) -> u32 {
        self.group
    }

    /// The number of buckets of each of its histograms.
    pub fn bucket_count(&self) -> usize {
        self.columns.len()
    }

    /// The number of positive ones.
    pub fn positive_count(&self) -> usize {
        self.frame.positive_spans.iter().map(|span| span.length as usize).sum()
    }

    /// Whether its histograms are gauges.
    pub fn is_gauge(&self) -> bool {
        self.frame.counter_reset_hint == CounterResetHint::Gauge
    }

    /// What [`FloatHistogram::size`] tells of each of its histograms.
    pub fn size(&self) -> usize {
        self.frame.size() + self.columns.len() * size_of::<f64>()
    }
}

/// Whether any value is below the one before it.
#[inline]
fn falls(column: &[f64]) -> bool {
    // The loop has no early exit, so that the compiler can compare many pairs at once.
    let later = column.get(1..).unwrap_or_default();
    column.iter().zip(later).fold(0, |any, (before, now)| any | u64::from(now < before)) != 0
}
