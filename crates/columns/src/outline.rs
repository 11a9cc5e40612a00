//! Samples of one series of which some are known by their statistics alone.

use crate::Columns;
use mytsdb_model::TimeRange;
use mytsdb_model::is_stale_nan;
use std::fmt;

/// Float samples that follow each other, as far as some functions of windows look at them. None is a NaN or has a start time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// Floats of the columns that come before it.
    pub at: usize,
    /// Times of the first and the last sample, in ms since the epoch.
    pub range: TimeRange,
    /// At least 1.
    pub sample_count: u32,
    /// The first value.
    pub first: f64,
    /// The last value.
    pub last: f64,
    /// The least value; of 0 and -0 the earlier one.
    pub min: f64,
    /// The greatest value; of 0 and -0 the earlier one.
    pub max: f64,
    /// How often a value is below the one before.
    pub resets: u32,
}

/// Which samples may be given as a [`Stretch`].
#[derive(Clone, Copy)]
pub struct Outlining<'a> {
    /// Whether the samples from the first to the last time of a range are never looked at but all together.
    pub is_whole: &'a (dyn Fn(TimeRange) -> bool + 'a),
    /// Only those of which no value is below the one before.
    pub without_resets: bool,
}

impl Outlining<'_> {
    /// Whether a stretch may stand for its samples.
    pub fn takes(&self, stretch: &Stretch) -> bool {
        (stretch.resets == 0 || !self.without_resets) && (self.is_whole)(stretch.range)
    }
}

impl fmt::Debug for Outlining<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlining").field("without_resets", &self.without_resets).finish_non_exhaustive()
    }
}

/// The samples of one series in strictly ascending time: some one by one, in the columns, and stretches between them.
///
/// ```
/// use mytsdb_columns::{Outline, Stretch};
/// use mytsdb_model::TimeRange;
///
/// let mut outline = Outline::default();
/// outline.columns.push_float(1_000, 5.0);
/// let range = TimeRange::new(2_000, 9_000);
/// let stretch = Stretch { at: 0, range, sample_count: 8, first: 5.0, last: 6.0, min: 4.0, max: 8.0, resets: 3 };
/// assert!(outline.push(stretch) && !outline.push(stretch), "the second one begins before the first one ends");
/// assert_eq!((outline.stretches()[0].at, outline.last_ms(), outline.len()), (1, Some(9_000), 9));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Outline {
    /// The samples that are there one by one. Whoever appends to them does so in order, behind [`last_ms`](Self::last_ms).
    pub columns: Columns,
    stretches: Vec<Stretch>,
}

impl Outline {
    /// Removes everything and keeps the memory.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.stretches.clear();
    }

    /// The stretches, in the order of time.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Adds a stretch behind everything; tells whether it lies there.
    pub fn push(&mut self, stretch: Stretch) -> bool {
        let is_behind = self.last_ms().is_none_or(|last_ms| last_ms < stretch.range.mint);
        if is_behind {
            self.stretches.push(Stretch { at: self.columns.timestamps_ms.len(), ..stretch });
        }
        is_behind
    }

    /// The time of the last float; `None` if there is nothing.
    pub fn last_ms(&self) -> Option<i64> {
        self.columns.timestamps_ms.last().copied().max(self.stretches.last().map(|stretch| stretch.range.maxt))
    }

    /// Samples of both kinds, those of stretches included.
    pub fn len(&self) -> usize {
        let outlined = |stretch: &Stretch| stretch.sample_count as usize;
        self.columns.len() + self.stretches.iter().map(outlined).sum::<usize>()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.stretches.is_empty()
    }

    /// Removes floats outside a range, which encloses all stretches; there are no histograms.
    pub fn clip(&mut self, range: TimeRange) {
        debug_assert!(self.columns.histogram_timestamps_ms.is_empty());
        debug_assert!(self.stretches.iter().all(|stretch| range.encloses(stretch.range)));
        let before = self.columns.timestamps_ms.partition_point(|&time| time < range.mint);
        self.columns.clip(crate::Mark::default(), range);
        // What lies before the range lies before all stretches.
        self.stretches.iter_mut().for_each(|stretch| stretch.at -= before);
    }

    /// Removes stale markers, which are in no stretch; there are no histograms.
    pub fn drop_stale(&mut self) {
        debug_assert!(self.columns.histogram_timestamps_ms.is_empty());
        let Columns { timestamps_ms, values, start_timestamps_ms, .. } = &mut self.columns;
        // Much faster than a look at the bits of each.
        if !values.iter().fold(false, |any, value| any | value.is_nan()) {
            return;
        }
        let mut stretches = self.stretches.iter_mut().peekable();
        let mut kept = 0;
        for place in 0..values.len() {
            while let Some(stretch) = stretches.next_if(|stretch| stretch.at <= place) {
                stretch.at = kept;
            }
            if !is_stale_nan(values[place]) {
                (timestamps_ms[kept], values[kept]) = (timestamps_ms[place], values[place]);
                if let Some(start_ms) = start_timestamps_ms.get(place).copied() {
                    start_timestamps_ms[kept] = start_ms;
                }
                kept += 1;
            }
        }
        stretches.for_each(|stretch| stretch.at = kept);
        timestamps_ms.truncate(kept);
        values.truncate(kept);
        start_timestamps_ms.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::stale_nan;

    fn stretch(from: i64, to: i64) -> Stretch {
        let range = TimeRange::new(from, to);
        Stretch { at: 0, range, sample_count: 3, first: 1.0, last: 1.0, min: 1.0, max: 1.0, resets: 0 }
    }

    #[test]
    fn stretches_stay_where_they_are_among_samples_that_go() {
        let mut outline = Outline::default();
        let stale = stale_nan();
        assert!(outline.push(stretch(-9, -5)));
        for (time, value) in [(0, 1.0), (1, stale), (2, stale)] {
            outline.columns.push_float(time, value);
        }
        assert!(!outline.push(stretch(2, 9)));
        assert!(outline.push(stretch(3, 9)) && outline.push(stretch(10, 11)));
        outline.columns.push_float(12, stale);
        outline.columns.push_float(13, 2.0);
        assert!(outline.push(stretch(14, 15)));
        outline.columns.push_float(16, stale);
        assert_eq!((outline.len(), outline.last_ms()), (18, Some(16)));
        outline.drop_stale();
        let places = |outline: &Outline| outline.stretches().iter().map(|stretch| stretch.at).collect::<Vec<_>>();
        assert_eq!((&outline.columns.timestamps_ms[..], places(&outline)), (&[0, 13][..], vec![0, 1, 1, 2]));

        let mut outline = Outline::default();
        outline.columns.push_float(0, 1.0);
        outline.columns.push_float(1, f64::NAN);
        assert!(outline.push(stretch(2, 3)));
        outline.columns.push_float(4, 1.0);
        outline.columns.push_float(5, 1.0);
        outline.drop_stale();
        assert_eq!(outline.len(), 7, "another NaN is a value");
        outline.clip(TimeRange::new(1, 4));
        assert_eq!((&outline.columns.timestamps_ms[..], places(&outline)), (&[1, 4][..], vec![1]));
    }
}
