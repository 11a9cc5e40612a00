//! Points that become native histograms: one sample each.

use crate::context::{MetricContext, ResourceContext, ScopeContext, temporality};
use crate::histograms::{as_gauge, custom_histogram, exponential_histogram};
use crate::points::{Pass, Place, Shape, to_ms};
use crate::wire::{AttributeRun, ExponentialPoint, HistogramPoint, Temporality};
use crate::{OtlpError, RefusalReason, Sink};
use mytsdb_histogram::FloatHistogram;
use mytsdb_intake::Shard;

/// A point whose histogram is made, or the sentence that refuses it.
struct NativePoint<'a> {
    bytes: &'a [u8],
    attributes: AttributeRun<'a>,
    start_time_unix_nano: u64,
    time_unix_nano: u64,
    /// The field of its exemplars, if it has any.
    exemplars: Option<u32>,
    histogram: Result<FloatHistogram, String>,
}

impl<S: Sink> Pass<'_, S> {
    /// Histogram points with exponential buckets.
    pub fn exponential_points(
        &mut self,
        shard: &mut Shard,
        resource: &ResourceContext<'_>,
        scope: &ScopeContext<'_>,
        metric: &MetricContext<'_>,
    ) -> Result<(), OtlpError> {
        let place = Place { resource, scope, metric };
        for bytes in metric.metric.points() {
            let bytes = bytes?;
            let point = ExponentialPoint::parse(bytes)?;
            self.points_seen += 1;
            if !self.buckets_fit(&place, point.positive.len().saturating_add(point.negative.len())) {
                continue;
            }
            let native = NativePoint {
                bytes,
                attributes: point.attributes,
                start_time_unix_nano: point.start_time_unix_nano,
                time_unix_nano: point.time_unix_nano,
                exemplars: point.has_exemplars.then_some(ExponentialPoint::EXEMPLARS),
                histogram: exponential_histogram(&point),
            };
            self.native_point(shard, &place, native)?;
        }
        Ok(())
    }

    /// Histogram points with explicit bounds, as custom buckets.
    pub fn custom_histogram_points(
        &mut self,
        shard: &mut Shard,
        resource: &ResourceContext<'_>,
        scope: &ScopeContext<'_>,
        metric: &MetricContext<'_>,
    ) -> Result<(), OtlpError> {
        let place = Place { resource, scope, metric };
        for bytes in metric.metric.points() {
            let bytes = bytes?;
            let point = HistogramPoint::parse(bytes)?;
            self.points_seen += 1;
            if !self.buckets_fit(&place, point.bucket_counts.len().max(point.explicit_bounds.len())) {
                continue;
            }
            let native = NativePoint {
                bytes,
                attributes: point.attributes,
                start_time_unix_nano: point.start_time_unix_nano,
                time_unix_nano: point.time_unix_nano,
                exemplars: point.has_exemplars.then_some(HistogramPoint::EXEMPLARS),
                histogram: custom_histogram(&point),
            };
            self.native_point(shard, &place, native)?;
        }
        Ok(())
    }

    /// Whether a point of `buckets` buckets is within the limit; it is refused if not.
    fn buckets_fit(&mut self, place: &Place<'_>, buckets: usize) -> bool {
        let limit = self.translator.options.limits.bucket_count_max;
        if buckets > limit {
            let message =
                format!("histogram point has {buckets} buckets, the limit is {limit} (--max-buckets-per-point)");
            self.refuse_named(place, RefusalReason::Limit, &message);
        }
        buckets <= limit
    }

    fn native_point(&mut self, shard: &mut Shard, place: &Place<'_>, point: NativePoint<'_>) -> Result<(), OtlpError> {
        let mut histogram = match point.histogram {
            Ok(histogram) => histogram,
            Err(message) => {
                self.refuse_named(place, RefusalReason::Invalid, &message);
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
