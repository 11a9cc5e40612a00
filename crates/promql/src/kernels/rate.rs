//! `rate`, `increase`, `delta`, `irate`, `idelta`: extrapolated and instantaneous differences.

use super::cells::Cell;
use super::window::{Remarks, Window};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use std::sync::Arc;

/// A gap to the window's edge of more average intervals than this is not bridged.
pub(crate) const EXTRAPOLATION_THRESHOLD: f64 = 1.1;

/// What a start time says about the step from the sample before.
pub(crate) struct StartTimes<'w> {
    times: &'w [i64],
    starts: &'w [i64],
}

impl<'w> StartTimes<'w> {
    pub fn new(times: &'w [i64], starts: &'w [i64]) -> Self {
        Self { times, starts }
    }

    pub fn known(&self) -> bool {
        !self.starts.is_empty()
    }

    /// The counter started anew between samples `i - 1` and `i`.
    #[inline]
    pub fn reset(&self, i: usize) -> bool {
        if self.starts.is_empty() {
            return false;
        }
        let (start, before) = (self.starts[i], self.times[i - 1]);
        let start_before = self.starts[i - 1];
        start != 0
            && start < self.times[i]
            && (start > before || (start == before && start_before != 0 && start_before < before))
    }

    /// The start time lies before the sample that came before, and is not that one's own.
    pub fn overlaps(&self, i: usize) -> bool {
        self.known()
            && self.starts[i] != 0
            && self.starts[i] < self.times[i - 1]
            && self.starts[i] != self.starts[i - 1]
    }

    /// The start of the first sample if it lies in the window, before the sample.
    pub fn zero_point(&self, window_start: i64) -> Option<i64> {
        let (&start, &time) = (self.starts.first()?, self.times.first()?);
        (start != 0 && start > window_start && start < time).then_some(start)
    }
}

/// The difference between the last and the first sample of the window, extrapolated to its edges.
#[inline]
pub(crate) fn extrapolated(window: &Window<'_>, counter: bool, rate: bool, remarks: &mut Remarks<'_>) -> Option<Cell> {
    if window.mixed() {
        remarks.mixed_floats_histograms();
        return None;
    }
    if window.histograms.is_empty() {
        floats(window, counter, rate, remarks).map(Cell::Float)
    } else {
        histograms(window, counter, rate, remarks).map(|h| Cell::Histogram(Arc::new(h)))
    }
}

#[inline]
fn floats(window: &Window<'_>, counter: bool, rate: bool, remarks: &mut Remarks<'_>) -> Option<f64> {
    let (times, values) = (window.times(), window.values());
    let starts = StartTimes::new(times, if counter { window.start_times() } else { &[] });
    let zero_point = starts.zero_point(window.start_ms);
    if values.len() < 2 && zero_point.is_none() {
        return None;
    }
    let (first, last) = (values[0], values[values.len() - 1]);
    let mut difference = last - first;
    if counter {
        if starts.known() {
            for i in 1..values.len() {
                if values[i] < values[i - 1] || starts.reset(i) {
                    difference += values[i - 1];
                } else if starts.overlaps(i) {
                    remarks.start_time_overlap();
                }
            }
        } else {
            let mut previous = first;
            for &value in values {
                if value < previous {
                    difference += previous;
                }
                previous = value;
            }
        }
        if zero_point.is_some() {
            difference += first;
        }
    }
    let zero_share = (counter && difference > 0.0 && first >= 0.0).then(|| first / difference);
    Some(difference * factor(window, times, zero_point, zero_share, rate))
}

/// What the factor of an extrapolation depends on.
pub(crate) struct Extrapolation {
    pub first_ms: i64,
    pub last_ms: i64,
    pub samples: usize,
    /// The window.
    pub start_ms: i64,
    pub end_ms: i64,
    /// For a rate, the width of the window.
    pub rate_range_ms: Option<i64>,
    /// When the counter was zero, if the first sample's start time tells.
    pub zero_point_ms: Option<i64>,
    /// The first value as a share of the difference: how far back the counter would have been zero.
    pub zero_share: Option<f64>,
}

/// Floats without start times in one window.
pub(crate) struct Ends {
    /// Times and values of the first and the last sample.
    pub first: (i64, f64),
    pub last: (i64, f64),
    pub samples: usize,
    /// The window `(start, end]`.
    pub window_ms: (i64, i64),
}

impl Ends {
    /// What a difference of these samples is when it is extrapolated to the edges of the window; of a rate, per second.
    #[inline]
    pub fn extrapolate(&self, difference: f64, counter: bool, rate: bool) -> f64 {
        let ((first_ms, first), (last_ms, _), (start_ms, end_ms)) = (self.first, self.last, self.window_ms);
        let factor = extrapolation_factor(&Extrapolation {
            first_ms,
            last_ms,
            samples: self.samples,
            start_ms,
            end_ms,
            rate_range_ms: rate.then_some(end_ms - start_ms),
            zero_point_ms: None,
            zero_share: (counter && difference > 0.0 && first >= 0.0).then(|| first / difference),
        });
        difference * factor
    }
}

#[inline]
fn factor(window: &Window<'_>, times: &[i64], zero_point: Option<i64>, zero_share: Option<f64>, rate: bool) -> f64 {
    extrapolation_factor(&Extrapolation {
        first_ms: times[0],
        last_ms: times[times.len() - 1],
        samples: times.len(),
        start_ms: window.start_ms,
        end_ms: window.end_ms,
        rate_range_ms: rate.then_some(window.range_ms),
        zero_point_ms: zero_point,
        zero_share,
    })
}

/// By how much a difference grows when it is extrapolated to the edges of the window, per second for a rate.
#[inline]
pub(crate) fn extrapolation_factor(e: &Extrapolation) -> f64 {
    let between = (e.last_ms - e.first_ms) as f64 / 1000.0;
    let average = if e.samples > 1 { between / (e.samples - 1) as f64 } else { 0.0 };
    let threshold = average * EXTRAPOLATION_THRESHOLD;
    let mut sampled = between;
    let mut to_start = 0.0;
    if let Some(zero_point) = e.zero_point_ms {
        sampled = (e.last_ms - zero_point) as f64 / 1000.0;
    } else {
        to_start = (e.first_ms - e.start_ms) as f64 / 1000.0;
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        // A counter was not negative: do not extrapolate beyond the point where it would have been zero.
        if let Some(share) = e.zero_share {
            let to_zero = sampled * share;
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
    }
    let mut to_end = (e.end_ms - e.last_ms) as f64 / 1000.0;
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    match e.rate_range_ms {
        Some(range_ms) => factor / (range_ms as f64 / 1000.0),
        None => factor,
    }
}

fn histograms(window: &Window<'_>, counter: bool, rate: bool, remarks: &mut Remarks<'_>) -> Option<FloatHistogram> {
    let (times, points) = (window.histogram_times(), window.histograms());
    let starts = StartTimes::new(times, if counter { window.histogram_start_times() } else { &[] });
    let zero_point = starts.zero_point(window.start_ms);
    if points.len() < 2 && zero_point.is_none() {
        return None;
    }
    for i in 1..points.len() {
        if starts.overlaps(i) {
            remarks.start_time_overlap();
        }
    }
    let mut difference = histogram_difference(points, counter, &starts, zero_point.is_some(), remarks)?;
    let first = points[0].count;
    let zero_share = (counter && difference.count > 0.0 && first >= 0.0).then(|| first / difference.count);
    difference.mul(factor(window, times, zero_point, zero_share, rate));
    Some(difference)
}

/// Whether `current` follows a reset after `previous`.
pub(crate) fn is_reset(points: &[Arc<FloatHistogram>], i: usize, starts: &StartTimes<'_>) -> bool {
    starts.reset(i) || points[i].detect_reset(&points[i - 1])
}

fn histogram_difference(
    points: &[Arc<FloatHistogram>],
    counter: bool,
    starts: &StartTimes<'_>,
    from_zero: bool,
    remarks: &mut Remarks<'_>,
) -> Option<FloatHistogram> {
    let (first, last) = (&points[0], &points[points.len() - 1]);
    let gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let mut gauges = counter && (gauge(first) || gauge(last));
    // After a reset between the first two, the layout of the first one does not matter.
    let skip_first = counter && points.len() > 1 && is_reset(points, 1, starts);
    let base = if skip_first {
        Arc::new(FloatHistogram {
            schema: points[1].schema,
            custom_values: points[1].custom_values.clone(),
            ..FloatHistogram::default()
        })
    } else {
        Arc::clone(first)
    };
    let custom = base.uses_custom_buckets();
    if last.uses_custom_buckets() != custom {
        if gauges {
            remarks.not_a_counter();
        }
        remarks.mixed_schemas();
        return None;
    }
    let mut schema = base.schema.min(last.schema);
    if counter && points.len() > 2 {
        for point in &points[1..points.len() - 1] {
            schema = schema.min(point.schema);
            if point.uses_custom_buckets() != custom {
                remarks.mixed_schemas();
                return None;
            }
            gauges |= gauge(point);
        }
    }
    // Schemas in between that do not fit give a remark and nothing else.
    if gauges {
        remarks.not_a_counter();
    }
    let Ok(mut difference) = last.copy_to_schema(schema) else {
        remarks.mixed_schemas();
        return None;
    };
    let mut combine = |difference: &mut FloatHistogram, other: &FloatHistogram, add: bool| {
        let outcome = if add { difference.add(other) } else { difference.sub(other) };
        if let Ok(reconciled) = outcome {
            if reconciled.custom_bounds {
                remarks.bounds_reconciled(if add { "addition" } else { "subtraction" });
            }
            Some(())
        } else {
            remarks.mixed_schemas();
            None
        }
    };
    combine(&mut difference, &base, false)?;
    if counter {
        let mut previous = &base;
        for (i, point) in points.iter().enumerate().skip(1) {
            if starts.reset(i) || point.detect_reset(previous) {
                combine(&mut difference, previous, true)?;
            }
            previous = point;
        }
        if from_zero {
            combine(&mut difference, first, true)?;
        }
    } else if !gauge(first) || !gauge(last) {
        remarks.not_a_gauge();
    }
    difference.counter_reset_hint = CounterResetHint::Gauge;
    difference.compact(0);
    Some(difference)
}

/// The difference between the last two samples, whichever kind they are.
pub(crate) fn instantaneous(window: &Window<'_>, rate: bool, remarks: &mut Remarks<'_>) -> Option<Cell> {
    let (times, histogram_times) = (window.times(), window.histogram_times());
    let (floats, histograms) = (times.len(), histogram_times.len());
    if floats + histograms < 2 {
        return None;
    }
    // How many of the two latest samples are histograms.
    let latest_float = |back: usize| floats.checked_sub(back).map(|i| times[i]);
    let latest_histogram = |back: usize| histograms.checked_sub(back).map(|i| histogram_times[i]);
    let taken = match (latest_float(2), latest_histogram(2)) {
        (Some(_), None) if histograms == 0 => 0,
        (None, Some(_)) if floats == 0 => 2,
        (float_before, histogram_before) => {
            let (float, histogram) = (latest_float(1)?, latest_histogram(1)?);
            if float_before.is_some_and(|t| t > histogram) {
                0
            } else if histogram_before.is_some_and(|t| t > float) {
                2
            } else {
                1
            }
        }
    };
    match taken {
        0 => {
            let values = window.values();
            let (i, starts) = (floats - 1, StartTimes::new(times, if rate { window.start_times() } else { &[] }));
            let (before, last) = (values[i - 1], values[i]);
            let interval = times[i] - times[i - 1];
            if interval == 0 {
                return None;
            }
            if starts.overlaps(i) {
                remarks.start_time_overlap();
            }
            let reset = rate && (last < before || starts.reset(i));
            let difference = if reset { last } else { last - before };
            Some(Cell::Float(if rate { difference / (interval as f64 / 1000.0) } else { difference }))
        }
        2 => {
            let points = window.histograms();
            let starts = StartTimes::new(histogram_times, if rate { window.histogram_start_times() } else { &[] });
            let i = histograms - 1;
            let interval = histogram_times[i] - histogram_times[i - 1];
            if interval == 0 {
                return None;
            }
            if starts.overlaps(i) {
                remarks.start_time_overlap();
            }
            instantaneous_histogram(points, i, rate, interval, &starts, remarks)
        }
        _ => {
            remarks.mixed_floats_histograms();
            None
        }
    }
}

fn instantaneous_histogram(
    points: &[Arc<FloatHistogram>],
    i: usize,
    rate: bool,
    interval_ms: i64,
    starts: &StartTimes<'_>,
    remarks: &mut Remarks<'_>,
) -> Option<Cell> {
    let (before, last) = (&points[i - 1], &points[i]);
    let gauges = [before, last].map(|h| h.counter_reset_hint == CounterResetHint::Gauge);
    if rate && gauges.contains(&true) {
        remarks.not_a_counter();
    }
    if !rate && gauges.contains(&false) {
        remarks.not_a_gauge();
    }
    let mut difference = FloatHistogram::clone(last);
    if !rate || !is_reset(points, i, starts) {
        match difference.sub(before) {
            Ok(reconciled) if reconciled.custom_bounds => remarks.bounds_reconciled("subtraction"),
            Ok(_) => {}
            Err(_) => {
                remarks.mixed_schemas();
                return None;
            }
        }
    }
    difference.counter_reset_hint = CounterResetHint::Gauge;
    difference.compact(0);
    if rate {
        difference.div(interval_ms as f64 / 1000.0);
    }
    Some(Cell::Histogram(Arc::new(difference)))
}
