//! The points of one metric, kind by kind: value, series, samples.

use crate::context::{MetricContext, ResourceContext, ScopeContext, temporality};
use crate::exemplars::exemplars;
use crate::labels::{LabelsError, freeze, point_labels};
use crate::wire::{
    AttributeRun, Attributes, HistogramPoint, MetricData, NO_RECORDED_VALUE, NumberPoint, SummaryPoint, Temporality,
    gather_attributes,
};
use crate::{DeltaMode, OtlpError, PointLimit, RefusalReason, Refused, Sink, Translation, Translator};
use mytsdb_intake::{Found, Shard, chain, chain_number};
use mytsdb_model::{FamilyKind, LABEL_NAME, SeriesRef, stale_nan};

/// Nanoseconds to milliseconds, rounded down; every `u64` fits.
#[inline]
pub(crate) fn to_ms(time_unix_nano: u64) -> i64 {
    (time_unix_nano / 1_000_000) as i64
}

/// One call of [`Translator::translate`].
pub(crate) struct Pass<'a, S> {
    pub translator: &'a Translator,
    pub epoch: u32,
    pub sink: &'a mut S,
    pub out: Translation,
    /// Points of all kinds and outcomes so far.
    pub points_seen: u64,
    /// The series of the current point, in the order of its samples.
    pub refs: Vec<SeriesRef>,
    /// Attributes of a point that has them scattered.
    gathered: Vec<u8>,
    /// `(quantile, value)` of the current summary point.
    quantiles: Vec<(f64, f64)>,
}

/// What a point needs of its metric, scope and resource.
pub(crate) struct Place<'a> {
    pub resource: &'a ResourceContext<'a>,
    pub scope: &'a ScopeContext<'a>,
    pub metric: &'a MetricContext<'a>,
}

/// The series that one point fans out to, in the order of its samples.
pub(crate) enum Shape<'a> {
    /// One series of the family's name: numbers and native histograms.
    Single,
    /// `sum?`, `count`, one per bound, `+Inf`.
    Histogram { has_sum: bool, bounds: &'a [u8] },
    /// `sum`, `count`, one per quantile.
    Summary { quantiles: &'a [(f64, f64)] },
}

impl<'a, S: Sink> Pass<'a, S> {
    pub fn new(translator: &'a Translator, epoch: u32, sink: &'a mut S) -> Self {
        Self {
            translator,
            epoch,
            sink,
            out: Translation::default(),
            points_seen: 0,
            refs: Vec::new(),
            gathered: Vec::new(),
            quantiles: Vec::new(),
        }
    }

    /// Gauge and sum points: one sample each.
    pub fn number_points(
        &mut self,
        shard: &mut Shard,
        resource: &ResourceContext<'_>,
        scope: &ScopeContext<'_>,
        metric: &MetricContext<'_>,
    ) -> Result<(), OtlpError> {
        let place = Place { resource, scope, metric };
        // A gauge has no observations, so it has no exemplars.
        let keeps_exemplars = matches!(metric.metric.data, MetricData::Sum { .. });
        let accumulated = self.is_accumulated(metric);
        for bytes in metric.metric.points() {
            let bytes = bytes?;
            let point = NumberPoint::parse(bytes)?;
            self.points_seen += 1;
            let value = match point.value {
                _ if point.flags & NO_RECORDED_VALUE != 0 => stale_nan(),
                Some(value) => value.as_f64(),
                None if self.translator.options.missing_value_is_zero => 0.0,
                None => {
                    self.refuse_named(&place, RefusalReason::Invalid, "data point has no value");
                    continue;
                }
            };
            let series = if point.attributes.scattered {
                self.slow_number(shard, &place, bytes)?
            } else {
                let key = chain(metric.fingerprint, point.attributes.bytes);
                match shard.find(key, self.epoch) {
                    Found::Current(slot) => Some(shard.single(slot)),
                    found => self.resolve_number(shard, &place, key, found, point.attributes.decode())?,
                }
            };
            if let Some(series) = series {
                let timestamp_ms = to_ms(point.time_unix_nano);
                let start_ms = to_ms(point.start_time_unix_nano);
                if accumulated && point.flags & NO_RECORDED_VALUE == 0 {
                    self.sink.append_delta(series, timestamp_ms, start_ms, value);
                } else {
                    self.sink.append(series, timestamp_ms, start_ms, value);
                }
                if point.has_exemplars && keeps_exemplars && self.sink.wants_exemplars() {
                    self.exemplars(bytes, NumberPoint::EXEMPLARS, |_| Some(series))?;
                }
                self.accept();
            }
        }
        Ok(())
    }

    /// Whether the points of a metric are deltas that the store adds up.
    pub(crate) fn is_accumulated(&self, metric: &MetricContext<'_>) -> bool {
        self.translator.options.delta == DeltaMode::Accumulate
            && temporality(metric.metric.data) == Some(Temporality::Delta)
    }

    /// Hands the exemplars of the current point to the sink.
    pub(crate) fn exemplars(
        &mut self,
        point: &[u8],
        field: u32,
        series: impl Fn(f64) -> Option<SeriesRef>,
    ) -> Result<(), OtlpError> {
        for exemplar in exemplars(&self.translator.options.limits, point, field, series)? {
            self.sink.append_exemplar(exemplar);
        }
        Ok(())
    }

    #[cold]
    fn slow_number(
        &mut self,
        shard: &mut Shard,
        place: &Place<'_>,
        point: &[u8],
    ) -> Result<Option<SeriesRef>, OtlpError> {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        gather_attributes(point, NumberPoint::ATTRIBUTES, &mut gathered)?;
        let key = chain(place.metric.fingerprint, &gathered);
        let series = match shard.find(key, self.epoch) {
            Found::Current(slot) => Some(shard.single(slot)),
            found => {
                let attributes = Attributes::new(&gathered, NumberPoint::ATTRIBUTES);
                self.resolve_number(shard, place, key, found, attributes)?
            }
        };
        self.gathered = gathered;
        Ok(series)
    }

    #[cold]
    fn resolve_number(
        &mut self,
        shard: &mut Shard,
        place: &Place<'_>,
        key: u128,
        found: Found,
        attributes: Attributes<'_>,
    ) -> Result<Option<SeriesRef>, OtlpError> {
        let resolved = self.resolve(shard, place, key, found, attributes, &Shape::Single)?;
        Ok(if resolved { self.refs.first().copied() } else { None })
    }

    /// Histogram points with explicit bounds: sum, count and cumulative buckets.
    pub fn histogram_points(
        &mut self,
        shard: &mut Shard,
        resource: &ResourceContext<'_>,
        scope: &ScopeContext<'_>,
        metric: &MetricContext<'_>,
    ) -> Result<(), OtlpError> {
        let place = Place { resource, scope, metric };
        let accumulated = self.is_accumulated(metric);
        // Neighbours have the same bounds: compare bytes instead of hashing them again.
        let mut last_bounds: (Vec<u8>, u128) = (Vec::new(), chain(0, &[]));
        for bytes in metric.metric.points() {
            let bytes = bytes?;
            let point = HistogramPoint::parse(bytes)?;
            self.points_seen += 1;
            let mut bound_count = point.explicit_bounds.len().min(point.bucket_counts.len());
            if bound_count > 0 && point.explicit_bounds.doubles().nth(bound_count - 1) == Some(f64::INFINITY) {
                // An explicit last bound of infinity is the bucket that holds everything.
                bound_count -= 1;
            }
            let limit = self.translator.options.limits.bucket_count_max;
            if bound_count + 1 > limit {
                self.refuse_buckets(&place, &format!("histogram point has {} buckets", bound_count + 1));
                continue;
            }
            let bounds = &point.explicit_bounds.as_bytes()[..8 * bound_count];
            if last_bounds.0 != bounds {
                last_bounds = (bounds.to_vec(), chain(0, bounds));
            }
            let has_sum = point.sum.is_some();
            let shape_key = last_bounds.1 ^ u128::from(has_sum);
            let shape = Shape::Histogram { has_sum, bounds };
            if !self.find_series(shard, &place, bytes, point.attributes, shape_key, &shape)? {
                continue;
            }
            let (timestamp_ms, start_ms) = (to_ms(point.time_unix_nano), to_ms(point.start_time_unix_nano));
            let stale = point.flags & NO_RECORDED_VALUE != 0;
            let mut refs = self.refs.iter().copied();
            let mut append = |value: f64| {
                let series = refs.next().expect("as many series as samples: both follow from the shape");
                if accumulated && !stale {
                    self.sink.append_delta(series, timestamp_ms, start_ms, value);
                } else {
                    self.sink.append(series, timestamp_ms, start_ms, if stale { stale_nan() } else { value });
                }
            };
            if let Some(sum) = point.sum {
                append(sum);
            }
            append(point.count as f64);
            let mut cumulative = 0u64;
            for count in point.bucket_counts.iter().take(bound_count) {
                cumulative = cumulative.wrapping_add(count);
                append(cumulative as f64);
            }
            append(point.count as f64);
            if point.has_exemplars && self.sink.wants_exemplars() {
                self.bucket_exemplars(bytes, &point, bound_count, has_sum)?;
            }
            self.accept();
        }
        Ok(())
    }

    /// An exemplar belongs to the first bucket whose bound is not below its value.
    fn bucket_exemplars(
        &mut self,
        bytes: &[u8],
        point: &HistogramPoint<'_>,
        bound_count: usize,
        has_sum: bool,
    ) -> Result<(), OtlpError> {
        let refs = std::mem::take(&mut self.refs);
        let buckets = &refs[1 + usize::from(has_sum)..];
        let bucket = |value: f64| {
            let below = point.explicit_bounds.doubles().take(bound_count).take_while(|bound| *bound < value).count();
            buckets.get(if value.is_nan() { bound_count } else { below }).copied()
        };
        let done = self.exemplars(bytes, HistogramPoint::EXEMPLARS, bucket);
        self.refs = refs;
        done
    }

    /// Summary points: sum, count and quantiles.
    pub fn summary_points(
        &mut self,
        shard: &mut Shard,
        resource: &ResourceContext<'_>,
        scope: &ScopeContext<'_>,
        metric: &MetricContext<'_>,
    ) -> Result<(), OtlpError> {
        let place = Place { resource, scope, metric };
        for bytes in metric.metric.points() {
            let bytes = bytes?;
            let point = SummaryPoint::parse(bytes)?;
            self.points_seen += 1;
            let mut quantiles = std::mem::take(&mut self.quantiles);
            quantiles.clear();
            let mut shape_key = 0;
            for pair in point.quantiles() {
                let (quantile, value) = pair?;
                shape_key = chain_number(shape_key, u128::from(quantile.to_bits()));
                quantiles.push((quantile, value));
            }
            let limit = self.translator.options.limits.bucket_count_max;
            let found = if quantiles.len() > limit {
                self.refuse_buckets(&place, &format!("summary point has {} quantiles", quantiles.len()));
                false
            } else {
                let shape = Shape::Summary { quantiles: &quantiles };
                self.find_series(shard, &place, bytes, point.attributes, shape_key, &shape)?
            };
            if found {
                let (timestamp_ms, start_ms) = (to_ms(point.time_unix_nano), to_ms(point.start_time_unix_nano));
                let stale = point.flags & NO_RECORDED_VALUE != 0;
                let values =
                    [point.sum, point.count as f64].into_iter().chain(quantiles.iter().map(|(_, value)| *value));
                for (series, value) in self.refs.iter().zip(values) {
                    self.sink.append(*series, timestamp_ms, start_ms, if stale { stale_nan() } else { value });
                }
                self.accept();
            }
            self.quantiles = quantiles;
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn accept(&mut self) {
        self.sink.end_point();
        self.out.accepted_points += 1;
    }

    fn refuse(&mut self, refused: &Refused) {
        self.out.refused.add(refused.reason, 1, &refused.message);
    }

    #[cold]
    pub(crate) fn refuse_named(&mut self, place: &Place<'_>, reason: RefusalReason, what: &str) {
        let message = format!("metric {:?}: {what}", place.metric.shown_name());
        self.out.refused.add(reason, 1, &message);
    }

    /// Refuses a point of too many buckets or quantiles.
    #[cold]
    fn refuse_buckets(&mut self, place: &Place<'_>, what: &str) {
        let refused = self.translator.options.limits.over(PointLimit::Buckets, what);
        self.refuse_named(place, refused.reason, &refused.message);
    }

    /// Leaves the series of a point of several samples in `self.refs`; false if the point is refused.
    pub(crate) fn find_series(
        &mut self,
        shard: &mut Shard,
        place: &Place<'_>,
        point: &[u8],
        attributes: AttributeRun<'_>,
        shape_key: u128,
        shape: &Shape<'_>,
    ) -> Result<bool, OtlpError> {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        let run = if attributes.scattered {
            gather_attributes(point, attributes.field, &mut gathered)?;
            gathered.as_slice()
        } else {
            attributes.bytes
        };
        let key = chain_number(chain(place.metric.fingerprint, run), shape_key);
        let resolved = match shard.find(key, self.epoch) {
            Found::Current(slot) => {
                shard.read(slot, &mut self.refs);
                true
            }
            found => self.resolve(shard, place, key, found, Attributes::new(run, attributes.field), shape)?,
        };
        self.gathered = gathered;
        Ok(resolved)
    }

    /// Leaves the series of a point that the cache does not know, or knows from another epoch, in `self.refs` and in
    /// the cache; false if the point is refused, which it then counts.
    fn resolve(
        &mut self,
        shard: &mut Shard,
        place: &Place<'_>,
        key: u128,
        found: Found,
        attributes: Attributes<'_>,
        shape: &Shape<'_>,
    ) -> Result<bool, OtlpError> {
        if let Found::Old(slot) = found {
            shard.read(slot, &mut self.refs);
            if self.refs.iter().all(|series| self.sink.touch(*series)) {
                shard.renew(slot, self.epoch);
                self.record_metadata(place);
                return Ok(true);
            }
        }
        match self.resolve_anew(place, attributes, shape) {
            Ok(()) => {}
            Err(LabelsError::Malformed(error)) => return Err(error),
            Err(LabelsError::Refused(refused)) => {
                self.refuse(&refused);
                return Ok(false);
            }
        }
        match found {
            Found::Old(slot) => shard.replace(slot, &self.refs, self.epoch),
            _ => self.translator.cache.insert(shard, key, &self.refs, self.epoch),
        }
        self.record_metadata(place);
        Ok(true)
    }

    fn record_metadata(&self, place: &Place<'_>) {
        // A name that cannot be translated has no series, so there is nothing to describe.
        if let Ok(family) = place.metric.family(&self.translator.options) {
            self.translator.metadata.record(&family.name, family.kind, &family.help, &family.unit);
        }
    }

    fn resolve_anew(
        &mut self,
        place: &Place<'_>,
        attributes: Attributes<'_>,
        shape: &Shape<'_>,
    ) -> Result<(), LabelsError> {
        let translator = self.translator;
        let family = place.metric.family(&translator.options)?;
        // What is wrong with attributes is told with the metric whose point is refused for it.
        let named = |error: LabelsError| error.named(|| place.metric.shown_name());
        let resource = place.resource.labels(&translator.rules).map_err(named)?;
        let scope = place.scope.labels(&translator.rules).map_err(named)?;
        let out = &mut self.out;
        let base = point_labels(&translator.rules, resource, scope, attributes, &mut |warning| out.warn(warning))
            .map_err(named)?;
        let limits = &translator.options.limits;
        self.refs.clear();
        let (sink, refs) = (&mut *self.sink, &mut self.refs);
        let described = translator.options.type_and_unit_labels;
        let kind = if described && family.kind != FamilyKind::Unknown { family.kind.as_str() } else { "" };
        let unit = if described { family.unit.as_str() } else { "" };
        let mut add = |suffix: &str, special: Option<(&str, &str)>| {
            let name = format!("{}{suffix}", family.name);
            // An empty value is no label and hides no label of the point.
            let fixed =
                [Some((LABEL_NAME, name.as_str())), Some(("__type__", kind)), Some(("__unit__", unit)), special];
            let fixed: Vec<_> = fixed.into_iter().flatten().filter(|(_, value)| !value.is_empty()).collect();
            let labels = freeze(limits, &base, &fixed);
            refs.push(labels.and_then(|labels| sink.resolve(&labels)).map_err(LabelsError::Refused)?);
            Ok::<(), LabelsError>(())
        };
        match shape {
            Shape::Single => add("", None)?,
            Shape::Histogram { has_sum, bounds } => {
                let bounds: Vec<f64> = bounds.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
                if bounds.iter().any(|b| !b.is_finite()) || !bounds.is_sorted_by(|a, b| a < b) {
                    let message =
                        format!("metric {:?}: explicit bounds are not finite and ascending", place.metric.shown_name());
                    return Err(LabelsError::Refused(Refused::new(RefusalReason::Invalid, message)));
                }
                if *has_sum {
                    add("_sum", None)?;
                }
                add("_count", None)?;
                for bound in bounds {
                    add("_bucket", Some(("le", &bound.to_string())))?;
                }
                add("_bucket", Some(("le", "+Inf")))?;
            }
            Shape::Summary { quantiles } => {
                add("_sum", None)?;
                add("_count", None)?;
                for (quantile, _) in *quantiles {
                    add("", Some(("quantile", &quantile.to_string())))?;
                }
            }
        }
        Ok(())
    }
}
