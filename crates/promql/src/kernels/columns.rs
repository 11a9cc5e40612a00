//! Fast kernels over whole columns of floats. Rare cases, such as resets and NaN, are looked for once per column instead of once per window.
//!
//! Each has a twin in `rate` or `over_time` that works on one window and defines the result. All are equal to the last
//! bit but sums and means, which are differences of prefix sums in doubled precision and agree to the last place or two.
//! Kernels write all live steps of a table without a look at whether the window is empty; the kinds tell which count.

use super::cells::Cells;
use super::over_time;
use super::rate::{EXTRAPOLATION_THRESHOLD, Ends, Extrapolation, extrapolation_factor};
use super::window_table::WindowTable;
use crate::options::Cancel;
use std::ops::Range;

/// Empties `out`, marks the steps whose windows hold `samples_min` samples, and gives the values of the live steps.
#[inline]
pub(crate) fn open<'o>(table: &WindowTable, samples_min: u32, out: &'o mut Cells) -> &'o mut [f64] {
    out.reset(table.windows().steps);
    table.set_kinds(samples_min, &mut out.kinds);
    &mut out.values[table.live()]
}

/// For each live step the index before the window's first sample's and the one behind its last sample's.
#[inline]
fn windows(table: &WindowTable) -> impl Iterator<Item = (usize, usize)> + '_ {
    let (low, high) = table.bounds();
    low.iter().zip(high).map(|(&low, &high)| (low as usize, high as usize))
}

/// Whether no value is a NaN or below the one before it.
#[inline]
fn ascends(values: &[f64]) -> bool {
    let mut ascends = true;
    for (before, value) in values.iter().zip(values.get(1..).unwrap_or(&[])) {
        ascends &= value >= before;
    }
    ascends
}

/// Whether the counter may have been zero behind the point to which the window is extrapolated.
///
/// That is `sampled * (first / difference) < to_start` without a division, with room for all rounding: a relative
/// 1e-12, and products too small to have their full precision.
#[inline]
fn may_clip(first: f64, difference: f64, sampled: f64, to_start: f64) -> bool {
    let near = first * sampled <= to_start * difference * (1.0 + 1e-12) + 1e-290;
    near && difference > 0.0
}

/// `rate`, `increase` or `delta` of a column without start times.
pub(crate) fn extrapolated(
    table: &mut WindowTable,
    values: &[f64],
    counter: bool,
    rate: bool,
    resets: &mut Vec<u32>,
    out: &mut Cells,
) {
    let table = table.extrapolate(rate, EXTRAPOLATION_THRESHOLD);
    let known = table.extrapolations();
    let out = open(table, 2, out);
    for ((out, (low, high)), factor) in out.iter_mut().zip(windows(table)).zip(&known.factors) {
        *out = (values[high - 1] - values[low]) * factor;
    }
    let (true, &[first, .., last]) = (counter, values) else { return };
    let ascends = ascends(values);
    // No window begins lower than the column, and none grows more than the column does.
    let clips = !ascends || may_clip(first, last - first, known.sampled_min, known.to_start_max);
    if clips {
        let columns = known.sampled.iter().zip(&known.to_start);
        for (i, ((low, high), (&sampled, &to_start))) in windows(table).zip(columns).enumerate() {
            let (first, last) = (values[low], values[high - 1]);
            if may_clip(first, last - first, sampled, to_start) {
                out[i] = extrapolated_window(table, i, values, &[], rate);
            }
        }
    }
    if !ascends {
        resets.clear();
        resets.extend((1..values.len()).filter(|&i| values[i] < values[i - 1]).map(|i| i as u32));
        let mut done = 0;
        for (i, &reset) in resets.iter().enumerate() {
            // Windows with an earlier reset are done, so `reset` is the first one in these.
            let steps = table.live_steps_with(reset, true);
            let from = steps.start.max(done).min(steps.end);
            for (step, out) in (from..).zip(&mut out[from..steps.end]) {
                *out = extrapolated_window(table, step, values, &resets[i..], rate);
            }
            done = done.max(steps.end);
        }
    }
}

/// A counter in the window of a live step; `resets` begins with the first one in the window.
fn extrapolated_window(table: &WindowTable, live_step: usize, values: &[f64], resets: &[u32], rate: bool) -> f64 {
    let (low, high) = table.bounds();
    let (low, high) = (low[live_step] as usize, high[live_step] as usize);
    let first = values[low];
    let mut difference = values[high - 1] - first;
    for &reset in resets.iter().take_while(|&&reset| (reset as usize) < high) {
        difference += values[reset as usize - 1];
    }
    let (times, windows) = (table.times(), table.windows());
    let end_ms = windows.end_ms(table.live().start + live_step);
    let ends = Ends {
        first: (times[low], first),
        last: (times[high - 1], values[high - 1]),
        samples: high - low,
        window_ms: (end_ms - windows.range_ms, end_ms),
    };
    ends.extrapolate(difference, true, rate)
}

/// The last factor of [`extrapolated_once`]: rows of one scrape mostly have the same times.
#[derive(Debug, Default)]
pub(crate) struct KnownFactor {
    /// First time, last time, samples, start and end of the window, whether of a rate.
    made_for: Option<(i64, i64, usize, i64, i64, bool)>,
    factor: f64,
    sampled: f64,
    to_start: f64,
}

/// The places of the times in the window `(start_ms, end_ms]`; mostly no sample outside of it was read.
pub(crate) fn places_within((start_ms, end_ms): (i64, i64), times: &[i64]) -> Range<usize> {
    let (Some(&first_ms), Some(&last_ms)) = (times.first(), times.last()) else { return 0..0 };
    let high = if last_ms <= end_ms { times.len() } else { times.partition_point(|&t| t <= end_ms) };
    let low = if first_ms > start_ms { 0 } else { times.partition_point(|&t| t <= start_ms) };
    low.min(high)..high
}

/// `rate`, `increase` or `delta` in the window `(start_ms, end_ms]` alone, of a column without start times.
pub(crate) fn extrapolated_once(
    (start_ms, end_ms): (i64, i64),
    (times, values): (&[i64], &[f64]),
    (counter, rate): (bool, bool),
    known: &mut KnownFactor,
) -> Option<f64> {
    let places = places_within((start_ms, end_ms), times);
    let (times, values) = (times.get(places.clone())?, values.get(places)?);
    let (&[first_ms, .., last_ms], &[first, .., last]) = (times, values) else { return None };
    let mut difference = last - first;
    if counter && !ascends(values) {
        let mut previous = first;
        for &value in values {
            if value < previous {
                difference += previous;
            }
            previous = value;
        }
    }
    let made_for = Some((first_ms, last_ms, times.len(), start_ms, end_ms, rate));
    let window = |zero_share| Extrapolation {
        first_ms,
        last_ms,
        samples: times.len(),
        start_ms,
        end_ms,
        rate_range_ms: rate.then_some(end_ms - start_ms),
        zero_point_ms: None,
        zero_share,
    };
    if known.made_for != made_for {
        let (sampled, to_start) = ((last_ms - first_ms) as f64 / 1000.0, (first_ms - start_ms) as f64 / 1000.0);
        // An upper bound of what the formula takes: it makes gaps that are too wide smaller.
        *known = KnownFactor { made_for, factor: extrapolation_factor(&window(None)), sampled, to_start };
    }
    if counter && may_clip(first, difference, known.sampled, known.to_start) {
        let zero_share = (difference > 0.0 && first >= 0.0).then(|| first / difference);
        return Some(difference * extrapolation_factor(&window(zero_share)));
    }
    Some(difference * known.factor)
}

/// `irate` or `idelta` of a column without start times.
pub(crate) fn instantaneous(table: &WindowTable, values: &[f64], rate: bool, out: &mut Cells) {
    let times = table.times();
    let out = open(table, 2, out);
    for (out, (_, high)) in out.iter_mut().zip(windows(table)) {
        let i = high - 1;
        // The very first sample alone is no window for this function.
        let before_index = i.saturating_sub(1);
        let (before, last) = (values[before_index], values[i]);
        let difference = if rate && last < before { last } else { last - before };
        let interval = (times[i] - times[before_index]) as f64 / 1000.0;
        *out = if rate { difference / interval } else { difference };
    }
}

/// `first_over_time` or `last_over_time`.
pub(crate) fn edge(table: &WindowTable, values: &[f64], last: bool, out: &mut Cells) {
    let out = open(table, 1, out);
    for (out, (low, high)) in out.iter_mut().zip(windows(table)) {
        *out = if last { values[high - 1] } else { values[low] };
    }
}

/// `ts_of_first_over_time` or `ts_of_last_over_time`.
pub(crate) fn edge_time(table: &WindowTable, last: bool, out: &mut Cells) {
    let times = table.times();
    let out = open(table, 1, out);
    for (out, (low, high)) in out.iter_mut().zip(windows(table)) {
        *out = times[if last { high - 1 } else { low }] as f64 / 1000.0;
    }
}

/// `count_over_time`.
pub(crate) fn count(table: &WindowTable, out: &mut Cells) {
    let (low, high) = table.bounds();
    let out = open(table, 1, out);
    for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
        *out = f64::from((high - low) as i32);
    }
}

/// `present_over_time`.
pub(crate) fn present(table: &WindowTable, out: &mut Cells) {
    open(table, 1, out).fill(1.0);
}

/// How many values of each window have `event(before, value)`: `changes` or `resets`.
pub(crate) fn events(
    table: &WindowTable,
    values: &[f64],
    event: impl Fn(f64, f64) -> bool,
    prefix: &mut Vec<u32>,
    out: &mut Cells,
) {
    let out = open(table, 1, out);
    prefix.clear();
    prefix.push(0);
    prefix.extend(values.iter().zip(&values[1..]).map(|(&before, &value)| u32::from(event(before, value))));
    let mut count = 0;
    for slot in &mut *prefix {
        count += *slot;
        *slot = count;
    }
    for (out, (low, high)) in out.iter_mut().zip(windows(table)) {
        *out = f64::from(prefix[high - 1].wrapping_sub(prefix[low]));
    }
}

/// Windows shorter than this are summed directly.
const PREFIX_SAMPLES_MIN: usize = 16;

/// The absolute values together, in no particular order; not finite if any of them is not.
fn magnitude(values: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|v| v.abs()).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value.abs();
        }
    }
    rest + lanes.iter().sum::<f64>()
}

/// `a + b` and what rounding took from it.
#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let shadow = sum - a;
    (sum, (a - (sum - shadow)) + (b - shadow))
}

/// Sums of the first values, each with what rounding took from it.
fn prefix_sums(values: &[f64], finite: impl Fn(f64) -> f64, prefix: &mut Vec<(f64, f64)>) {
    let (mut sum, mut lost) = (0.0, 0.0);
    prefix.resize(values.len() + 1, (0.0, 0.0));
    prefix[0] = (0.0, 0.0);
    for (slot, &value) in prefix[1..].iter_mut().zip(values) {
        let (next, error) = two_sum(sum, finite(value));
        sum = next;
        lost += error;
        *slot = (sum, lost);
    }
}

/// What [`sums`] needs beside the column.
pub(crate) struct SumBuffers<'b> {
    pub rare: &'b mut Vec<u32>,
    pub prefix: &'b mut Vec<(f64, f64)>,
    pub cancel: &'b Cancel,
}

/// Samples that are summed directly between two looks at the cancel flag.
const CANCEL_SAMPLES: usize = 1 << 18;

/// `sum_over_time` or `avg_over_time`; `false` if the column has to be summed window by window.
pub(crate) fn sums(
    table: &WindowTable,
    values: &[f64],
    average: bool,
    buffers: &mut SumBuffers<'_>,
    out: &mut Cells,
) -> bool {
    let direct = |low: usize, high: usize| {
        let window = &values[low..high];
        if average { over_time::mean(window) } else { over_time::sum(window) }
    };
    let prefix = &mut *buffers.prefix;
    let (mut total, rare) = (magnitude(values), &mut *buffers.rare);
    rare.clear();
    if table.longest() >= PREFIX_SAMPLES_MIN {
        if total.is_finite() {
            prefix_sums(values, |value| value, prefix);
        } else {
            rare.extend((0..values.len()).filter(|&i| !values[i].is_finite()).map(|i| i as u32));
            let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
            total = values.iter().map(|&v| finite(v).abs()).sum();
            if !total.is_finite() || rare.len() > values.len() / 16 {
                return false;
            }
            prefix_sums(values, finite, prefix);
        }
    }
    let out = open(table, 1, out);
    // A prefix sum is off by less than `n² / 2 * 2^-106 * total`: a difference above this is good to a relative 2^-44.
    let doubtful = total * (values.len() as f64).powi(2) * (1.0 / (1u64 << 63) as f64);
    for (out, (low, high)) in out.iter_mut().zip(windows(table)) {
        let mut sum = 0.0;
        if high - low >= PREFIX_SAMPLES_MIN {
            let (before, after) = (prefix[low], prefix[high]);
            let (difference, error) = two_sum(after.0, -before.0);
            sum = difference + (error + (after.1 - before.1));
        }
        *out = if sum.abs() > doubtful {
            if average { sum / (high - low) as f64 } else { sum }
        } else if total == 0.0 {
            0.0
        } else {
            direct(low, high)
        };
    }
    let (low, high) = table.bounds();
    let (mut done, mut looked_at) = (0, 0);
    for &index in rare.iter() {
        let steps = table.live_steps_with(index, false);
        for step in steps.start.max(done)..steps.end {
            let (low, high) = (low[step] as usize, high[step] as usize);
            out[step] = direct(low, high);
            looked_at += high - low;
            if looked_at > CANCEL_SAMPLES {
                looked_at = 0;
                if buffers.cancel.check().is_err() {
                    // The evaluation looks again before it uses the row.
                    return true;
                }
            }
        }
        done = done.max(steps.end);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::Annotations;
    use crate::kernels::cells::{Cell, FLOAT};
    use crate::kernels::rate;
    use crate::kernels::sliding::{extremes, quantiles};
    use crate::kernels::window::{Remarks, Window};
    use crate::kernels::window_table::{WindowTables, Windows};
    use mytsdb_columns::Columns;
    use mytsdb_promql_syntax::PosRange;
    use proptest::prelude::*;

    type Twin = fn(&[f64]) -> f64;

    fn close(a: f64, b: f64) -> bool {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
    }

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            6 => -1e3..1e3f64,
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => Just(f64::NEG_INFINITY),
            1 => Just(1e100),
            1 => Just(-1e100),
            2 => Just(0.0),
            1 => Just(-0.0),
        ]
    }

    fn column() -> impl Strategy<Value = Vec<f64>> {
        let mostly_finite = prop_oneof![60 => -1e3..1e3f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
        prop_oneof![
            prop::collection::vec(value(), 1..80),
            prop::collection::vec(0.0..1e3f64, 1..80),
            prop::collection::vec(mostly_finite, 1..200),
            prop::collection::vec(Just(0.0), 1..80),
            prop::collection::vec((0u8..5).prop_map(f64::from), 1..80),
        ]
    }

    proptest! {
        #[test]
        fn a_window_alone_agrees_with_the_formula(
            columns in prop::collection::vec(column(), 1..4),
            ascending in any::<bool>(),
            (gap, jitter) in (1i64..40, prop::collection::vec(0i64..9, 200)),
            ends in prop::collection::vec((-5i64..2_000, 1i64..900), 1..6),
        ) {
            let mut known = KnownFactor::default();
            for mut values in columns {
                if ascending {
                    values.sort_by(f64::total_cmp);
                }
                let times: Vec<i64> = (0..values.len()).map(|i| i as i64 * (gap + 9) + jitter[i]).collect();
                let columns = Columns { timestamps_ms: times.clone(), values: values.clone(), ..Columns::default() };
                for &(end_ms, range_ms) in &ends {
                    let start_ms = end_ms - range_ms;
                    let low = times.partition_point(|&t| t <= start_ms);
                    let high = times.partition_point(|&t| t <= end_ms);
                    let window = Window {
                        columns: &columns, floats: low..high, histograms: 0..0, start_ms, end_ms, eval_ms: end_ms, range_ms,
                    };
                    for (counter, rate) in [(true, true), (true, false), (false, false)] {
                        let mut annotations = Annotations::default();
                        let (pos, told_by) = (PosRange::default(), PosRange::default());
                        let mut remarks = Remarks { annotations: &mut annotations, metric: "", pos, told_by };
                        let twin = rate::extrapolated(&window, counter, rate, &mut remarks);
                        let twin = twin.map(|cell| if let Cell::Float(value) = cell { value.to_bits() } else { 0 });
                        let samples = (&times[..], &values[..]);
                        let found = extrapolated_once((start_ms, end_ms), samples, (counter, rate), &mut known);
                        let found = found.map(f64::to_bits);
                        let both_nan = [found, twin].iter().all(|b| b.is_some_and(|b| f64::from_bits(b).is_nan()));
                        prop_assert!(found == twin || both_nan, "{:?} {:?}: {:?} {:?}", times, values, found, twin);
                    }
                }
            }
        }

        #[test]
        fn columns_agree_with_single_windows(
            values in column(),
            jitter in prop::collection::vec(0i64..3, 200),
            range in 1i64..90,
            step in 1i64..9,
            steps_a_range in prop::option::of(1i64..20),
        ) {
            const STEPS: usize = 40;
            let times: Vec<i64> = (0..values.len()).map(|i| i as i64 * 3 + jitter[i]).collect();
            let range = steps_a_range.map_or(range, |n| n * step);
            let windows = Windows { first_end_ms: 5, step_ms: step, range_ms: range, steps: STEPS };
            let mut tables = WindowTables::default();
            let table = tables.get(windows, &mut times.clone());
            let run = |kernel: &mut dyn FnMut(&mut Cells) -> bool| {
                // The buffer has the wrong size and old contents.
                let mut cells = Cells::empty(50);
                (0..50).for_each(|i| cells.set(i, 12345.0));
                kernel(&mut cells).then_some(cells)
            };
            let (mut numbers, mut counts, mut rare, mut prefix) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let cancel = Cancel::new();
            let mut sums = |average, out: &mut Cells| {
                let mut buffers = SumBuffers { rare: &mut rare, prefix: &mut prefix, cancel: &cancel };
                sums(table, &values, average, &mut buffers, out)
            };
            let quantile = |window: &[f64]| over_time::quantile(0.7, &mut window.to_vec());
            let falls = |window: &[f64]| window.windows(2).filter(|w| w[1] < w[0]).count() as f64;
            let found: [(_, Twin, bool); 9] = [
                (run(&mut |out| sums(false, out)), over_time::sum, false),
                (run(&mut |out| sums(true, out)), over_time::mean, false),
                (run(&mut |out| { extremes::<true>(table, &values, &mut numbers, &mut counts, out); true }), over_time::max, true),
                (run(&mut |out| { extremes::<false>(table, &values, &mut numbers, &mut counts, out); true }), over_time::min, true),
                (run(&mut |out| quantiles(table, &values, |_| 0.7, &mut numbers, out)), quantile, true),
                (run(&mut |out| { count(table, out); true }), |w| w.len() as f64, true),
                (run(&mut |out| { edge(table, &values, false, out); true }), |w| w[0], true),
                (run(&mut |out| { edge(table, &values, true, out); true }), |w| w[w.len() - 1], true),
                (run(&mut |out| { events(table, &values, |a, b| b < a, &mut counts, out); true }), falls, true),
            ];
            for (which, (cells, twin, exact)) in found.iter().enumerate() {
                let Some(cells) = cells else { continue };
                prop_assert_eq!(cells.len(), STEPS);
                for i in 0..STEPS {
                    let end = 5 + step * i as i64;
                    let window: Vec<f64> =
                        times.iter().zip(&values).filter(|(t, _)| **t > end - range && **t <= end).map(|p| *p.1).collect();
                    prop_assert_eq!(cells.kinds[i] == FLOAT, !window.is_empty(), "{} step {}", which, i);
                    if !window.is_empty() {
                        let (a, b) = (cells.values[i], twin(&window));
                        prop_assert!(if *exact { same(a, b) } else { close(a, b) }, "{} {:?}: {} {}", which, window, a, b);
                    }
                }
            }
        }
    }
}
