//! Attributes to labels: what a resource, a scope and a point contribute, in which order, within which limits.

use crate::context::shown;
use crate::label_name::LabelNamer;
use crate::wire::{AnyValue, Attributes, Resource, Scope, TextError};
use crate::{Limits, Options, OtlpError, PointLimit, Promotion, RefusalReason, Refused};
use mytsdb_model::{LABEL_NAME, Labels};

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE_ID: &str = "service.instance.id";

/// Names and values by name, ascending; a handful, so a sorted list.
pub(crate) type LabelList = Vec<(String, String)>;

/// What the labels of points depend on besides the points.
#[derive(Debug, Clone)]
pub(crate) struct LabelRules {
    pub namer: LabelNamer,
    pub promotion: Promotion,
    pub keep_identifying: bool,
    pub limits: Limits,
}

impl From<&Options> for LabelRules {
    fn from(options: &Options) -> Self {
        Self {
            namer: LabelNamer::from(options),
            promotion: options.promotion.clone(),
            keep_identifying: options.keep_identifying_resource_attributes,
            limits: options.limits,
        }
    }
}

/// Why labels could not be had.
pub(crate) enum LabelsError {
    /// The request is malformed.
    Malformed(OtlpError),
    /// The attributes cannot be labels.
    Refused(Refused),
}

impl LabelsError {
    /// The same, with the name of the metric if it is a refusal.
    pub fn named(self, metric: impl FnOnce() -> String) -> Self {
        match self {
            Self::Refused(Refused { reason, message }) => {
                Self::Refused(Refused::new(reason, format!("metric {:?}: {message}", metric())))
            }
            malformed @ Self::Malformed(_) => malformed,
        }
    }
}

impl From<OtlpError> for LabelsError {
    fn from(error: OtlpError) -> Self {
        Self::Malformed(error)
    }
}

fn invalid(message: impl Into<String>) -> LabelsError {
    LabelsError::Refused(Refused::new(RefusalReason::Invalid, message))
}

/// What a resource gives to the series of its points.
#[derive(Debug, Default)]
pub(crate) struct ResourceLabels {
    /// Promoted attributes; of two with one name the first that is not empty.
    promoted: LabelList,
    /// Not empty. As with `instance`, an empty value overrides nothing.
    job: Option<String>,
    instance: Option<String>,
    /// All attributes, by original key.
    attributes: LabelList,
}

/// Reads attributes as text, ascending by key, equal keys in the order they were sent.
pub(crate) fn read_attributes(limits: &Limits, attributes: Attributes<'_>) -> Result<LabelList, LabelsError> {
    let mut list = LabelList::new();
    for attribute in attributes {
        let attribute = attribute?;
        if list.len() == limits.attribute_count_max {
            let what = format!("more than {} attributes", list.len());
            return Err(LabelsError::Refused(limits.over(PointLimit::Attributes, what)));
        }
        let key = std::str::from_utf8(attribute.key).map_err(|_| invalid("attribute key is not UTF-8"))?;
        let mut text = String::new();
        match AnyValue::parse(&attribute.value)?.write_text(limits.nesting_max, &mut text) {
            Ok(()) => list.push((key.to_owned(), text)),
            Err(TextError::Malformed(error)) => return Err(error.into()),
            Err(TextError::Nesting) => {
                let what = format!("value of attribute {:?} nests deeper than allowed", shown(key.as_bytes()));
                return Err(LabelsError::Refused(limits.over(PointLimit::Nesting, what)));
            }
            Err(TextError::Utf8 | TextError::NotJson) => {
                return Err(invalid(format!("value of attribute {:?} is not UTF-8", shown(key.as_bytes()))));
            }
        }
    }
    list.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(list)
}

fn value_of<'a>(list: &'a LabelList, name: &str) -> Option<&'a str> {
    list.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn set(list: &mut LabelList, name: &str, value: &str) {
    match list.iter_mut().find(|(n, _)| n == name) {
        Some((_, v)) => value.clone_into(v),
        None => list.push((name.to_owned(), value.to_owned())),
    }
}

/// Sets what is not there or empty, which is the same: an empty value is no label.
fn set_if_empty(list: &mut LabelList, name: &str, value: &str) {
    if value_of(list, name).is_none_or(str::is_empty) {
        set(list, name, value);
    }
}

/// Sanitises names; values of names that fall together are joined by `;`, with a warning each.
fn sanitise(
    namer: LabelNamer,
    attributes: &LabelList,
    keep: impl Fn(&str) -> bool,
    warn: &mut dyn FnMut(&str),
) -> Result<LabelList, LabelsError> {
    let mut labels = LabelList::with_capacity(attributes.len() + 4);
    let mut collided: Vec<String> = Vec::new();
    for (key, value) in attributes.iter().filter(|(key, _)| key != LABEL_NAME && keep(key)) {
        let name = namer.name(key).map_err(invalid)?;
        match labels.iter_mut().find(|(n, _)| *n == name) {
            // An empty value is no label, so nothing is joined to it.
            Some((_, joined)) if joined.is_empty() => joined.clone_from(value),
            Some((_, joined)) => {
                joined.push(';');
                joined.push_str(value);
                if !collided.contains(&name) {
                    collided.push(name);
                }
            }
            None => labels.push((name, value.clone())),
        }
    }
    for name in collided {
        let keys: Vec<String> = attributes
            .iter()
            .filter(|(key, _)| namer.name(key).is_ok_and(|n| n == name))
            .map(|(key, _)| format!("{key:?}"))
            .collect();
        warn(&format!(
            "OTLP data point attributes {} collide as label {name:?} after name sanitization, \
             values are concatenated with ';'",
            keys.join(", ")
        ));
    }
    Ok(labels)
}

impl ResourceLabels {
    /// Reads a resource.
    pub fn new(rules: &LabelRules, resource: &[u8]) -> Result<Self, LabelsError> {
        let attributes = read_attributes(&rules.limits, Resource(resource).attributes())?;
        let job = value_of(&attributes, SERVICE_NAME).map(|name| match value_of(&attributes, SERVICE_NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        });
        let job = job.filter(|job| !job.is_empty());
        let instance = value_of(&attributes, SERVICE_INSTANCE_ID).filter(|id| !id.is_empty()).map(str::to_owned);
        let mut promoted = LabelList::new();
        let mut promote = |key: &str, value: &str| {
            let name = rules.namer.name(key).map_err(invalid)?;
            set_if_empty(&mut promoted, &name, value);
            Ok::<(), LabelsError>(())
        };
        match &rules.promotion {
            Promotion::Only(keys) => {
                for key in keys {
                    if let Some(value) = value_of(&attributes, key) {
                        promote(key, value)?;
                    }
                }
            }
            Promotion::AllExcept(keys) => {
                for (key, value) in attributes.iter().filter(|(key, _)| !keys.contains(key)) {
                    promote(key, value)?;
                }
            }
        }
        Ok(Self { promoted, job, instance, attributes })
    }

    fn set_identity(&self, labels: &mut LabelList) {
        if let Some(job) = &self.job {
            set(labels, "job", job);
        }
        if let Some(instance) = &self.instance {
            set(labels, "instance", instance);
        }
    }

    /// The labels of the resource's `target_info` but for the name; `None` if it would say nothing.
    pub fn target_info(
        &self,
        rules: &LabelRules,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Option<LabelList>, LabelsError> {
        let identifying = |key: &str| [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE_ID].contains(&key);
        if self.attributes.iter().all(|(key, _)| identifying(key)) || self.job.is_none() && self.instance.is_none() {
            return Ok(None);
        }
        let mut labels =
            sanitise(rules.namer, &self.attributes, |key| rules.keep_identifying || !identifying(key), warn)?;
        self.set_identity(&mut labels);
        Ok(Some(labels))
    }
}

/// The labels a scope gives to the series of its points, if scopes are promoted.
pub(crate) fn scope_labels(rules: &LabelRules, scope: &[u8], schema_url: &[u8]) -> Result<LabelList, LabelsError> {
    let scope = Scope::parse(scope)?;
    let mut labels = LabelList::new();
    if scope.name.is_empty() {
        return Ok(labels);
    }
    let text = |bytes: &[u8]| {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| invalid("instrumentation scope is not UTF-8"))
    };
    for (key, value) in read_attributes(&rules.limits, scope.attributes())? {
        let name = rules.namer.name(&format!("otel_scope_{key}")).map_err(invalid)?;
        set(&mut labels, &name, &value);
    }
    set(&mut labels, "otel_scope_name", &text(scope.name)?);
    set(&mut labels, "otel_scope_version", &text(scope.version)?);
    set(&mut labels, "otel_scope_schema_url", &text(schema_url)?);
    Ok(labels)
}

/// The labels of a point but for `__name__`, `le` and `quantile`, in no order.
pub(crate) fn point_labels(
    rules: &LabelRules,
    resource: &ResourceLabels,
    scope: &LabelList,
    attributes: Attributes<'_>,
    warn: &mut dyn FnMut(&str),
) -> Result<LabelList, LabelsError> {
    let attributes = read_attributes(&rules.limits, attributes)?;
    let mut labels = sanitise(rules.namer, &attributes, |_| true, warn)?;
    for (name, value) in &resource.promoted {
        set_if_empty(&mut labels, name, value);
    }
    resource.set_identity(&mut labels);
    for (name, value) in scope {
        set(&mut labels, name, value);
    }
    Ok(labels)
}

/// Adds `special` labels (which win) to `base`, checks the limits and freezes the set; empty values are left out.
pub(crate) fn freeze(limits: &Limits, base: &LabelList, special: &[(&str, &str)]) -> Result<Labels, Refused> {
    let mut pairs: Vec<(&str, &str)> = base
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !special.iter().any(|(s, _)| s == name))
        .chain(special.iter().copied())
        .filter(|(_, value)| !value.is_empty())
        .collect();
    pairs.sort_unstable();
    limits.check(&pairs)?;
    Ok(Labels::from_sorted(pairs))
}
