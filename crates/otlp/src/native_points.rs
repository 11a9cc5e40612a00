//! Points that become native histograms: one sample each.

use crate::context::{MetricContext, ResourceContext, ScopeContext, temporality};
use crate::histograms::{as_gauge, custom_histogram, exponential_histogram};
use crate::points::{Pass, Place, Shape, to_ms};
use crate::wire::{AttributeRun, ExponentialPoint, HistogramPoint, MetricData, Temporality};
use crate::{Limits, OtlpError, PointLimit, RefusalReason, Refused, Sink};
use mytsdb_histogram::FloatHistogram;
use mytsdb_intake::Shard;

/// A point whose histogram is made, or that is refused.
struct NativePoint<'a> {
    bytes: &'a [u8],
    attributes: AttributeRun<'a>,
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    /// The field of its exemplars, if it has any.
    exemplars: Option<u32>,
    histogram: Result<FloatHistogram, Refused>,
}

/// Reads an exponential point; its histogram is made only if it has no more buckets than allowed.
fn exponential<'a>(bytes: &'a [u8], limits: &Limits) -> Result<NativePoint<'a>, OtlpError> {
    let point = ExponentialPoint::parse(bytes)?;
    let buckets = point.positive.len().saturating_add(point.negative.len());
    Ok(NativePoint {
        bytes,
        attributes: point.attributes,
        start_time_unix_nano: point.start_time_unix_nano,
        time_unix_nano: point.time_unix_nano,
        exemplars: point.has_exemplars.then_some(ExponentialPoint::EXEMPLARS),
        histogram: within(buckets, limits, || exponential_histogram(&point)),
    })
}

/// The same for a point with explicit bounds, as custom buckets.
fn custom<'a>(bytes: &'a [u8], limits: &Limits) -> Result<NativePoint<'a>, OtlpError> {
    let point = HistogramPoint::parse(bytes)?;
    let buckets = point.bucket_counts.len().max(point.explicit_bounds.len());
    Ok(NativePoint {
        bytes,
        attributes: point.attributes,
        start_time_unix_nano: point.start_time_unix_nano,
        time_unix_nano: point.time_unix_nano,
        exemplars: point.has_exemplars.then_some(HistogramPoint::EXEMPLARS),
        histogram: within(buckets, limits, || custom_histogram(&point)),
    })
}

fn within(
    buckets: usize,
    limits: &Limits,
    make: impl FnOnce() -> Result<FloatHistogram, String>,
) -> Result<FloatHistogram, Refused> {
    if buckets > limits.bucket_count_max {
        return Err(limits.over(PointLimit::Buckets, format_args!("histogram point has {buckets} buckets")));
    }
    make().map_err(|message| Refused::new(RefusalReason::Invalid, message))
}

impl<S: Sink> Pass<'_, S> {
    /// Histogram points that become native histograms: those with exponential buckets, others as custom buckets.
    pub fn native_points(
        &mut self,
        shard: &mut Shard,
        resource: &ResourceContext<'_>,
        scope: &ScopeContext<'_>,
        metric: &MetricContext<'_>,
    ) -> Result<(), OtlpError> {
        let place = Place { resource, scope, metric };
        let read = if matches!(metric.metric.data, MetricData::Histogram { .. }) { custom } else { exponential };
        for bytes in metric.metric.points() {
            let point = read(bytes?, &self.translator.options.limits)?;
            self.points_seen += 1;
            self.native_point(shard, &place, point)?;
        }
        Ok(())
    }

    fn native_point(&mut self, shard: &mut Shard, place: &Place<'_>, point: NativePoint<'_>) -> Result<(), OtlpError> {
        let mut histogram = match point.histogram {
            Ok(histogram) => histogram,
            Err(refused) => {
                self.refuse_named(place, refused.reason, &refused.message);
                return Ok(());
            }
        };
        let is_delta = temporality(place.metric.metric.data) == Some(Temporality::Delta);
        let accumulated = self.is_accumulated(place.metric) && !histogram.is_stale();
        if is_delta && !accumulated {
            histogram = as_gauge(histogram);
        }
        if histogram.count == 0.0 && histogram.sum != 0.0 {
            let name = place.metric.shown_name();
            let sum = histogram.sum;
            self.out.warn(&format!("metric {name:?}: histogram data point has zero count, but non-zero sum: {sum}"));
        }
        if !self.find_series(shard, place, point.bytes, point.attributes, 0, &Shape::Single)? {
            return Ok(());
        }
        let series = self.refs[0];
        let (timestamp_ms, start_ms) = (to_ms(point.time_unix_nano), to_ms(point.start_time_unix_nano));
        if let Err(refused) = self.sink.append_histogram(series, timestamp_ms, start_ms, histogram, accumulated) {
            self.refuse_named(place, refused.reason, &refused.message);
            return Ok(());
        }
        if let Some(field) = point.exemplars
            && self.sink.wants_exemplars()
        {
            self.exemplars(point.bytes, field, |_| Some(series))?;
        }
        self.accept();
        Ok(())
    }
}
