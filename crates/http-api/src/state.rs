//! What handlers share: a part for each concern, of which a handler names those that it needs.

use crate::admin::Administration;
use crate::error::HttpApiError;
use crate::exemplar_source::Exemplars;
use crate::features::Features;
use crate::form_reader::FormReader;
use crate::metadata::{Metadata, MetadataSource};
use crate::options::ApiOptions;
use crate::page::Page;
use crate::queries::Queries;
use crate::readiness::Readiness;
use crate::request_metrics::RequestMetrics;
use crate::status::Facts;
use axum::extract::FromRef;
use mytsdb_go_regex::{AnchoredRegex, Limits};
use mytsdb_promql::LabelStorage;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// All parts. A clone is the same state; every request makes some.
#[derive(Clone)]
pub(crate) struct ApiState(pub(crate) Arc<Parts>);

/// Makes the state of its parts, each of which handlers can extract.
macro_rules! state {
    ($($field:ident: $part:ty,)+) => {
        pub(crate) struct Parts {
            $(pub(crate) $field: $part,)+
        }

        $(impl FromRef<ApiState> for $part {
            fn from_ref(state: &ApiState) -> Self {
                state.0.$field.clone()
            }
        })+
    };
}

state! {
    queries: Arc<Queries>,
    forms: Arc<FormReader>,
    metadata: Arc<Metadata>,
    facts: Arc<Facts>,
    features: Arc<Features>,
    readiness: Arc<Readiness>,
    admin: Administration,
    exemplars: Exemplars,
    page: Arc<Page>,
    requests: Arc<RequestMetrics>,
    allowed_origins: Arc<AnchoredRegex>,
    registry: Registry,
}

impl ApiState {
    pub(crate) fn new(
        storage: Arc<dyn LabelStorage>,
        metadata: Vec<Box<dyn MetadataSource>>,
        registry: Registry,
        ready: Arc<AtomicBool>,
        options: &ApiOptions,
    ) -> Result<Self, HttpApiError> {
        let allowed_origins = AnchoredRegex::new(&options.cors_origin, &Limits::default())
            .map_err(|source| HttpApiError::CorsOrigin { pattern: options.cors_origin.clone(), source })?;
        Ok(Self(Arc::new(Parts {
            queries: Arc::new(Queries::new(storage, options, &registry)),
            forms: Arc::new(FormReader::new(options)),
            metadata: Arc::new(Metadata { sources: metadata, registry: registry.clone() }),
            facts: Arc::new(Facts::new(options, registry.clone())),
            features: Arc::new(Features::new(options)),
            readiness: Arc::new(Readiness::new(ready, options.fault.clone(), options.caution.clone())),
            admin: options.admin.clone(),
            exemplars: options.exemplars.clone(),
            page: Arc::new(Page::new(options.otlp_grpc_port)),
            requests: Arc::new(RequestMetrics::new(registry.clone())),
            allowed_origins: Arc::new(allowed_origins),
            registry,
        })))
    }
}
