//! Walks a request, finds the series of each point through the cache, and hands samples to the sink.

use crate::context::{MetricContext, ResourceContext, ScopeContext, kind_number, metric_refusal};
use crate::labels::{LabelRules, LabelsError, freeze};
use crate::points::Pass;
use crate::wire::{Metric, MetricData, ResourceMetrics, ScopeMetrics, resource_metrics};
use crate::{Metadata, Options, OtlpError, Refused, SeriesCache, Sink, TargetInfo, Translation};
use mytsdb_intake::{Found, Shard, chain, chain_number};
use mytsdb_model::{FamilyKind, LABEL_NAME};
use std::sync::Arc;

/// Tells `target_info` from data points in fingerprints.
const TARGET_INFO: u128 = u128::from_le_bytes(*b"target_info\0\0\0\0\0");

/// Translates requests; shared by all of them.
///
/// A point that the cache knows costs a hash of its encoded attributes and a compare; nothing is decoded or allocated.
#[derive(Debug)]
pub struct Translator {
    pub(crate) options: Options,
    pub(crate) rules: LabelRules,
    pub(crate) cache: Arc<SeriesCache>,
    pub(crate) metadata: Arc<Metadata>,
}

impl Translator {
    /// A translator with an empty cache.
    pub fn new(options: Options) -> Self {
        let metadata = Arc::new(Metadata::new(options.metadata_families_max));
        Self::with_metadata(options, metadata)
    }

    /// A translator with an empty cache, and metadata that somebody else keeps.
    pub fn with_metadata(options: Options, metadata: Arc<Metadata>) -> Self {
        Self {
            rules: LabelRules::from(&options),
            cache: Arc::new(SeriesCache::new(options.cache_entries_max)),
            metadata,
            options,
        }
    }

    /// The settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What is known of metric families; shared with the translations of other protocols.
    pub fn metadata(&self) -> &Arc<Metadata> {
        &self.metadata
    }

    /// The series cache; shared with the translations of other protocols, so that there is one bound for all.
    pub fn cache(&self) -> &Arc<SeriesCache> {
        &self.cache
    }

    /// Translates the bytes of an `ExportMetricsServiceRequest`. `epoch` is the engine's, read before the call.
    ///
    /// Every point has its own outcome: its samples all reach the sink, or none does and it is counted as refused.
    ///
    /// # Errors
    /// [`OtlpError`] if the bytes are not such a request; the caller then drops what the sink has taken.
    pub fn translate<S: Sink>(&self, request: &[u8], epoch: u64, sink: &mut S) -> Result<Translation, OtlpError> {
        let epoch = self.cache.begin(epoch);
        let mut pass = Pass::new(self, epoch, sink);
        for message in resource_metrics(request) {
            let message = ResourceMetrics::parse(message?)?;
            translate_resource(&mut pass, &message)?;
        }
        Ok(pass.out)
    }
}

fn translate_resource<S: Sink>(pass: &mut Pass<'_, S>, message: &ResourceMetrics<'_>) -> Result<(), OtlpError> {
    let translator = pass.translator;
    let seed = u128::from(translator.options.fingerprint_seed);
    let resource = ResourceContext::new(&message.resource, chain(seed, &message.resource));
    let mut shard = translator.cache.shard(resource.fingerprint);
    let accepted_before = pass.out.accepted_points;
    for scope_metrics in message.scope_metrics() {
        let scope_metrics = ScopeMetrics::parse(scope_metrics?)?;
        let scope = if translator.options.promote_scope_metadata {
            let fingerprint = chain(chain(resource.fingerprint, &scope_metrics.scope), scope_metrics.schema_url);
            ScopeContext::new(Some((&scope_metrics.scope, scope_metrics.schema_url)), fingerprint)
        } else {
            ScopeContext::new(None, resource.fingerprint)
        };
        for metric in scope_metrics.metrics() {
            let metric = Metric::parse(metric?)?;
            translate_metric(pass, &mut shard, &resource, &scope, &metric)?;
        }
    }
    let described = translator.options.target_info && pass.out.accepted_points > accepted_before;
    let target_info = if described { target_info(pass, &mut shard, &resource)? } else { None };
    pass.sink.end_resource(target_info);
    Ok(())
}

fn translate_metric<S: Sink>(
    pass: &mut Pass<'_, S>,
    shard: &mut Shard,
    resource: &ResourceContext<'_>,
    scope: &ScopeContext<'_>,
    metric: &Metric<'_>,
) -> Result<(), OtlpError> {
    if let Some(refused) = metric_refusal(&pass.translator.options, metric) {
        return refuse_all(pass, metric, &refused);
    }
    let named = chain(scope.fingerprint, metric.name);
    // The kind's number and the unit are one hash: the unit is short and the number goes in front of it.
    let fingerprint = chain(named ^ u128::from(kind_number(metric.data)), metric.unit);
    let context = MetricContext::new(metric, fingerprint);
    let points_before = pass.points_seen;
    match metric.data {
        MetricData::Gauge | MetricData::Sum { .. } => pass.number_points(shard, resource, scope, &context)?,
        MetricData::Histogram { .. } if pass.translator.options.custom_bucket_histograms => {
            pass.native_points(shard, resource, scope, &context)?;
        }
        MetricData::Histogram { .. } => pass.histogram_points(shard, resource, scope, &context)?,
        MetricData::ExponentialHistogram { .. } => pass.native_points(shard, resource, scope, &context)?,
        MetricData::Summary => pass.summary_points(shard, resource, scope, &context)?,
        MetricData::None => unreachable!("refused above"),
    }
    if pass.points_seen == points_before {
        pass.out.warn(&format!("metric {:?} has no data points", context.shown_name()));
    }
    Ok(())
}

/// Counts the points of a metric none of which is taken.
fn refuse_all<S: Sink>(pass: &mut Pass<'_, S>, metric: &Metric<'_>, refused: &Refused) -> Result<(), OtlpError> {
    let mut count = 0;
    for point in metric.points() {
        point?;
        count += 1;
    }
    pass.points_seen += count;
    if count == 0 {
        pass.out.warn(&refused.message);
    }
    pass.out.refused.add(refused.reason, count, &refused.message);
    Ok(())
}

/// The series that describes the resource, if it has anything to say.
fn target_info<S: Sink>(
    pass: &mut Pass<'_, S>,
    shard: &mut Shard,
    resource: &ResourceContext<'_>,
) -> Result<Option<TargetInfo>, OtlpError> {
    let key = chain_number(resource.fingerprint, TARGET_INFO);
    match shard.find(key, pass.epoch) {
        Found::Current(slot) => shard.read(slot, &mut pass.refs),
        found => {
            if let Err(refused) = resolve_target_info(pass, shard, resource, key, found)? {
                pass.out.warn(&format!("target_info: {refused}"));
                return Ok(None);
            }
        }
    }
    let step_ms = (pass.translator.options.lookback_ms / 2).max(1);
    Ok(pass.refs.first().map(|&series| TargetInfo { series, step_ms }))
}

/// Leaves the reference of the resource's `target_info` in `pass.refs`, or nothing if it has none.
fn resolve_target_info<S: Sink>(
    pass: &mut Pass<'_, S>,
    shard: &mut Shard,
    resource: &ResourceContext<'_>,
    key: u128,
    found: Found,
) -> Result<Result<(), Refused>, OtlpError> {
    if let Found::Old(slot) = found {
        shard.read(slot, &mut pass.refs);
        if pass.refs.iter().all(|series| pass.sink.touch(*series)) {
            shard.renew(slot, pass.epoch);
            return Ok(Ok(()));
        }
    }
    let translator = pass.translator;
    let out = &mut pass.out;
    let labels = resource
        .labels(&translator.rules)
        .and_then(|labels| labels.target_info(&translator.rules, &mut |warning| out.warn(warning)));
    let labels = match labels {
        Ok(labels) => labels,
        Err(LabelsError::Malformed(error)) => return Err(error),
        Err(LabelsError::Refused(refused)) => return Ok(Err(refused)),
    };
    pass.refs.clear();
    if let Some(labels) = labels {
        let namespace = &translator.options.namespace;
        let name = if namespace.is_empty() { "target_info".to_owned() } else { format!("{namespace}_target_info") };
        let resolved = freeze(&translator.options.limits, &labels, &[(LABEL_NAME, &name)])
            .and_then(|labels| pass.sink.resolve(&labels));
        match resolved {
            Ok(series) => pass.refs.push(series),
            Err(refused) => return Ok(Err(refused)),
        }
        translator.metadata.record(&name, FamilyKind::Gauge, "Target metadata", "");
    }
    match found {
        Found::Old(slot) => shard.replace(slot, &pass.refs, pass.epoch),
        _ => translator.cache.insert(shard, key, &pass.refs, pass.epoch),
    }
    Ok(Ok(()))
}
