//! `*_over_time`, `changes`, `resets`, `deriv` and their like: one number out of the samples of a window.

use super::cells::Cell;
use super::kahan::{Kahan, Mean};
use super::rate::StartTimes;
use super::window::{Remarks, Window};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use std::sync::Arc;

/// The floats of the window, with a remark if there are histograms beside them.
#[inline]
pub(crate) fn only_floats<'w>(window: &Window<'w>, remarks: &mut Remarks<'_>) -> Option<&'w [f64]> {
    let values = window.values();
    if values.is_empty() {
        return None;
    }
    if !window.histograms.is_empty() {
        remarks.histograms_ignored_in_range();
    }
    Some(values)
}

/// The largest (or smallest) value and its index; NaN only if there is nothing else.
#[inline]
pub(crate) fn extreme(values: &[f64], replaces: impl Fn(f64, f64) -> bool) -> (usize, f64) {
    let (mut at, mut best) = (0, values[0]);
    for (i, &value) in values.iter().enumerate() {
        if replaces(value, best) || best.is_nan() {
            (at, best) = (i, value);
        }
    }
    (at, best)
}

pub(crate) fn max(values: &[f64]) -> f64 {
    extreme(values, |value, best| value > best).1
}

pub(crate) fn min(values: &[f64]) -> f64 {
    extreme(values, |value, best| value < best).1
}

#[inline]
pub(crate) fn sum(values: &[f64]) -> f64 {
    let mut sum = Kahan::default();
    for &value in values {
        sum.add(value);
    }
    if sum.sum.is_infinite() { sum.sum } else { sum.total() }
}

#[inline]
pub(crate) fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    for &value in values {
        mean.add(value);
    }
    mean.get()
}

/// Variance by Welford's method, compensated.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Kahan::default(), Kahan::default());
    for &value in values {
        count += 1.0;
        let delta = value - mean.total();
        mean.add(delta / count);
        squares.add(delta * (value - mean.total()));
    }
    squares.total() / count
}

/// The φ-quantile of `values`, which are sorted in place; NaN sorts first.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal),
    });
    let rank = Rank::new(q, values.len());
    rank.between(values[rank.lower], values[rank.upper])
}

/// Where a quantile lies among sorted values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rank {
    pub lower: usize,
    pub upper: usize,
    weight: f64,
}

impl Rank {
    /// That of the quantile `q`, between 0 and 1, of `count` values, at least one.
    #[inline]
    pub fn new(q: f64, count: usize) -> Self {
        let last = (count - 1) as f64;
        let rank = q * last;
        let lower = rank.floor().max(0.0);
        Self { lower: lower as usize, upper: (lower + 1.0).min(last) as usize, weight: rank - rank.floor() }
    }

    /// The quantile, given the values at both ranks. At an exact rank the upper value has no part in it, even if it is
    /// infinite.
    #[inline]
    pub fn between(self, lower: f64, upper: f64) -> f64 {
        if self.weight == 0.0 { lower } else { lower * (1.0 - self.weight) + upper * self.weight }
    }
}

/// Median of the distances to the median; NaN if there is any.
pub(crate) fn median_deviation(values: &[f64]) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    let median = quantile(0.5, &mut sorted);
    for value in &mut sorted {
        *value = (*value - median).abs();
    }
    quantile(0.5, &mut sorted)
}

/// Slope per second and value at `intercept_ms` of the line of least squares.
pub(crate) fn regression(times: &[i64], values: &[f64], intercept_ms: i64) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|&v| v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = values.len() as f64;
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) =
        (Kahan::default(), Kahan::default(), Kahan::default(), Kahan::default());
    for (&time, &y) in times.iter().zip(values) {
        let x = (time - intercept_ms) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    let (x, y, xy, xx) = (x_sum.total(), y_sum.total(), xy_sum.total(), xx_sum.total());
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// Holt's double exponential smoothing.
pub(crate) fn double_exponential(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let (mut before, mut current, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (i, &value) in values.iter().enumerate().skip(1) {
        let scaled = smoothing * value;
        if i > 1 {
            slope = trend * (current - before) + (1.0 - trend) * slope;
        }
        let next = scaled + (1.0 - smoothing) * (current + slope);
        (before, current) = (current, next);
    }
    current
}

/// A sample of either kind, in the order of time.
#[derive(Clone, Copy)]
pub(crate) enum Point<'w> {
    Float(f64, usize),
    Histogram(&'w Arc<FloatHistogram>, usize),
}

/// Calls `visit` for the samples of both kinds in the order of time.
pub(crate) fn in_time_order<'w>(window: &Window<'w>, mut visit: impl FnMut(Point<'w>)) {
    let (times, values) = (window.times(), window.values());
    let (histogram_times, histograms) = (window.histogram_times(), window.histograms());
    let (mut f, mut h) = (0, 0);
    while f < times.len() || h < histogram_times.len() {
        if h >= histogram_times.len() || (f < times.len() && times[f] < histogram_times[h]) {
            visit(Point::Float(values[f], f));
            f += 1;
        } else {
            visit(Point::Histogram(&histograms[h], h));
            h += 1;
        }
    }
}

pub(crate) fn changes(window: &Window<'_>) -> f64 {
    if window.histograms.is_empty() {
        let changed = |w: &&[f64]| w[0] != w[1] && !(w[0].is_nan() && w[1].is_nan());
        return window.values().windows(2).filter(changed).count() as f64;
    }
    let (mut count, mut previous) = (0, None);
    in_time_order(window, |point| {
        let changed = match (previous, point) {
            (None, _) => false,
            (Some(Point::Float(a, _)), Point::Float(b, _)) => a != b && !(a.is_nan() && b.is_nan()),
            (Some(Point::Histogram(a, _)), Point::Histogram(b, _)) => !a.equals(b),
            _ => true,
        };
        count += i32::from(changed);
        previous = Some(point);
    });
    f64::from(count)
}

pub(crate) fn resets(window: &Window<'_>) -> f64 {
    let starts = StartTimes::new(window.times(), window.start_times());
    let histogram_starts = StartTimes::new(window.histogram_times(), window.histogram_start_times());
    let (mut count, mut previous) = (0, None);
    in_time_order(window, |point| {
        let reset = match (previous, point) {
            (None, _) => false,
            (Some(Point::Float(a, _)), Point::Float(b, i)) => b < a || starts.reset(i),
            (Some(Point::Histogram(a, _)), Point::Histogram(b, i)) => b.detect_reset(a) || histogram_starts.reset(i),
            _ => true,
        };
        count += i32::from(reset);
        previous = Some(point);
    });
    f64::from(count)
}

/// The first (or last) sample of either kind, with its time.
pub(crate) fn edge(window: &Window<'_>, last: bool) -> Option<(i64, Cell)> {
    let (times, histogram_times) = (window.times(), window.histogram_times());
    let (f, h) = if last {
        (times.len().checked_sub(1), histogram_times.len().checked_sub(1))
    } else {
        ((!times.is_empty()).then_some(0), (!histogram_times.is_empty()).then_some(0))
    };
    let float = f.map(|i| (times[i], Cell::Float(window.values()[i])));
    let histogram = h.map(|i| (histogram_times[i], Cell::Histogram(Arc::clone(&window.histograms()[i]))));
    match (float, histogram) {
        (Some(f), Some(h)) => Some(if (f.0 > h.0) == last { f } else { h }),
        (f, h) => f.or(h),
    }
}

/// `sum_over_time` or `avg_over_time` of histograms.
pub(crate) fn fold_histograms(
    points: &[Arc<FloatHistogram>],
    average: bool,
    remarks: &mut Remarks<'_>,
) -> Option<FloatHistogram> {
    let mut sum = HistogramSum::starting(&points[0]);
    let (mut reset, mut not_reset) = (false, false);
    for point in points {
        reset |= point.counter_reset_hint == CounterResetHint::CounterReset;
        not_reset |= point.counter_reset_hint == CounterResetHint::NotCounterReset;
    }
    let mut reconciled = false;
    for point in &points[1..] {
        let Some(custom_bounds) = sum.add(point, average) else {
            remarks.mixed_schemas();
            return None;
        };
        reconciled |= custom_bounds;
    }
    if reconciled {
        remarks.bounds_reconciled("aggregation");
    }
    if reset && not_reset {
        remarks.reset_collision("aggregation");
    }
    Some(sum.finish(average))
}

/// A compensated sum of histograms, or their mean.
#[derive(Debug, Clone)]
pub(crate) struct HistogramSum {
    sum: FloatHistogram,
    compensation: FloatHistogram,
    count: f64,
    incremental: bool,
    /// Hints that contradicted each other were seen.
    pub collision: bool,
}

impl HistogramSum {
    pub fn starting(first: &FloatHistogram) -> Self {
        Self {
            sum: first.clone(),
            compensation: first.new_compensation(),
            count: 1.0,
            incremental: false,
            collision: false,
        }
    }

    /// Adds one more. `Some(true)` if custom bounds had to be reconciled, `None` if the schemas do not fit.
    pub fn add(&mut self, histogram: &FloatHistogram, average: bool) -> Option<bool> {
        self.count += 1.0;
        if average && !self.incremental {
            let (mut sum, mut compensation) = (self.sum.clone(), self.compensation.clone());
            let reconciled = sum.kahan_add(histogram, &mut compensation).ok()?;
            self.collision |= reconciled.counter_reset_collision;
            if !sum.has_overflow() {
                (self.sum, self.compensation) = (sum, compensation);
                return Some(reconciled.custom_bounds);
            }
            self.incremental = true;
            self.sum.div(self.count - 1.0);
            self.compensation.div(self.count - 1.0);
        }
        if average {
            let mut share = histogram.clone();
            share.div(self.count);
            let keep = (self.count - 1.0) / self.count;
            self.sum.mul(keep);
            self.compensation.mul(keep);
            let reconciled = self.sum.kahan_add(&share, &mut self.compensation).ok()?;
            return Some(reconciled.custom_bounds);
        }
        let reconciled = self.sum.kahan_add(histogram, &mut self.compensation).ok()?;
        self.collision |= reconciled.counter_reset_collision;
        Some(reconciled.custom_bounds)
    }

    pub fn finish(mut self, average: bool) -> FloatHistogram {
        if average && !self.incremental {
            self.sum.div(self.count);
            self.compensation.div(self.count);
        }
        // The compensation has the layout of the sum, so they always fit together.
        if self.sum.add(&self.compensation).is_ok() {
            self.sum.compact(0);
        }
        self.sum
    }
}
