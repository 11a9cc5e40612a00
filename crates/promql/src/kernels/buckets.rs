//! Functions over buckets, where samples are there no more: what of a bucket tells as much as its samples did.
//!
//! Each bucket counts where its last sample is. Where windows are whole buckets, that is where all of its samples are, and answers are those
//! of the samples but for the rounding of sums; `docs/downsampling.md` has the bounds.

use super::cells::Cells;
use super::kahan::Kahan;
use super::kernel::Kernel;
use super::outlines::is_outlined;
use super::rate::Ends;
use super::window_table::Windows;
use crate::options::Cancel;
use mytsdb_downsample::Buckets;
use std::ops::Range;

/// Buckets that are looked at between two looks at the cancel flag.
const CANCEL_BUCKETS: usize = 1 << 18;

/// Whether a kernel can compute with buckets.
pub(crate) fn has_kernel(kernel: Kernel) -> bool {
    // Buckets tell what statistics of chunks tell, but how many resets there were, and sums.
    match kernel {
        Kernel::Avg | Kernel::Sum => true,
        Kernel::Resets => false,
        _ => is_outlined(kernel),
    }
}

/// Computes every window; gives the width in ms of the widest bucket that was in one, 0 if there were only samples.
///
/// Two pointers find the windows. Cost: the buckets in all windows.
pub(crate) fn over_windows(
    kernel: Kernel,
    windows: Windows,
    buckets: &Buckets,
    cancel: &Cancel,
    out: &mut Cells,
) -> i64 {
    out.reset(windows.steps);
    let times = &buckets.lasts_ms[..];
    let (mut low, mut high, mut looked_at, mut widest_ms) = (0, 0, 0, 0);
    for step in 0..windows.steps {
        let end_ms = windows.first_end_ms + windows.step_ms * step as i64;
        let start_ms = end_ms.saturating_sub(windows.range_ms);
        while high < times.len() && times[high] <= end_ms {
            if times[high] > start_ms {
                widest_ms = buckets.widths_ms[high].max(widest_ms);
            }
            high += 1;
        }
        while low < high && times[low] <= start_ms {
            low += 1;
        }
        if low == high {
            continue;
        }
        looked_at += high - low;
        if looked_at > CANCEL_BUCKETS {
            looked_at = 0;
            if cancel.check().is_err() {
                // The evaluation looks again before it uses the row.
                return widest_ms;
            }
        }
        let window = Window { buckets, places: low..high, span_ms: (start_ms, end_ms) };
        if let Some(value) = window.value(kernel) {
            out.set(step, value);
        }
    }
    widest_ms
}

/// The buckets of one step; some may be staleness markers.
struct Window<'b> {
    buckets: &'b Buckets,
    places: Range<usize>,
    /// From where, and to where: `(start, end]`.
    span_ms: (i64, i64),
}

impl Window<'_> {
    fn value(&self, kernel: Kernel) -> Option<f64> {
        // Buckets with samples.
        let counts = &self.buckets.counts;
        let first = self.places.clone().find(|&at| counts[at] > 0)?;
        let last = self.places.clone().rev().find(|&at| counts[at] > 0)?;
        let count = || counts[first..=last].iter().map(|&count| u64::from(count)).sum::<u64>();
        let seconds = |time_ms: i64| time_ms as f64 / 1000.0;
        Some(match kernel {
            Kernel::Count => count() as f64,
            Kernel::Present => 1.0,
            Kernel::First => self.buckets.firsts[first],
            Kernel::Last => self.buckets.lasts[last],
            Kernel::TimeOfFirst => seconds(self.buckets.firsts_ms[first]),
            Kernel::TimeOfLast => seconds(self.buckets.lasts_ms[last]),
            Kernel::Sum => self.sum(first..last + 1),
            Kernel::Avg => self.sum(first..last + 1) / count() as f64,
            Kernel::Min => self.extreme(&self.buckets.minima, first..last + 1, |value, best| value < best),
            Kernel::Max => self.extreme(&self.buckets.maxima, first..last + 1, |value, best| value > best),
            Kernel::Increase { counter, rate } => return self.extrapolated((first, last), count(), counter, rate),
            _ => return None,
        })
    }

    fn sum(&self, places: Range<usize>) -> f64 {
        let mut sum = Kahan::default();
        // That of a marker is 0.
        self.buckets.sums[places].iter().for_each(|&part| sum.add(part));
        if sum.sum.is_infinite() { sum.sum } else { sum.total() }
    }

    fn extreme(&self, values: &[f64], places: Range<usize>, replaces: impl Fn(f64, f64) -> bool) -> f64 {
        let mut best = values[places.start];
        for at in places {
            // Markers are not numbers, and replace nothing but what is none either.
            if self.buckets.counts[at] > 0 && (replaces(values[at], best) || best.is_nan()) {
                best = values[at];
            }
        }
        best
    }

    /// The difference between the last and the first sample, extrapolated to the edges of the window.
    fn extrapolated(&self, (first, last): (usize, usize), count: u64, counter: bool, rate: bool) -> Option<f64> {
        if count < 2 {
            return None;
        }
        let Buckets { firsts_ms, lasts_ms, counts, firsts, lasts, resets, .. } = self.buckets;
        let mut difference = lasts[last] - firsts[first];
        if counter {
            let mut before = firsts[first];
            for at in (first..=last).filter(|&at| counts[at] > 0) {
                if firsts[at] < before {
                    difference += before;
                }
                difference += resets[at];
                before = lasts[at];
            }
        }
        let ends = Ends {
            first: (firsts_ms[first], firsts[first]),
            last: (lasts_ms[last], lasts[last]),
            samples: usize::try_from(count).unwrap_or(usize::MAX),
            window_ms: self.span_ms,
        };
        Some(ends.extrapolate(difference, counter, rate))
    }
}

/// What an instant selector sees of a series.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the unit belongs to the name")]
pub(crate) struct Instants {
    /// The time of step 0.
    pub first_ms: i64,
    pub step_ms: i64,
    pub lookback_ms: i64,
}

/// What was used of buckets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// The widest bucket, in ms; 0 if only samples were used.
    pub widest_ms: i64,
    /// A step between two ends of buckets may have what was there at the end before it.
    pub is_late: bool,
}

impl Instants {
    /// For each step the latest value, or with `times` its time in seconds, that is younger than the lookback and no staleness marker. A step
    /// within a bucket that has nothing of it has what was to be seen at the end of the bucket before.
    pub fn latest(&self, buckets: &Buckets, times: bool, steps: usize, out: &mut Cells) -> Used {
        out.reset(steps);
        let (mut next, mut used) = (0, Used::default());
        for step in 0..steps {
            let at_ms = self.first_ms + self.step_ms * step as i64;
            while next < buckets.len() && buckets.lasts_ms[next] <= at_ms {
                next += 1;
            }
            let Some(latest) = next.checked_sub(1) else { continue };
            let (time_ms, width_ms) = (buckets.lasts_ms[latest], buckets.widths_ms[latest]);
            let is_young = |at_ms: i64| time_ms <= at_ms && time_ms > at_ms.saturating_sub(self.lookback_ms);
            // Of the bucket that the step is in nothing can be told.
            if !is_young(at_ms) && (width_ms == 0 || !is_young(at_ms.div_euclid(width_ms) * width_ms)) {
                continue;
            }
            used.widest_ms = width_ms.max(used.widest_ms);
            used.is_late |= width_ms > 0 && at_ms % width_ms != 0;
            if buckets.counts[latest] > 0 {
                out.set(step, if times { time_ms as f64 / 1000.0 } else { buckets.lasts[latest] });
            }
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_columns::Columns;
    use mytsdb_downsample::Resolution;
    use mytsdb_model::stale_nan;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    fn cells(out: &Cells) -> Vec<Option<f64>> {
        out.kinds.iter().zip(&out.values).map(|(kind, value)| (*kind != 0).then_some(*value)).collect()
    }

    #[test]
    fn a_selector_has_at_the_end_of_a_bucket_what_it_had_and_between_ends_what_it_had_before() {
        let mut buckets = Buckets::default();
        // The second hour ends with a marker, the third with a gap of an hour.
        let times = [30 * MINUTE, 59 * MINUTE, 100 * MINUTE, 119 * MINUTE, 130 * MINUTE];
        buckets.append_floats(&times, &[1.0, 2.0, 3.0, stale_nan(), 4.0], Resolution::Hour);
        let mut out = Cells::default();
        let at = |first_ms, step_ms| Instants { first_ms, step_ms, lookback_ms: 5 * MINUTE };
        let used = at(HOUR, HOUR).latest(&buckets, false, 4, &mut out);
        assert_eq!((cells(&out), used), (vec![Some(2.0), None, None, None], Used { widest_ms: HOUR, is_late: false }));
        let used = at(HOUR + 30 * MINUTE, HOUR).latest(&buckets, false, 3, &mut out);
        assert_eq!(cells(&out), [Some(2.0), None, None], "at 1:30, 2:30 and 3:30");
        assert!(used.is_late);
        at(100 * MINUTE, HOUR).latest(&buckets, false, 1, &mut out);
        assert_eq!(cells(&out), [Some(3.0)], "where the last sample of a bucket is it is seen");
        // A sample is a sample.
        let mut columns = Columns::default();
        columns.push_float(5 * HOUR, 7.0);
        buckets.append_exact(&columns);
        let used = at(5 * HOUR + MINUTE, 10 * MINUTE).latest(&buckets, true, 2, &mut out);
        assert_eq!((cells(&out), used), (vec![Some(18_000.0), None], Used::default()));
    }

    #[test]
    fn markers_are_no_samples_of_windows() {
        let mut buckets = Buckets::default();
        let times = [1, MINUTE, HOUR - 1, 2 * HOUR];
        buckets.append_floats(&times, &[-1.0, f64::NAN, stale_nan(), 3.0], Resolution::Hour);
        let windows = Windows { first_end_ms: HOUR, step_ms: HOUR, range_ms: 2 * HOUR, steps: 3 };
        let mut out = Cells::default();
        let mut answer = |kernel| {
            assert!(has_kernel(kernel));
            let widest_ms = over_windows(kernel, windows, &buckets, &Cancel::default(), &mut out);
            assert_eq!(widest_ms, HOUR);
            cells(&out)
        };
        assert_eq!(answer(Kernel::Count), [Some(2.0), Some(3.0), Some(1.0)]);
        assert_eq!(answer(Kernel::Min), [Some(-1.0), Some(-1.0), Some(3.0)]);
        assert_eq!(answer(Kernel::First), [Some(-1.0), Some(-1.0), Some(3.0)]);
        assert_eq!(answer(Kernel::TimeOfLast), [Some(60.0), Some(7_200.0), Some(7_200.0)]);
        let increase = answer(Kernel::Increase { counter: true, rate: false });
        assert!(increase[0].is_some_and(f64::is_nan) && increase[1].is_some() && increase[2].is_none());
    }
}
