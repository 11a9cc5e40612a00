//! Samples of several sources brought into one order, each time once.

use crate::columns::inside;
use crate::{Columns, Mark};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::TimeRange;
use std::sync::Arc;

impl Columns {
    /// Whether the samples from `from` on are in order: both columns of times ascend strictly, no time is in both.
    ///
    /// Cost: one pass over the times; floats alone are compared many at once.
    pub fn is_in_order(&self, from: Mark) -> bool {
        let floats = &self.timestamps_ms[from.floats..];
        let histograms = &self.histogram_timestamps_ms[from.histograms..];
        ascends(floats) && ascends(histograms) && are_disjoint(floats, histograms)
    }

    /// Whether the run that begins at `at` lies behind what is between `from` and `at`, so that the two, each in order,
    /// are in order together. Looks at the ends alone.
    #[inline]
    pub fn continues_at(&self, at: Mark, from: Mark) -> bool {
        if at == from {
            return true;
        }
        let before = [
            self.timestamps_ms[from.floats..at.floats].last(),
            self.histogram_timestamps_ms[from.histograms..at.histograms].last(),
        ];
        let behind = [self.timestamps_ms.get(at.floats), self.histogram_timestamps_ms.get(at.histograms)];
        match (before.into_iter().flatten().max(), behind.into_iter().flatten().min()) {
            (Some(last), Some(first)) => last < first,
            _ => true,
        }
    }

    /// Sorts the samples from the first of `sources` on by time and keeps one of those that share a time, of whichever
    /// kind: that of the earliest source.
    ///
    /// `sources` says where each source begins, in the order in which they were appended. Within one source the sample
    /// that was appended first wins, and a float over a histogram. Samples before the first source stay. Does nothing to
    /// what is in order already; else it allocates 16 bytes for each sample.
    pub fn sort_and_dedup(&mut self, sources: &[Mark]) {
        let Some(&from) = sources.first() else { return };
        debug_assert!(sources.is_sorted_by(|a, b| a.floats <= b.floats && a.histograms <= b.histograms));
        self.pad_starts();
        if self.is_in_order(from) {
            return;
        }
        let mut floats = sorted(&self.timestamps_ms, from.floats);
        let mut histograms = sorted(&self.histogram_timestamps_ms, from.histograms);
        if !floats.is_empty() && !histograms.is_empty() {
            let float_source = |place: usize| sources.partition_point(|mark| mark.floats <= place);
            let histogram_source = |place: usize| sources.partition_point(|mark| mark.histograms <= place);
            drop_later(&mut floats, &mut histograms, |float, histogram| {
                float_source(float) <= histogram_source(histogram)
            });
        }
        arrange(&mut self.timestamps_ms, from.floats, &floats);
        arrange(&mut self.values, from.floats, &floats);
        arrange(&mut self.start_timestamps_ms, from.floats, &floats);
        arrange(&mut self.histogram_timestamps_ms, from.histograms, &histograms);
        arrange(&mut self.histograms, from.histograms, &histograms);
        arrange(&mut self.histogram_start_timestamps_ms, from.histograms, &histograms);
    }

    /// Says of each histogram from `from` on whether it continues the counter of the sample before it, from what both hold;
    /// the samples are in order. Gauges stay gauges; "not reset" is what `FloatHistogram::continues` tells, and all else is
    /// unknown: a reset, what comes first or behind a float, a stale marker and what is behind it.
    ///
    /// So a hint is true of these samples, whatever was known when they were stored and whichever came in between later.
    /// Cost: each histogram is compared with the one before; one that is shared and whose hint changes is copied.
    pub fn settle_hints(&mut self, from: Mark) {
        let Self { timestamps_ms, histogram_timestamps_ms, histograms, .. } = self;
        let mut floats = timestamps_ms[from.floats..].iter().peekable();
        let own = histograms[from.histograms..].iter_mut();
        let mut previous: Option<&mut Arc<FloatHistogram>> = None;
        for (histogram, time) in own.zip(&histogram_timestamps_ms[from.histograms..]) {
            while floats.next_if(|&float| float < time).is_some() {
                previous = None;
            }
            if histogram.counter_reset_hint != CounterResetHint::Gauge {
                let continues = previous.is_some_and(|previous| histogram.continues(previous));
                let hint = if continues { CounterResetHint::NotCounterReset } else { CounterResetHint::Unknown };
                if histogram.counter_reset_hint != hint {
                    Arc::make_mut(histogram).counter_reset_hint = hint;
                }
            }
            previous = Some(histogram);
        }
    }

    /// Removes the samples from `from` on that are outside a range. They are in order.
    ///
    /// Cost: a look at the ends if all of them are in the range.
    #[inline]
    pub fn clip(&mut self, from: Mark, range: TimeRange) {
        let within = |times: &[i64]| {
            times.first().is_none_or(|&first| first >= range.mint)
                && times.last().is_none_or(|&last| last <= range.maxt)
        };
        if !within(&self.timestamps_ms[from.floats..]) || !within(&self.histogram_timestamps_ms[from.histograms..]) {
            self.cut_to(from, range);
        }
    }

    /// [`clip`](Self::clip) if samples have to be removed.
    fn cut_to(&mut self, from: Mark, range: TimeRange) {
        let floats = inside(&self.timestamps_ms[from.floats..], range);
        let histograms = inside(&self.histogram_timestamps_ms[from.histograms..], range);
        cut(&mut self.timestamps_ms, from.floats, &floats);
        cut(&mut self.values, from.floats, &floats);
        cut(&mut self.start_timestamps_ms, from.floats, &floats);
        cut(&mut self.histogram_timestamps_ms, from.histograms, &histograms);
        cut(&mut self.histograms, from.histograms, &histograms);
        cut(&mut self.histogram_start_timestamps_ms, from.histograms, &histograms);
    }
}

/// A sample while it is being sorted: its time and its place in the columns.
type Place = (i64, usize);

fn ascends(times: &[i64]) -> bool {
    // The loop has no early exit, so that the compiler can compare many pairs at once.
    let later = times.get(1..).unwrap_or_default();
    times.iter().zip(later).fold(0, |steps_back, (a, b)| steps_back | u8::from(a >= b)) == 0
}

/// Whether two ascending columns have no time in common.
fn are_disjoint(left: &[i64], right: &[i64]) -> bool {
    let (Some(first), Some(last)) = (left.first(), left.last()) else { return true };
    if right.last() < Some(first) || right.first() > Some(last) {
        return true;
    }
    let mut left = left.iter().peekable();
    right.iter().all(|time| {
        while left.next_if(|&other| other < time).is_some() {}
        left.peek() != Some(&time)
    })
}

/// The places from `from` on by time, each time once: of equal times the first place stays.
fn sorted(times: &[i64], from: usize) -> Vec<Place> {
    let mut places: Vec<Place> = times.iter().copied().zip(0..).skip(from).collect();
    places.sort_by_key(|place| place.0); // stable; and fast, since each source is a sorted run
    places.dedup_by_key(|place| place.0);
    places
}

/// Of each time that is in both lists drops one: the histogram if `float_wins`.
fn drop_later(floats: &mut Vec<Place>, histograms: &mut Vec<Place>, float_wins: impl Fn(usize, usize) -> bool) {
    let mut next = 0;
    histograms.retain(|histogram| {
        while floats.get(next).is_some_and(|float| float.0 < histogram.0) {
            next += 1;
        }
        match floats.get_mut(next) {
            Some(float) if float.0 == histogram.0 => {
                let drops_histogram = float_wins(float.1, histogram.1);
                if !drops_histogram {
                    float.1 = DROPPED;
                }
                !drops_histogram
            }
            _ => true,
        }
    });
    floats.retain(|float| float.1 != DROPPED);
}

/// Marks a sample that is dropped; no place has this number.
const DROPPED: usize = usize::MAX;

/// Replaces what a column has from `from` on by its entries at `places`. An empty column stays so.
fn arrange<T: Clone>(column: &mut Vec<T>, from: usize, places: &[Place]) {
    if column.len() <= from {
        return;
    }
    let arranged: Vec<T> = places.iter().map(|place| column[place.1].clone()).collect();
    column.truncate(from);
    column.extend(arranged);
}

/// Keeps of what a column has from `from` on the entries at `places`. An empty column stays so.
fn cut<T>(column: &mut Vec<T>, from: usize, places: &std::ops::Range<usize>) {
    if column.len() <= from {
        return;
    }
    column.truncate(from + places.end);
    if places.start > 0 {
        column.drain(from..from + places.start);
    }
}
