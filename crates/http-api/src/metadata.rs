//! `metadata`: type, help and unit of metrics.

use crate::answer::{Answer, Outcome};
use crate::api::Shared;
use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::json::Chunks;
use crate::params::{Forms, Params};
use crate::probes;
use axum::body::Body;
use axum::extract::{Request, State};
use http::Response;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a metric family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyMeta {
    /// `counter`, `gauge`, `histogram`, `summary` or `unknown`.
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
}

impl MetadataSource for Arc<mytsdb_otlp::Translator> {
    fn get(&self, family: &str) -> Option<FamilyMeta> {
        self.metadata().get(family).map(of_otlp)
    }

    fn all(&self) -> Vec<(String, FamilyMeta)> {
        self.metadata().all().into_iter().map(|(name, meta)| (name, of_otlp(meta))).collect()
    }
}

fn of_otlp(meta: mytsdb_otlp::FamilyMetadata) -> FamilyMeta {
    FamilyMeta { kind: meta.kind.as_str(), help: meta.help, unit: meta.unit }
}

pub(crate) async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let encoding = Encoding::negotiate(request.headers());
    let params = match Params::read(&shared, request, Forms::All).await {
        Ok(params) => params,
        Err(error) => return Answer::error(&error).into_response(),
    };
    Answer::of(encoding, |out| write(&shared, &params, out)).into_response()
}

/// A limit of this endpoint, which words its errors by itself. -1 if it is missing.
fn limit(params: &Params, name: &str) -> Result<i64, ApiError> {
    params.integer(name).map_err(|_| ApiError::bad_data(format!("{name} must be a number"))).map(|n| n.unwrap_or(-1))
}

fn write(shared: &Shared, params: &Params, out: &mut Chunks) -> Result<Outcome, ApiError> {
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
    for source in &shared.metadata {
        if metric.is_empty() {
            source.all().into_iter().for_each(|(name, meta)| add(name, meta));
        } else if let Some(meta) = source.get(metric) {
            add(metric.to_owned(), meta);
        }
    }
    for family in probes::families(shared) {
        if metric.is_empty() || metric == family.name {
            add(family.name, FamilyMeta { kind: family.kind.as_str(), help: family.help, unit: family.unit });
        }
    }
    out.raw("{");
    for (i, (name, metas)) in families.iter().take(families_max).enumerate() {
        if i > 0 {
            out.raw(",");
        }
        out.string(name);
        out.raw(":");
        out.list(metas.iter().take(per_metric_max), |out, meta| {
            out.raw("{\"type\":");
            out.string(meta.kind);
            out.raw(",\"help\":");
            out.string(&meta.help);
            out.raw(",\"unit\":");
            out.string(&meta.unit);
            out.raw("}");
        });
    }
    out.raw("}");
    Ok(Outcome::data())
}
