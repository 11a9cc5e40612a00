//! Fast kernels over whole columns of floats: what is rare is found once per column, not once per window.
//!
//! Each has a twin in `rate` or `over_time` that works on one window and defines the result. Rates are equal to the last
//! bit; sums and means are differences of prefix sums in doubled precision and agree to the last place or two.

use super::over_time;
use super::rate::{Extrapolation, extrapolation_factor};
use crate::eval::cells::Cells;

/// Windows `(end - range, end]` whose ends are a step apart.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the unit belongs to the name")]
pub(super) struct Windows {
    pub first_end_ms: i64,
    pub step_ms: i64,
    pub range_ms: i64,
}

impl Windows {
    /// Calls `visit(step, low, high, start, end)` for every window that holds samples `low..high`.
    #[inline]
    fn each(self, times: &[i64], steps: usize, mut visit: impl FnMut(usize, usize, usize, i64, i64)) {
        let (mut low, mut high) = (0, 0);
        let mut end = self.first_end_ms;
        for step in 0..steps {
            let start = end - self.range_ms;
            while high < times.len() && times[high] <= end {
                high += 1;
            }
            while low < high && times[low] <= start {
                low += 1;
            }
            if low < high {
                visit(step, low, high, start, end);
            }
            end += self.step_ms;
        }
    }
}

/// `rate`, `increase` or `delta` of a column without start times.
pub(super) fn extrapolated(
    times: &[i64],
    values: &[f64],
    windows: Windows,
    counter: bool,
    rate: bool,
    out: &mut Cells,
) {
    let resets: Vec<usize> =
        if counter { (1..values.len()).filter(|&i| values[i] < values[i - 1]).collect() } else { Vec::new() };
    let mut next_reset = 0;
    windows.each(times, out.len(), |step, low, high, start_ms, end_ms| {
        if high - low < 2 {
            return;
        }
        let first = values[low];
        let mut difference = values[high - 1] - first;
        while next_reset < resets.len() && resets[next_reset] <= low {
            next_reset += 1;
        }
        for &reset in resets[next_reset..].iter().take_while(|&&reset| reset < high) {
            difference += values[reset - 1];
        }
        let zero_share = (counter && difference > 0.0 && first >= 0.0).then(|| first / difference);
        let factor = extrapolation_factor(&Extrapolation {
            first_ms: times[low],
            last_ms: times[high - 1],
            samples: high - low,
            start_ms,
            end_ms,
            rate_range_ms: rate.then_some(windows.range_ms),
            zero_point_ms: None,
            zero_share,
        });
        out.set(step, difference * factor);
    });
}

/// `a + b` and what rounding took from it.
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let shadow = sum - a;
    (sum, (a - (sum - shadow)) + (b - shadow))
}

/// Windows shorter than this are summed directly.
const PREFIX_SAMPLES_MIN: usize = 16;

/// A sum that is smaller than all the column's values together by more than this is summed directly: too much of it
/// cancels out.
const CANCELLATION_MAX: f64 = 1.0 / (1u64 << 45) as f64;

/// `sum_over_time` or `avg_over_time`.
pub(super) fn sums(times: &[i64], values: &[f64], windows: Windows, average: bool, out: &mut Cells) {
    let direct = |low: usize, high: usize| {
        let window = &values[low..high];
        if average { over_time::mean(window) } else { over_time::sum(window) }
    };
    let total: f64 = values.iter().map(|v| v.abs()).sum();
    if !total.is_finite() {
        windows.each(times, out.len(), |step, low, high, _, _| out.set(step, direct(low, high)));
        return;
    }
    let mut prefix = Vec::with_capacity(values.len() + 1);
    let (mut high_part, mut low_part) = (0.0, 0.0);
    prefix.push((0.0, 0.0));
    for &value in values {
        let (sum, error) = two_sum(high_part, value);
        (high_part, low_part) = two_sum(sum, low_part + error);
        prefix.push((high_part, low_part));
    }
    windows.each(times, out.len(), |step, low, high, _, _| {
        let mut sum = 0.0;
        if high - low >= PREFIX_SAMPLES_MIN {
            let (before, after) = (prefix[low], prefix[high]);
            let (difference, error) = two_sum(after.0, -before.0);
            sum = difference + (error + (after.1 - before.1));
        }
        let value = if sum.abs() <= total * CANCELLATION_MAX {
            direct(low, high)
        } else if average {
            sum / (high - low) as f64
        } else {
            sum
        };
        out.set(step, value);
    });
}

/// Samples whose maximum is computed once for all windows.
const BLOCK: usize = 16;

/// The largest value that is no NaN; `-Inf` if there is none.
#[inline]
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(f64::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// `max_over_time` or, of negated values, `min_over_time`.
pub(super) fn extremes(times: &[i64], values: &[f64], windows: Windows, maximum: bool, out: &mut Cells) {
    let sign = if maximum { 1.0 } else { -1.0 };
    let signed: Vec<f64> = values.iter().map(|v| sign * v).collect();
    let blocks: Vec<f64> = signed.chunks(BLOCK).map(largest).collect();
    windows.each(times, out.len(), |step, low, high, _, _| {
        let (first, last) = (low.div_ceil(BLOCK), high / BLOCK);
        let found = if first < last {
            let edges = [&signed[low..first * BLOCK], &blocks[first..last], &signed[last * BLOCK..high]].map(largest);
            largest(&edges)
        } else {
            largest(&signed[low..high])
        };
        // Nothing above -Inf: either that is the value, or there are only NaN.
        let value = if found == f64::NEG_INFINITY {
            let window = &values[low..high];
            if maximum { over_time::max(window) } else { over_time::min(window) }
        } else {
            sign * found
        };
        out.set(step, value);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => -1e3..1e3f64,
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => Just(f64::NEG_INFINITY),
            1 => Just(1e100),
            1 => Just(-1e100),
            1 => Just(0.0),
        ]
    }

    proptest! {
        #[test]
        fn columns_agree_with_single_windows(
            values in prop_oneof![prop::collection::vec(value(), 1..80), prop::collection::vec(0.0..1e3f64, 1..80)],
            range in 1i64..60,
            step in 1i64..9,
        ) {
            let times: Vec<i64> = (0..values.len() as i64).map(|i| i * 2).collect();
            let windows = Windows { first_end_ms: 5, step_ms: step, range_ms: range };
            let run = |kernel: &dyn Fn(&mut Cells)| {
                let mut cells = Cells::empty(40);
                kernel(&mut cells);
                cells
            };
            let found = [
                run(&|out| sums(&times, &values, windows, false, out)),
                run(&|out| sums(&times, &values, windows, true, out)),
                run(&|out| extremes(&times, &values, windows, true, out)),
                run(&|out| extremes(&times, &values, windows, false, out)),
            ];
            let twins = [over_time::sum, over_time::mean, over_time::max, over_time::min];
            for (cells, twin) in found.iter().zip(twins) {
                for i in 0..40 {
                    let end = 5 + step * i as i64;
                    let window: Vec<f64> =
                        times.iter().zip(&values).filter(|(t, _)| **t > end - range && **t <= end).map(|p| *p.1).collect();
                    prop_assert_eq!(cells.kinds[i] == 0, window.is_empty());
                    if !window.is_empty() {
                        prop_assert!(close(cells.values[i], twin(&window)), "{:?}: {} {}", window, cells.values[i], twin(&window));
                    }
                }
            }
        }
    }
}
