//! What is computed once per resource, scope and metric, and only if a point of it is not in the cache.

use crate::labels::{LabelList, LabelRules, LabelsError, ResourceLabels, scope_labels};
use crate::metric_name::{metadata_unit, metric_name};
use crate::wire::{Metric, MetricData, Temporality};
use crate::{DeltaMode, Options, RefusalReason, Refused};
use mytsdb_model::FamilyKind;
use std::cell::OnceCell;

/// A value that is worked out at first use; malformed bytes fail the request, a refusal is kept for all its points.
type Lazy<T> = OnceCell<Result<T, Refused>>;

fn get<T>(cell: &Lazy<T>, make: impl FnOnce() -> Result<T, LabelsError>) -> Result<&T, LabelsError> {
    if cell.get().is_none() {
        let made = match make() {
            Ok(value) => Ok(value),
            Err(LabelsError::Refused(refused)) => Err(refused),
            Err(malformed @ LabelsError::Malformed(_)) => return Err(malformed),
        };
        // Nobody else holds the cell, so it is still empty and takes the value.
        return cell.get_or_init(|| made).as_ref().map_err(|refused| LabelsError::Refused(refused.clone()));
    }
    cell.get().expect("it was just seen").as_ref().map_err(|refused| LabelsError::Refused(refused.clone()))
}

/// One `ResourceMetrics`.
pub(crate) struct ResourceContext<'a> {
    pub bytes: &'a [u8],
    pub fingerprint: u128,
    labels: Lazy<ResourceLabels>,
}

impl<'a> ResourceContext<'a> {
    pub fn new(bytes: &'a [u8], fingerprint: u128) -> Self {
        Self { bytes, fingerprint, labels: OnceCell::new() }
    }

    pub fn labels(&self, rules: &LabelRules) -> Result<&ResourceLabels, LabelsError> {
        get(&self.labels, || ResourceLabels::new(rules, self.bytes))
    }
}

/// One `ScopeMetrics`.
pub(crate) struct ScopeContext<'a> {
    /// Scope and schema URL, if scopes are promoted.
    pub promoted: Option<(&'a [u8], &'a [u8])>,
    /// Covers the resource, and the scope if it is promoted.
    pub fingerprint: u128,
    labels: Lazy<LabelList>,
}

impl<'a> ScopeContext<'a> {
    pub fn new(promoted: Option<(&'a [u8], &'a [u8])>, fingerprint: u128) -> Self {
        Self { promoted, fingerprint, labels: OnceCell::new() }
    }

    pub fn labels(&self, rules: &LabelRules) -> Result<&LabelList, LabelsError> {
        get(&self.labels, || match self.promoted {
            Some((scope, schema_url)) => scope_labels(rules, scope, schema_url),
            None => Ok(LabelList::new()),
        })
    }
}

/// The family a metric's series belong to.
#[derive(Debug)]
pub(crate) struct Family {
    pub name: String,
    pub kind: FamilyKind,
    pub help: String,
    pub unit: String,
}

/// One `Metric`.
pub(crate) struct MetricContext<'a> {
    pub metric: &'a Metric<'a>,
    /// Covers the scope's, and everything the series' names depend on.
    pub fingerprint: u128,
    family: Lazy<Family>,
}

impl<'a> MetricContext<'a> {
    pub fn new(metric: &'a Metric<'a>, fingerprint: u128) -> Self {
        Self { metric, fingerprint, family: OnceCell::new() }
    }

    pub fn family(&self, options: &Options) -> Result<&Family, LabelsError> {
        get(&self.family, || family(options, self.metric).map_err(LabelsError::Refused))
    }

    /// The name as far as a message can show it.
    pub fn shown_name(&self) -> String {
        shown(self.metric.name)
    }
}

/// Text of unknown quality for a message: cut at 128 bytes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).into_owned()
}

fn family(options: &Options, metric: &Metric<'_>) -> Result<Family, Refused> {
    let text = |what: &str, bytes| {
        std::str::from_utf8(bytes).map_err(|_| {
            let message = format!("{what} of metric {:?} is not UTF-8", shown(metric.name));
            Refused::new(RefusalReason::Invalid, message)
        })
    };
    let (name, unit) = (text("name", metric.name)?, text("unit", metric.unit)?);
    // The help text names no series, and points that the cache knows never look at it: it cannot be a reason to refuse.
    let help = String::from_utf8_lossy(metric.description).into_owned();
    let name = metric_name(options.strategy, &options.namespace, name, unit, metric.data.into())
        .map_err(|message| Refused::new(RefusalReason::Invalid, message))?;
    Ok(Family { name, kind: family_kind(options, metric.data), help, unit: metadata_unit(options.strategy, unit) })
}

/// The temporality of the points, for kinds that have one.
pub(crate) fn temporality(data: MetricData) -> Option<Temporality> {
    match data {
        MetricData::Sum { temporality, .. }
        | MetricData::Histogram { temporality }
        | MetricData::ExponentialHistogram { temporality } => Some(temporality),
        MetricData::Gauge | MetricData::Summary | MetricData::None => None,
    }
}

/// Prometheus has no metric type for deltas that are kept as they are.
fn family_kind(options: &Options, data: MetricData) -> FamilyKind {
    if options.delta == DeltaMode::Keep && temporality(data) == Some(Temporality::Delta) {
        return FamilyKind::Unknown;
    }
    match data {
        MetricData::None => FamilyKind::Unknown,
        MetricData::Sum { monotonic: true, .. } => FamilyKind::Counter,
        MetricData::Sum { .. } | MetricData::Gauge => FamilyKind::Gauge,
        MetricData::Histogram { .. } | MetricData::ExponentialHistogram { .. } => FamilyKind::Histogram,
        MetricData::Summary => FamilyKind::Summary,
    }
}

/// Why no point of a metric is taken, whatever the points hold.
pub(crate) fn metric_refusal(options: &Options, metric: &Metric<'_>) -> Option<Refused> {
    let name = || shown(metric.name);
    if metric.data == MetricData::None {
        let message =
            format!("could not get aggregation temporality for {} as it has unsupported metric type Empty", name());
        return Some(Refused::new(RefusalReason::Unsupported, message));
    }
    let temporality = temporality(metric.data)?;
    let hint = match temporality {
        Temporality::Cumulative => "",
        Temporality::Delta if options.delta != DeltaMode::Refuse => "",
        Temporality::Delta => ": delta is not accepted (--otlp-delta)",
        Temporality::Unspecified => ": temporality is unspecified",
    };
    if !hint.is_empty() {
        let message = format!("invalid temporality and type combination for metric {:?}{hint}", name());
        return Some(Refused::new(RefusalReason::Temporality, message));
    }
    None
}

/// A kind as a number, for fingerprints.
pub(crate) fn kind_number(data: MetricData) -> u8 {
    let temporality_number = |t| match t {
        Temporality::Unspecified => 0,
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    };
    match data {
        MetricData::None => 0,
        MetricData::Gauge => 1,
        MetricData::Summary => 2,
        MetricData::Sum { temporality, monotonic } => 16 + 8 * u8::from(monotonic) + temporality_number(temporality),
        MetricData::Histogram { temporality } => 32 + temporality_number(temporality),
        MetricData::ExponentialHistogram { temporality } => 48 + temporality_number(temporality),
    }
}
