//! Windows as a property of a column of times: found once, used by every series with the same times.
//!
//! Invariant T: everything in a [`WindowTable`] is computed from its own `times` and `windows` alone. A column whose times
//! differ in a single place makes a new table, so no answer depends on which series came before.

use super::cells::FLOAT;
use std::ops::Range;

/// Windows `(end - range, end]` whose ends are a step apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub first_end_ms: i64,
    /// Above 0.
    pub step_ms: i64,
    pub range_ms: i64,
    /// How many there are.
    pub steps: usize,
}

/// Longer columns and more steps go through the code that looks at the cancel flag and needs no tables.
pub(crate) const TABLE_SAMPLES_MAX: usize = 1 << 16;
pub(crate) const TABLE_STEPS_MAX: usize = 1 << 18;

impl Windows {
    /// The end of window `step`.
    #[inline]
    pub fn end_ms(&self, step: usize) -> i64 {
        self.first_end_ms + self.step_ms * step as i64
    }

    /// Whether a table of these windows over `samples` samples may be made, and pays.
    pub fn fit_table(&self, samples: usize) -> bool {
        (2..=TABLE_STEPS_MAX).contains(&self.steps) && samples < TABLE_SAMPLES_MAX
    }

    /// Steps in a range, if it is a whole number of them and not more than there are.
    fn steps_in_range(&self) -> Option<usize> {
        let steps = self.range_ms / self.step_ms;
        (self.range_ms % self.step_ms == 0 && (1..=self.steps as i64).contains(&steps)).then_some(steps as usize)
    }
}

/// What extrapolating a difference to the edges of a window takes, as far as times alone decide it.
#[derive(Debug, Default)]
pub(crate) struct Extrapolations {
    /// Whether the factors are those of a rate; `None` while there are none.
    made_for: Option<bool>,
    /// For each live step: by how much the difference grows.
    pub factors: Vec<f64>,
    /// Seconds from the first sample to the last one.
    pub sampled: Vec<f64>,
    /// Seconds from the start of the window to the first sample, as far as they count.
    pub to_start: Vec<f64>,
    /// Bounds of the two in windows with two samples or more.
    pub sampled_min: f64,
    pub to_start_max: f64,
    to_end: Vec<f64>,
    intervals: Vec<f64>,
}

/// The windows of one column.
#[derive(Debug)]
pub(crate) struct WindowTable {
    windows: Windows,
    times: Vec<i64>,
    /// Samples at or before the start of window `k` at `k`, at or before its end at `ends + k`.
    counts: Vec<u32>,
    ends: usize,
    /// Windows of other steps are empty.
    live: Range<usize>,
    /// Samples in the fullest window.
    longest: usize,
    extrapolations: Extrapolations,
}

/// Counts the samples up to times that ascend evenly.
///
/// The last stride is the guess for the next one, so a regular column needs two looks a step.
#[derive(Debug, Default)]
pub(crate) struct Stride {
    count: usize,
    stride: usize,
}

impl Stride {
    /// How many samples are not later than `at_ms`.
    #[inline]
    pub fn count(&mut self, times: &[i64], at_ms: i64) -> usize {
        let before = self.count;
        let mut count = (before + self.stride).min(times.len());
        while count > before && times[count - 1] > at_ms {
            count -= 1;
        }
        while count < times.len() && times[count] <= at_ms {
            count += 1;
        }
        (self.count, self.stride) = (count, count - before);
        count
    }
}

/// Counts the samples at or before `at_ms` and the times `step_ms` apart behind it.
fn count_up_to(times: &[i64], mut at_ms: i64, step_ms: i64, out: &mut [u32]) {
    let mut stride = Stride { count: times.partition_point(|&t| t <= at_ms), stride: 0 };
    for slot in out {
        *slot = stride.count(times, at_ms) as u32;
        at_ms += step_ms;
    }
}

impl WindowTable {
    fn new(windows: Windows) -> Self {
        Self {
            windows,
            times: Vec::new(),
            counts: Vec::new(),
            ends: 0,
            live: 0..0,
            longest: 0,
            extrapolations: Extrapolations::default(),
        }
    }

    fn rebuild(&mut self) {
        let Windows { first_end_ms, step_ms, range_ms, steps } = self.windows;
        self.extrapolations.made_for = None;
        self.counts.clear();
        let start_ms = first_end_ms - range_ms;
        if let Some(apart) = self.windows.steps_in_range() {
            // Every start is the end of an earlier window.
            self.ends = apart;
            self.counts.resize(steps + apart, 0);
            count_up_to(&self.times, start_ms, step_ms, &mut self.counts);
        } else {
            self.ends = steps;
            self.counts.resize(2 * steps, 0);
            let (starts, ends) = self.counts.split_at_mut(steps);
            count_up_to(&self.times, start_ms, step_ms, starts);
            count_up_to(&self.times, first_end_ms, step_ms, ends);
        }
        let (low, high) = (&self.counts[..steps], &self.counts[self.ends..]);
        let filled = |(low, high): (&u32, &u32)| low < high;
        let first = low.iter().zip(high).position(filled).unwrap_or(steps);
        let last = low.iter().zip(high).rposition(filled).map_or(first, |last| last + 1);
        self.live = first..last;
        self.longest = low.iter().zip(high).map(|(low, high)| high - low).fold(0, u32::max) as usize;
    }

    pub fn windows(&self) -> Windows {
        self.windows
    }

    /// The column.
    pub fn times(&self) -> &[i64] {
        &self.times
    }

    /// The steps from the first window that holds a sample to the last one.
    pub fn live(&self) -> Range<usize> {
        self.live.clone()
    }

    /// Samples in the fullest window.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// For each live step the samples before its window, and those up to its end. The first are fewer than there are
    /// samples, the second are not 0, even where the window is empty.
    #[inline]
    pub fn bounds(&self) -> (&[u32], &[u32]) {
        let Range { start, end } = self.live;
        (&self.counts[start..end], &self.counts[self.ends + start..self.ends + end])
    }

    /// Windows made of the same pieces: the samples before each piece and, last, all; and how many pieces a window has.
    /// Window `step` consists of pieces `step..step + n`.
    pub fn pieces(&self) -> Option<(&[u32], usize)> {
        self.windows.steps_in_range().map(|apart| (&self.counts[..], apart))
    }

    /// Which steps of `kinds` get a float: those whose window holds `samples_min` samples or more, at least one.
    pub fn set_kinds(&self, samples_min: u32, kinds: &mut [u8]) {
        let (low, high) = self.bounds();
        for ((kind, low), high) in kinds[self.live.clone()].iter_mut().zip(low).zip(high) {
            *kind = u8::from(high - low >= samples_min) * FLOAT;
        }
    }

    /// The live steps (counted from the first one) whose windows hold both sample `index` and the one before it, if
    /// `pair`, or sample `index` alone.
    pub fn live_steps_with(&self, index: u32, pair: bool) -> Range<usize> {
        let (low, high) = self.bounds();
        let from = high.partition_point(|&high| high <= index);
        let to = low.partition_point(|&low| if pair { low < index } else { low <= index });
        from..to.max(from)
    }

    /// Makes the factors of a rate, or of an increase, unless they are there. A gap to the window's edge of more than
    /// `threshold` average intervals is not bridged.
    pub fn extrapolate(&mut self, rate: bool, threshold: f64) -> &Self {
        if self.extrapolations.made_for != Some(rate) {
            let mut made = std::mem::take(&mut self.extrapolations);
            self.make_extrapolations(&mut made, rate, threshold);
            self.extrapolations = made;
        }
        self
    }

    /// What [`WindowTable::extrapolate`] made last.
    pub fn extrapolations(&self) -> &Extrapolations {
        &self.extrapolations
    }

    /// What the formula for a single window takes, in milliseconds: from the first sample to the last one, to the first
    /// one from the start, from the last one to the end; and the intervals.
    #[inline]
    fn lengths(&self, low: u32, high: u32, end_ms: i64) -> [i64; 4] {
        let (first, last) = (self.times[low as usize], self.times[high as usize - 1]);
        let intervals = i64::from((high - low) as i32 - 1);
        [last - first, first - (end_ms - self.windows.range_ms), end_ms - last, intervals]
    }

    /// The same operations in the same order as the formula for a single window, so the factors are the same to the bit.
    /// Where a window holds less than two samples they mean nothing.
    fn make_extrapolations(&self, made: &mut Extrapolations, rate: bool, threshold: f64) {
        let (low, high) = self.bounds();
        let Extrapolations { factors, sampled, to_start, to_end, intervals, .. } = made;
        for column in [&mut *factors, &mut *sampled, &mut *to_start, &mut *to_end, &mut *intervals] {
            column.resize(low.len(), 0.0);
        }
        let seconds = self.windows.range_ms as f64 / 1000.0;
        // In: milliseconds, out: factor, seconds from first to last, seconds from the start.
        let extrapolate = |sampled: f64, to_start: f64, to_end: f64, intervals: f64| {
            let sampled = sampled / 1000.0;
            let average = sampled / intervals;
            let (threshold, half) = (average * threshold, average / 2.0);
            let (start, end) = (to_start / 1000.0, to_end / 1000.0);
            let start = if start >= threshold { half } else { start };
            let end = if end >= threshold { half } else { end };
            let grown = (sampled + start + end) / sampled;
            (if rate { grown / seconds } else { grown }, sampled, start)
        };
        let ends = (self.live.start..).map(|step| self.windows.end_ms(step));
        let windows = low.iter().zip(high).zip(ends).map(|((&low, &high), end_ms)| self.lengths(low, high, end_ms));
        let columns = factors.iter_mut().zip(&mut *sampled).zip(&mut *to_start);
        if self.is_regular() {
            let (mut before, mut now) = ([0; 4], (0.0, 0.0, 0.0));
            for (((factor, sampled), to_start), lengths) in columns.zip(windows) {
                // One number after the other: arrays would be compared in memory, which the stores stall.
                let differs = (0..4).fold(0, |bits, i| bits | (lengths[i] ^ before[i]));
                if differs != 0 {
                    let [between, start, end, intervals] = lengths.map(|length| length as f64);
                    now = extrapolate(between, start, end, intervals);
                    before = lengths;
                }
                (*factor, *sampled, *to_start) = now;
            }
        } else {
            // Two loops, so that the second one, of divisions, does several steps at a time.
            let inputs = sampled.iter_mut().zip(&mut *to_start).zip(&mut *to_end).zip(&mut *intervals);
            for ((((sampled, to_start), to_end), intervals), lengths) in inputs.zip(windows) {
                [*sampled, *to_start, *to_end, *intervals] = lengths.map(|length| length as f64);
            }
            let columns = factors.iter_mut().zip(&mut *sampled).zip(&mut *to_start).zip(to_end).zip(intervals);
            for ((((factor, sampled), to_start), to_end), intervals) in columns {
                (*factor, *sampled, *to_start) = extrapolate(*sampled, *to_start, *to_end, *intervals);
            }
        }
        (made.sampled_min, made.to_start_max) = (f64::INFINITY, 0.0);
        for (&sampled, &to_start) in made.sampled.iter().zip(&made.to_start) {
            // 0 where there is one sample, below where there is none.
            let (sampled, to_start) = if sampled > 0.0 { (sampled, to_start) } else { (f64::INFINITY, 0.0) };
            made.sampled_min = if sampled < made.sampled_min { sampled } else { made.sampled_min };
            made.to_start_max = if to_start > made.to_start_max { to_start } else { made.to_start_max };
        }
        made.made_for = Some(rate);
    }

    /// Whether among the first live windows most lie to the samples as the one before does.
    fn is_regular(&self) -> bool {
        const LOOKED_AT: usize = 32;
        let (low, high) = self.bounds();
        let lengths = |i: usize| self.lengths(low[i], high[i], self.windows.end_ms(self.live.start + i));
        let looked_at = low.len().min(LOOKED_AT);
        (1..looked_at).filter(|&i| lengths(i) == lengths(i - 1)).count() * 2 > looked_at
    }
}

/// Tables that one thread keeps: a query may have a few selectors with different windows.
#[derive(Debug, Default)]
pub(crate) struct WindowTables {
    tables: Vec<WindowTable>,
    /// The one that makes room next.
    oldest: usize,
}

const TABLES_MAX: usize = 4;

impl WindowTables {
    /// The table of `windows` over `times`. If there is none yet, the times are taken out of `times`.
    pub fn get(&mut self, windows: Windows, times: &mut Vec<i64>) -> &mut WindowTable {
        let known = self.tables.iter().position(|table| table.windows == windows);
        let index = known.unwrap_or_else(|| {
            if self.tables.len() < TABLES_MAX {
                self.tables.push(WindowTable::new(windows));
                return self.tables.len() - 1;
            }
            self.oldest = (self.oldest + 1) % TABLES_MAX;
            self.tables[self.oldest] = WindowTable::new(windows);
            self.oldest
        });
        let table = &mut self.tables[index];
        if known.is_none() || table.times != *times {
            std::mem::swap(&mut table.times, times);
            table.rebuild();
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(table: &WindowTable, times: &[i64], windows: Windows) -> Result<(), TestCaseError> {
        prop_assert_eq!(table.times(), times);
        let (low, high) = table.bounds();
        let live = table.live();
        let mut longest = 0;
        for step in 0..windows.steps {
            let end = windows.end_ms(step);
            let before = times.iter().filter(|&&t| t <= end - windows.range_ms).count();
            let up_to = times.iter().filter(|&&t| t <= end).count();
            longest = longest.max(up_to - before);
            if live.contains(&step) {
                let at = step - live.start;
                prop_assert_eq!((low[at] as usize, high[at] as usize), (before, up_to));
                prop_assert!(before < times.len() && up_to > 0);
            } else {
                prop_assert_eq!(before, up_to);
            }
        }
        prop_assert_eq!(table.longest(), longest);
        for index in 0..times.len() as u32 {
            for pair in [false, true] {
                let found = table.live_steps_with(index, pair);
                for at in 0..live.len() {
                    let holds = index.checked_sub(pair.into()).is_some_and(|i| low[at] <= i) && index < high[at];
                    prop_assert_eq!(found.contains(&at), holds, "{} {}", index, at);
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn tables_hold_the_windows_of_the_column_they_were_asked_for(
            gaps in prop::collection::vec(prop::collection::vec(1i64..40, 0..60), 1..6),
            (first, step, range, steps) in (-20i64..200, 1i64..40, 1i64..300, 2usize..40),
        ) {
            let mut tables = WindowTables::default();
            let windows = Windows { first_end_ms: first, step_ms: step, range_ms: range, steps };
            for gaps in &gaps {
                let times: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
                // Asked twice: the second time the table is there already.
                for _ in 0..2 {
                    let table = tables.get(windows, &mut times.clone());
                    check(table, &times, windows)?;
                }
            }
        }
    }

    #[test]
    fn a_column_that_differs_in_one_time_gets_its_own_table() {
        let mut tables = WindowTables::default();
        let windows = Windows { first_end_ms: 100, step_ms: 10, range_ms: 20, steps: 30 };
        let times: Vec<i64> = (0..50).map(|i| i * 10).collect();
        tables.get(windows, &mut times.clone()).extrapolate(true, 1.1);
        let before = tables.get(windows, &mut times.clone()).extrapolate(true, 1.1).extrapolations().factors.clone();
        let mut moved = times.clone();
        moved[25] += 3;
        let table = tables.get(windows, &mut moved.clone());
        check(table, &moved, windows).unwrap();
        assert_ne!(table.extrapolate(true, 1.1).extrapolations().factors, before);
        assert_eq!(tables.get(windows, &mut times.clone()).extrapolate(true, 1.1).extrapolations().factors, before);
    }

    #[test]
    fn more_kinds_of_windows_than_tables_find_theirs() {
        let mut tables = WindowTables::default();
        let times: Vec<i64> = (0..50).map(|i| i * 7).collect();
        for round in 0..3 {
            for range in 1..=TABLES_MAX as i64 + 2 {
                let windows = Windows { first_end_ms: 50, step_ms: 10, range_ms: range * 9 + round, steps: 20 };
                check(tables.get(windows, &mut times.clone()), &times, windows).unwrap();
            }
        }
        assert_eq!(tables.tables.len(), TABLES_MAX);
    }
}
