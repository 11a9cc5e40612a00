//! Windows that do not share a sample, over columns of which whole stretches are known by their statistics alone.
//!
//! The twins that define the results are those of `over_time` and `rate`; these agree to the last bit. Each sample and each stretch is looked at
//! once. A stretch lies in one window or in none.

use super::cells::Cells;
use super::kernel::Kernel;
use super::rate::Ends;
use super::window_table::Windows;
use mytsdb_columns::{Outline, Stretch};
use mytsdb_model::TimeRange;

/// Whether there is a kernel over outlines for this one.
pub(crate) fn is_outlined(kernel: Kernel) -> bool {
    matches!(
        kernel,
        Kernel::Count
            | Kernel::First
            | Kernel::Increase { .. }
            | Kernel::Last
            | Kernel::Max
            | Kernel::Min
            | Kernel::Present
            | Kernel::Resets
            | Kernel::TimeOfFirst
            | Kernel::TimeOfLast
    )
}

/// Whether the kernel needs to know where resets are, not only how many.
pub(crate) fn needs_resets(kernel: Kernel) -> bool {
    matches!(kernel, Kernel::Increase { counter: true, .. })
}

/// Whether no two of these windows have a sample in common.
pub(crate) fn are_apart(windows: Windows) -> bool {
    windows.steps == 1 || windows.step_ms >= windows.range_ms
}

/// Whether one of these windows, which are apart, holds a whole range, which is not empty.
pub(crate) fn hold_whole(windows: Windows, range: TimeRange) -> bool {
    // The first window that does not end before the range does.
    let behind = range.maxt.saturating_sub(windows.first_end_ms).max(0) as u64;
    let step = if windows.steps == 1 { u64::from(behind > 0) } else { behind.div_ceil(windows.step_ms as u64) };
    usize::try_from(step).is_ok_and(|step| step < windows.steps && range.mint > windows.end_ms(step) - windows.range_ms)
}

/// A window's part of an outline.
struct Part<'o> {
    times: &'o [i64],
    values: &'o [f64],
    /// How many floats of the outline come before those.
    low: usize,
    stretches: &'o [Stretch],
    window_ms: (i64, i64),
}

/// Samples of a window that follow each other.
enum Piece<'o> {
    Values(&'o [f64]),
    Stretch(&'o Stretch),
}

impl<'o> Part<'o> {
    fn count(&self) -> u64 {
        self.values.len() as u64 + self.stretches.iter().map(|stretch| u64::from(stretch.sample_count)).sum::<u64>()
    }

    /// Time and value of the first sample.
    fn first(&self) -> (i64, f64) {
        match self.stretches.first() {
            Some(stretch) if stretch.at <= self.low => (stretch.range.mint, stretch.first),
            _ => (self.times[0], self.values[0]),
        }
    }

    /// Time and value of the last sample.
    fn last(&self) -> (i64, f64) {
        let count = self.values.len();
        match self.stretches.last() {
            Some(stretch) if stretch.at >= self.low + count => (stretch.range.maxt, stretch.last),
            _ => (self.times[count - 1], self.values[count - 1]),
        }
    }

    /// All of it in the order of time; values of no samples may be among it.
    fn pieces(&self) -> impl Iterator<Item = Piece<'o>> {
        let ends = self.stretches.iter().map(Some).chain([None]);
        let (low, values) = (self.low, self.values);
        ends.scan(0, move |from, stretch| {
            let to = stretch.map_or(values.len(), |stretch| stretch.at - low);
            let own = Piece::Values(&values[std::mem::replace(from, to)..to]);
            Some(std::iter::once(own).chain(stretch.map(Piece::Stretch)))
        })
        .flatten()
    }

    /// The best value, the first of equals; NaN only if there is nothing else.
    fn extreme(&self, of_stretch: impl Fn(&Stretch) -> f64, replaces: impl Fn(f64, f64) -> bool) -> f64 {
        let mut best = f64::NAN;
        for piece in self.pieces() {
            match piece {
                Piece::Values(values) => {
                    for &value in values {
                        best = if replaces(value, best) || best.is_nan() { value } else { best };
                    }
                }
                Piece::Stretch(stretch) => {
                    let value = of_stretch(stretch);
                    best = if replaces(value, best) || best.is_nan() { value } else { best };
                }
            }
        }
        best
    }

    /// Calls `reset` with the value before each reset; gives the number of those inside of stretches, which are left out.
    fn resets(&self, mut reset: impl FnMut(f64)) -> u64 {
        let (mut previous, mut inside) = (self.first().1, 0);
        for piece in self.pieces() {
            match piece {
                Piece::Values(values) => {
                    for &value in values {
                        if value < previous {
                            reset(previous);
                        }
                        previous = value;
                    }
                }
                Piece::Stretch(stretch) => {
                    if stretch.first < previous {
                        reset(previous);
                    }
                    previous = stretch.last;
                    inside += u64::from(stretch.resets);
                }
            }
        }
        inside
    }

    /// The difference of the last and the first value, extrapolated; of a counter there are no resets inside of stretches.
    fn increase(&self, counter: bool, rate: bool) -> Option<f64> {
        let samples = self.count() as usize;
        if samples < 2 {
            return None;
        }
        let (first, last) = (self.first(), self.last());
        let mut difference = last.1 - first.1;
        if counter {
            let inside = self.resets(|before| difference += before);
            debug_assert_eq!(inside, 0);
        }
        let ends = Ends { first, last, samples, window_ms: self.window_ms };
        Some(ends.extrapolate(difference, counter, rate))
    }

    /// The value of a window that holds something.
    fn value(&self, kernel: Kernel) -> Option<f64> {
        match kernel {
            Kernel::Count => Some(self.count() as f64),
            Kernel::First => Some(self.first().1),
            Kernel::Increase { counter, rate } => self.increase(counter, rate),
            Kernel::Last => Some(self.last().1),
            Kernel::Max => Some(self.extreme(|stretch| stretch.max, |value, best| value > best)),
            Kernel::Min => Some(self.extreme(|stretch| stretch.min, |value, best| value < best)),
            Kernel::Present => Some(1.0),
            Kernel::Resets => {
                let mut between = 0;
                let inside = self.resets(|_| between += 1);
                Some((between + inside) as f64)
            }
            Kernel::TimeOfFirst => Some(self.first().0 as f64 / 1000.0),
            Kernel::TimeOfLast => Some(self.last().0 as f64 / 1000.0),
            _ => None,
        }
    }
}

/// Computes each of some windows, which are apart; what is not [`is_outlined`] gives nothing.
pub(crate) fn compute(windows: Windows, kernel: Kernel, outline: &Outline, out: &mut Cells) {
    out.reset(windows.steps);
    let (times, values) = (&outline.columns.timestamps_ms[..], &outline.columns.values[..]);
    let stretches = outline.stretches();
    let floats_to = |from: usize, at_ms: i64| from + times[from..].partition_point(|&time| time <= at_ms);
    let stretches_to = |from: usize, at_ms: i64| from + stretches[from..].partition_point(|s| s.range.maxt <= at_ms);
    let (mut low, mut from) = (0, 0);
    for step in 0..windows.steps {
        let end_ms = windows.end_ms(step);
        let start_ms = end_ms - windows.range_ms;
        (low, from) = (floats_to(low, start_ms), stretches_to(from, start_ms));
        let (high, to) = (floats_to(low, end_ms), stretches_to(from, end_ms));
        if low < high || from < to {
            let (times, values) = (&times[low..high], &values[low..high]);
            let part = Part { times, values, low, stretches: &stretches[from..to], window_ms: (start_ms, end_ms) };
            if let Some(value) = part.value(kernel) {
                out.set(step, value);
            }
        }
        (low, from) = (high, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::Annotations;
    use crate::kernels::cells::Cell;
    use crate::kernels::over_time;
    use crate::kernels::rate;
    use crate::kernels::window::{Remarks, Window};
    use mytsdb_columns::{Columns, Outlining};
    use mytsdb_promql_syntax::PosRange;
    use proptest::prelude::*;

    const KERNELS: [Kernel; 12] = [
        Kernel::Count,
        Kernel::First,
        Kernel::Increase { counter: false, rate: false },
        Kernel::Increase { counter: true, rate: false },
        Kernel::Increase { counter: true, rate: true },
        Kernel::Last,
        Kernel::Max,
        Kernel::Min,
        Kernel::Present,
        Kernel::Resets,
        Kernel::TimeOfFirst,
        Kernel::TimeOfLast,
    ];

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            12 => (0i32..9).prop_map(f64::from),
            2 => prop::sample::select(vec![0.0, -0.0, -3.5, f64::INFINITY, f64::NEG_INFINITY, 1e100]),
            1 => Just(f64::NAN),
        ]
    }

    /// The same as the outline of a storage that has chunks of these lengths.
    fn outline(columns: &Columns, lengths: &[usize], outlining: &Outlining<'_>) -> Outline {
        let (mut outline, mut at) = (Outline::default(), 0);
        for &length in lengths.iter().cycle() {
            let chunk = at..columns.len().min(at + length);
            at = chunk.end;
            let (times, values) = (&columns.timestamps_ms[chunk.clone()], &columns.values[chunk]);
            let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return outline };
            let stretch = Stretch {
                at: 0,
                range: TimeRange::new(times[0], times[times.len() - 1]),
                sample_count: times.len() as u32,
                first,
                last,
                min: over_time::min(values),
                max: over_time::max(values),
                resets: values.windows(2).filter(|pair| pair[1] < pair[0]).count() as u32,
            };
            if values.iter().any(|value| value.is_nan()) || !outlining.takes(&stretch) {
                times.iter().zip(values).for_each(|(&time, &value)| outline.columns.push_float(time, value));
            } else {
                assert!(outline.push(stretch));
            }
        }
        outline
    }

    /// The value of a window as it is defined.
    fn defined(window: &Window<'_>, kernel: Kernel) -> Option<f64> {
        let values = window.values();
        if values.is_empty() {
            return None;
        }
        let mut annotations = Annotations::default();
        let (pos, told_by) = (PosRange::default(), PosRange::default());
        let mut remarks = Remarks { annotations: &mut annotations, metric: "", pos, told_by };
        let edge = |last: bool| match over_time::edge(window, last) {
            Some((time_ms, Cell::Float(value))) => (time_ms as f64 / 1000.0, value),
            other => panic!("{other:?}"),
        };
        match kernel {
            Kernel::Count => Some(values.len() as f64),
            Kernel::First => Some(edge(false).1),
            Kernel::Increase { counter, rate } => match rate::extrapolated(window, counter, rate, &mut remarks)? {
                Cell::Float(value) => Some(value),
                Cell::Histogram(_) => None,
            },
            Kernel::Last => Some(edge(true).1),
            Kernel::Max => Some(over_time::max(values)),
            Kernel::Min => Some(over_time::min(values)),
            Kernel::Present => Some(1.0),
            Kernel::Resets => Some(over_time::resets(window)),
            Kernel::TimeOfFirst => Some(edge(false).0),
            Kernel::TimeOfLast => Some(edge(true).0),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn outlines_give_what_their_samples_give(
            samples in prop::collection::vec((1i64..40, value()), 0..80),
            lengths in prop::collection::vec(1usize..9, 1..5),
            (first_end_ms, range_ms, more_ms, steps) in (-50i64..900, 1i64..600, 0i64..60, 1usize..12),
        ) {
            let windows = Windows { first_end_ms, step_ms: range_ms + more_ms, range_ms, steps };
            prop_assert!(are_apart(windows));
            let mut columns = Columns::default();
            samples.iter().fold(0, |time, (gap, value)| {
                columns.push_float(time + gap, *value);
                time + gap
            });
            let is_whole = |range: TimeRange| hold_whole(windows, range);
            for from in -60..1_000 {
                let range = TimeRange::new(from, from + 35);
                let bounds = |step: usize| (windows.end_ms(step) - range_ms, windows.end_ms(step));
                let whole = (0..steps).map(bounds).any(|(start, end)| start < range.mint && range.maxt <= end);
                prop_assert_eq!(hold_whole(windows, range), whole, "{:?}", range);
            }
            for kernel in KERNELS {
                prop_assert!(is_outlined(kernel));
                let outlining = Outlining { is_whole: &is_whole, without_resets: needs_resets(kernel) };
                let outline = outline(&columns, &lengths, &outlining);
                prop_assert_eq!(outline.len(), columns.len());
                let mut out = Cells::default();
                compute(windows, kernel, &outline, &mut out);
                for step in 0..steps {
                    let end_ms = windows.end_ms(step);
                    let place = |at_ms: i64| columns.timestamps_ms.partition_point(|&time| time <= at_ms);
                    let start_ms = end_ms - range_ms;
                    let floats = place(start_ms)..place(end_ms);
                    let (columns, eval_ms) = (&columns, end_ms);
                    let window = Window { columns, floats, histograms: 0..0, start_ms, end_ms, eval_ms, range_ms };
                    let (found, expected) = (out.get(step), defined(&window, kernel));
                    let found = found.map(|cell| if let Cell::Float(value) = cell { value } else { f64::INFINITY });
                    let same = match (found, expected) {
                        (Some(a), Some(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
                        (a, b) => a.is_none() && b.is_none(),
                    };
                    prop_assert!(same, "{:?} of {:?}: {:?}, not {:?}", kernel, window.values(), found, expected);
                }
            }
        }
    }
}
