//! `anchored` and `smoothed`: differences between values at the very edges of a window.
//!
//! An extended window also holds the samples of one lookback before it and, smoothed, behind it. Anchored takes the last
//! sample at or before an edge; smoothed interpolates between the samples around it.

use super::cells::Cell;
use super::rate::StartTimes;
use super::window::{Remarks, Window};
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use std::sync::Arc;

/// The samples that matter: from the last one at or before the start to the last one that the right edge needs.
fn relevant(times: &[i64], window: &Window<'_>, smoothed: bool) -> Option<std::ops::RangeInclusive<usize>> {
    let last_index = times.len().checked_sub(1)?;
    let first = times[..last_index].partition_point(|&t| t <= window.start_ms).saturating_sub(1);
    if times[0] > window.end_ms {
        return None;
    }
    let last = if smoothed { times[..last_index].partition_point(|&t| t < window.end_ms) } else { last_index };
    (times[last] > window.start_ms).then_some(first..=last)
}

fn fraction(times: &[i64], i: usize, at: i64) -> f64 {
    (at - times[i]) as f64 / (times[i + 1] - times[i]) as f64
}

/// `rate`, `increase` or `delta` over an extended window.
pub(crate) fn difference(
    window: &Window<'_>,
    smoothed: bool,
    (counter, rate): (bool, bool),
    lookback_ms: i64,
    remarks: &mut Remarks<'_>,
) -> Option<Cell> {
    if window.mixed() {
        remarks.mixed_floats_histograms();
        return None;
    }
    let seconds = window.range_ms as f64 / 1000.0;
    if window.histograms.is_empty() {
        let difference = float_difference(window, smoothed, counter, lookback_ms)?;
        return Some(Cell::Float(if rate { difference / seconds } else { difference }));
    }
    let mut difference = histogram_difference(window, smoothed, counter, remarks)?;
    if rate {
        difference.div(seconds);
    }
    Some(Cell::Histogram(Arc::new(difference)))
}

/// The value at `at`, between samples `i` and `i + 1`.
fn interpolate(times: &[i64], values: &[f64], i: usize, at: i64, counter: bool) -> f64 {
    let (y1, y2) = (values[i], values[i + 1]);
    // After a reset the counter came from zero.
    let y1 = if counter && y2 < y1 { 0.0 } else { y1 };
    y1 + (y2 - y1) * (at - times[i]) as f64 / (times[i + 1] - times[i]) as f64
}

/// The floats of an extended window.
#[derive(Clone, Copy)]
struct Floats<'w> {
    times: &'w [i64],
    values: &'w [f64],
}

/// The floats of a window of a counter, with a zero wherever start times tell that it started anew. `None` if they tell
/// nothing.
fn with_zeros(window: &Window<'_>, lookback_ms: i64) -> Option<(Vec<i64>, Vec<f64>)> {
    let (times, values, starts) = (window.times(), window.values(), window.start_times());
    if starts.iter().all(|&start| start == 0) {
        return None;
    }
    let told = StartTimes::new(times, starts);
    let (mut out_times, mut out_values) = (Vec::with_capacity(times.len() + 4), Vec::with_capacity(times.len() + 4));
    for (i, (&time, &value)) in times.iter().zip(values).enumerate() {
        let reset = match i {
            // Before the lookback nothing is known of the counter.
            0 => told.zero_point(window.start_ms - lookback_ms).is_some(),
            _ => told.reset(i),
        };
        if reset {
            out_times.push(starts[i]);
            out_values.push(0.0);
        }
        out_times.push(time);
        out_values.push(value);
    }
    Some((out_times, out_values))
}

/// The floats of an extended window: those at its edges, and which samples lie between.
struct Edged {
    left: f64,
    right: f64,
    inner: std::ops::Range<usize>,
}

fn edged(floats: Floats<'_>, window: &Window<'_>, smoothed: bool, counter: bool) -> Option<Edged> {
    let Floats { times, values } = floats;
    let range = relevant(times, window, smoothed)?;
    let (first, last) = (*range.start(), *range.end());
    let left = if smoothed && times[first] < window.start_ms && first < last {
        interpolate(times, values, first, window.start_ms, counter)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && times[last] > window.end_ms {
        interpolate(times, values, last - 1, window.end_ms, counter)
    } else {
        values[last]
    };
    let from = first + usize::from(times[first] <= window.start_ms);
    let to = last + usize::from(times[last] < window.end_ms);
    Some(Edged { left, right, inner: from..to.max(from) })
}

fn float_difference(window: &Window<'_>, smoothed: bool, counter: bool, lookback_ms: i64) -> Option<f64> {
    let zeros = if counter { with_zeros(window, lookback_ms) } else { None };
    let floats = match &zeros {
        Some((times, values)) => Floats { times, values },
        None => Floats { times: window.times(), values: window.values() },
    };
    let Edged { left, right, inner } = edged(floats, window, smoothed, counter)?;
    // What resets took away is summed up first.
    let (mut lost, mut previous) = (0.0, left);
    if counter {
        for &value in floats.values[inner].iter().chain(std::iter::once(&right)) {
            if value < previous {
                lost += previous;
            }
            previous = value;
        }
    }
    Some(right - left + lost)
}

/// The floats of an extended window that no function looks at: one at each edge, and the samples between.
pub(crate) fn edged_samples(window: &Window<'_>, smoothed: bool) -> Option<(Vec<i64>, Vec<f64>)> {
    if smoothed && window.times().first().is_some_and(|&first| first > window.end_ms) {
        // Unlike for functions, samples behind the edges are enough.
        let value = window.values()[0];
        return Some((vec![window.start_ms, window.end_ms], vec![value; 2]));
    }
    let floats = Floats { times: window.times(), values: window.values() };
    let Edged { left, right, inner } = edged(floats, window, smoothed, false)?;
    let (mut times, mut values) = (vec![window.start_ms], vec![left]);
    times.extend_from_slice(&window.times()[inner.clone()]);
    values.extend_from_slice(&window.values()[inner]);
    times.push(window.end_ms);
    values.push(right);
    Some((times, values))
}

/// `earlier + (later - earlier) * fraction`, from zero after a reset. `None` if the schemas do not fit.
fn interpolate_histogram(
    earlier: &FloatHistogram,
    later: &FloatHistogram,
    fraction: f64,
    reset: bool,
    remarks: &mut Remarks<'_>,
) -> Option<FloatHistogram> {
    let mut out = later.clone();
    if reset {
        out.mul(fraction);
        return Some(out);
    }
    if out.sub(earlier).ok()?.custom_bounds {
        remarks.bounds_reconciled("subtraction");
    }
    out.mul(fraction);
    if out.add(earlier).ok()?.custom_bounds {
        remarks.bounds_reconciled("addition");
    }
    Some(out)
}

fn histogram_difference(
    window: &Window<'_>,
    smoothed: bool,
    counter: bool,
    remarks: &mut Remarks<'_>,
) -> Option<FloatHistogram> {
    let (times, points) = (window.histogram_times(), window.histograms());
    let range = relevant(times, window, smoothed)?;
    let (mut first, last) = (*range.start(), *range.end());
    let gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    for point in &points[first..=last] {
        if point.uses_custom_buckets() != points[first].uses_custom_buckets() {
            remarks.mixed_schemas();
            return None;
        }
        if counter && gauge(point) {
            remarks.not_a_counter();
        }
    }
    let reset = |i: usize| counter && points[i].detect_reset(&points[i - 1]);
    let interpolated_left = smoothed && times[first] < window.start_ms && first < last;
    let left = if interpolated_left {
        let fraction = fraction(times, first, window.start_ms);
        interpolate_histogram(&points[first], &points[first + 1], fraction, reset(first + 1), remarks)?
    } else {
        FloatHistogram::clone(&points[first])
    };
    let interpolated_right = smoothed && last > 0 && times[last] > window.end_ms;
    let right = if interpolated_right {
        let fraction = fraction(times, last - 1, window.end_ms);
        interpolate_histogram(&points[last - 1], &points[last], fraction, reset(last), remarks)?
    } else {
        FloatHistogram::clone(&points[last])
    };
    // An interpolation between a gauge and a counter is a gauge.
    if !counter && (!gauge(&left) || !gauge(&right)) {
        remarks.not_a_gauge();
    }
    let mut difference = right;
    let mut subtract = |difference: &mut FloatHistogram, other: &FloatHistogram, back: bool| {
        let outcome = if back { difference.add(other) } else { difference.sub(other) };
        match outcome {
            Ok(reconciled) if reconciled.custom_bounds => {
                remarks.bounds_reconciled(if back { "addition" } else { "subtraction" });
                Some(())
            }
            Ok(_) => Some(()),
            Err(_) => {
                remarks.mixed_schemas();
                None
            }
        }
    };
    subtract(&mut difference, &left, false)?;
    if counter {
        // Resets between the samples from the left edge to the right one. An interpolated left edge already belongs to
        // the time after a reset before the first inner sample.
        let left_index = first;
        if times[first] <= window.start_ms {
            first += 1;
        }
        for i in first.max(1)..=last {
            if !reset(i) || (interpolated_left && i == left_index + 1) || i == left_index {
                continue;
            }
            let before = if i - 1 == left_index { &left } else { &points[i - 1] };
            let before = before.clone();
            subtract(&mut difference, &before, true)?;
        }
    }
    difference.counter_reset_hint = CounterResetHint::Gauge;
    difference.compact(0);
    Some(difference)
}

/// The window narrowed to what `changes` and `resets` look at: the last sample at or before the start, and the rest.
pub(crate) fn anchored<'w>(window: &Window<'w>) -> Option<Window<'w>> {
    let (times, histogram_times) = (window.times(), window.histogram_times());
    let latest = times.last().max(histogram_times.last())?;
    if *latest <= window.start_ms {
        return None;
    }
    let floats_before = times.partition_point(|&t| t <= window.start_ms);
    let histograms_before = histogram_times.partition_point(|&t| t <= window.start_ms);
    let float = floats_before.checked_sub(1).map(|i| times[i]);
    let histogram = histograms_before.checked_sub(1).map(|i| histogram_times[i]);
    let (keep_float, keep_histogram) = (float.is_some() && float > histogram, histogram.is_some() && histogram > float);
    let float_start = window.floats.start + floats_before - usize::from(keep_float);
    let histogram_start = window.histograms.start + histograms_before - usize::from(keep_histogram);
    Some(Window {
        columns: window.columns,
        floats: float_start..window.floats.end,
        histograms: histogram_start..window.histograms.end,
        start_ms: window.start_ms,
        end_ms: window.end_ms,
        eval_ms: window.eval_ms,
        range_ms: window.range_ms,
    })
}

/// The value of a series between its samples at `at`: the last sample if there is none behind it.
pub(crate) fn interpolate_instant(
    columns: &Columns,
    at: i64,
    lookback_ms: i64,
    remarks: &mut Remarks<'_>,
) -> Option<Cell> {
    let around = |times: &[i64]| {
        let next = times.partition_point(|&t| t <= at);
        let before = next.checked_sub(1).filter(|&i| times[i] > at - lookback_ms);
        let after = Some(next).filter(|&i| i < times.len() && times[i] <= at + lookback_ms);
        (before, after)
    };
    let (times, histogram_times) = (&columns.timestamps_ms, &columns.histogram_timestamps_ms);
    let (float_before, float_after) = around(times);
    let (histogram_before, histogram_after) = around(histogram_times);
    let none = |around: (Option<usize>, Option<usize>)| around.0.is_none() && around.1.is_none();
    if !none((float_before, float_after)) && !none((histogram_before, histogram_after)) {
        remarks.mixed_floats_histograms();
        return None;
    }
    if let Some(i) = float_before {
        let value = columns.values[i];
        if times[i] == at || float_after.is_none() {
            return Some(Cell::Float(value));
        }
        return Some(Cell::Float(interpolate(times, &columns.values, i, at, false)));
    }
    let i = histogram_before?;
    let histogram = &columns.histograms[i];
    if histogram_times[i] == at || histogram_after.is_none() {
        return Some(Cell::Histogram(Arc::clone(histogram)));
    }
    let next = &columns.histograms[i + 1];
    let gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let gauge = gauge(histogram) && gauge(next);
    let reset = !gauge && next.uses_custom_buckets() == histogram.uses_custom_buckets() && next.detect_reset(histogram);
    if let Some(histogram) = interpolate_histogram(histogram, next, fraction(histogram_times, i, at), reset, remarks) {
        Some(Cell::Histogram(Arc::new(histogram)))
    } else {
        remarks.mixed_schemas();
        None
    }
}
