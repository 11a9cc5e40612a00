//! `metadata`: type, help and unit of metrics.

use crate::answer::{Answer, Outcome, Remarks};
use crate::asked::Asked;
use crate::error::ApiError;
use crate::params::Params;
use crate::probes;
use axum::extract::State;
use mytsdb_telemetry::Registry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a metric family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FamilyMeta {
    /// `counter`, `gauge`, `histogram`, `summary` or `unknown`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// One sentence.
    pub help: String,
    /// The unit in words, empty if there is none.
    pub unit: String,
}

/// Somebody who knows metric families by name.
pub trait MetadataSource: Send + Sync {
    /// What is known of one family.
    fn get(&self, family: &str) -> Option<FamilyMeta>;

    /// All families, in any order.
    fn all(&self) -> Vec<(String, FamilyMeta)>;

    /// What people should know of the answer, if there is something: that not all is kept, and why.
    fn remark(&self) -> Option<String>;
}

/// Everybody who is asked, in turn, and the families of the server itself.
pub(crate) struct Metadata {
    pub(crate) sources: Vec<Box<dyn MetadataSource>>,
    pub(crate) registry: Registry,
}

pub(crate) async fn answer(State(metadata): State<Arc<Metadata>>, asked: Asked) -> Result<Answer, ApiError> {
    let families = metadata.find(&asked.params)?;
    let warnings = metadata.sources.iter().filter_map(|source| source.remark()).collect();
    Ok(Answer::of(asked.encoding, |out| {
        out.data(&families);
        Ok(Outcome::Data(Remarks { warnings, infos: Vec::new() }))
    }))
}

/// A limit of an endpoint for metadata, which words its errors by itself. -1 if it is missing.
pub(crate) fn limit(params: &Params, name: &str) -> Result<i64, ApiError> {
    params.integer(name).map_err(|_| ApiError::bad_data(format!("{name} must be a number"))).map(|n| n.unwrap_or(-1))
}

impl Metadata {
    /// What a request asks for, by family.
    fn find(&self, params: &Params) -> Result<BTreeMap<String, Vec<FamilyMeta>>, ApiError> {
        // Negative: no limit. A metric always has something to say, so 0 is no limit there.
        let families_max = usize::try_from(limit(params, "limit")?).unwrap_or(usize::MAX);
        let per_metric_max = usize::try_from(limit(params, "limit_per_metric")?).ok().filter(|&n| n > 0);
        let per_metric_max = per_metric_max.unwrap_or(usize::MAX);
        let mut families: BTreeMap<String, Vec<FamilyMeta>> = BTreeMap::new();
        let mut add = |name: String, meta: FamilyMeta| {
            let known = families.entry(name).or_default();
            if !known.contains(&meta) {
                known.push(meta);
            }
        };
        let metric = params.get("metric");
        for source in &self.sources {
            if metric.is_empty() {
                source.all().into_iter().for_each(|(name, meta)| add(name, meta));
            } else if let Some(meta) = source.get(metric) {
                add(metric.to_owned(), meta);
            }
        }
        for family in probes::families(&self.registry) {
            if metric.is_empty() || metric == family.name {
                add(family.name, FamilyMeta { kind: family.kind.as_str(), help: family.help, unit: family.unit });
            }
        }
        for metas in families.values_mut() {
            metas.truncate(per_metric_max);
        }
        Ok(families.into_iter().take(families_max).collect())
    }
}
