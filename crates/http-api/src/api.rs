//! The API as a value: its state, and the routes to its handlers.

use crate::answer::{Answer, Outcome, plain};
use crate::encoding::Encoding;
use crate::error::{ApiError, ErrorKind, HttpApiError};
use crate::metadata::MetadataSource;
use crate::options::ApiOptions;
use crate::state::ApiState;
use crate::{
    admin, cors, exemplars, features, federate, lookup, metadata, page, paths, probes, query, readiness, remote_read,
    request_metrics, status, syntax, targets,
};
use axum::Router;
use axum::body::Body;
use axum::handler::Handler;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use http::{HeaderValue, Method, Response, StatusCode, header};
use mytsdb_promql::LabelStorage;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tower_http::catch_panic::CatchPanicLayer;

/// The Prometheus HTTP API over one storage. A clone is the same API.
#[derive(Clone)]
pub struct Api {
    pub(crate) state: ApiState,
    pub(crate) options: ApiOptions,
    merged: Router,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Api {
    /// An API that answers from `storage`, and with 503 until `ready` is set. Its own metrics go to `registry`, which
    /// `/metrics` shows. `metadata` are asked in turn what a metric means.
    ///
    /// # Errors
    /// [`HttpApiError::CorsOrigin`] if the pattern of allowed origins is not valid.
    pub fn new(
        storage: Arc<dyn LabelStorage>,
        metadata: Vec<Box<dyn MetadataSource>>,
        registry: Registry,
        ready: Arc<AtomicBool>,
        options: ApiOptions,
    ) -> Result<Self, HttpApiError> {
        let state = ApiState::new(storage, metadata, registry, ready, &options)?;
        Ok(Self { state, options, merged: Router::new() })
    }

    /// Serves `routes` too, which share the server's connections, counters and answer to panics but answer on their own.
    #[must_use]
    pub fn merge(self, routes: Router) -> Self {
        Self { merged: self.merged.merge(routes), ..self }
    }

    /// All routes. [`serve`](crate::serve) is how they are meant to be reached; tests may call them directly.
    pub fn router(&self) -> Router {
        let parts = &*self.state.0;
        let api = Router::new()
            .route("/query", form(query::instant))
            .route("/query_range", form(query::range))
            .route("/query_exemplars", form(exemplars::answer))
            .route("/format_query", form(syntax::format_query))
            .route("/parse_query", form(syntax::parse_query))
            .route("/series", form(lookup::series))
            .route("/labels", form(lookup::label_names))
            .route("/label/{name}/values", form_less(lookup::label_values))
            .route("/metadata", form_less(metadata::answer))
            .route("/status/buildinfo", form_less(status::build_info))
            .route("/status/runtimeinfo", form_less(status::runtime_info))
            .route("/status/flags", form_less(status::flags))
            .route("/status/config", form_less(status::config))
            .route("/status/walreplay", form_less(status::wal_replay))
            .route("/features", form_less(features::answer))
            .route("/status/tsdb", form_less(status::tsdb))
            .route("/read", by_post(remote_read::answer))
            .route("/admin/tsdb/delete_series", changing(admin::delete_series))
            .route("/admin/tsdb/clean_tombstones", changing(admin::clean_tombstones))
            .route("/rules", empty(r#"{"groups":[]}"#))
            .route("/alerts", empty(r#"{"alerts":[]}"#))
            .route("/alertmanagers", empty(r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#))
            .route("/targets", empty(r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}"#))
            .route("/targets/metadata", form_less(targets::metadata))
            .route("/scrape_pools", empty(r#"{"scrapePools":[]}"#))
            .route("/notifications", empty("[]"))
            .fallback(api_not_found)
            .layer(middleware::from_fn_with_state(Arc::clone(&parts.readiness), readiness::layer))
            .layer(middleware::from_fn_with_state(Arc::clone(&parts.allowed_origins), cors::layer));
        Router::new()
            .nest("/api/v1", api)
            .route("/-/ready", get_only(get(probes::ready)))
            .route("/-/healthy", get_only(get(probes::healthy)))
            .route("/metrics", get_only(get(probes::metrics)))
            .route("/version", get_only(get(status::version)))
            .route("/federate", get_only(get(federate::answer)))
            .route("/", get_only(get(page::index)))
            .route("/query", get_only(get(page::index)))
            .route("/graph", get_only(get(page::index)))
            .route("/favicon.ico", get_only(get(page::icon)))
            .route("/ui/{version}/{file}", get_only(get(page::asset)))
            .fallback(not_found)
            .with_state(self.state.clone())
            .merge(self.merged.clone())
            .layer(middleware::from_fn_with_state(self.options.url_bytes_max(), paths::layer))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn_with_state(Arc::clone(&parts.requests), request_metrics::layer))
    }
}

/// GET and POST.
fn form<H, T>(handler: H) -> MethodRouter<ApiState>
where
    H: Handler<T, ApiState> + Clone,
    T: 'static,
{
    get(handler.clone()).post(handler).options(no_content).head(not_for_forms).fallback(not_for_forms)
}

/// GET only, as clients of the reference implementation expect of these.
fn form_less<H, T>(handler: H) -> MethodRouter<ApiState>
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    get(handler).options(no_content).head(not_form_less).fallback(not_form_less)
}

/// POST and PUT: what changes something.
fn changing<H, T>(handler: H) -> MethodRouter<ApiState>
where
    H: Handler<T, ApiState> + Clone,
    T: 'static,
{
    post(handler.clone()).put(handler).options(no_content).fallback(not_changing)
}

/// POST only.
fn by_post<H, T>(handler: H) -> MethodRouter<ApiState>
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    post(handler).options(no_content).fallback(not_by_post)
}

/// Answers with an empty list where this server has nothing of the kind.
fn empty(data: &'static str) -> MethodRouter<ApiState> {
    form_less(async move |encoding: Encoding| {
        Answer::of(encoding, |out| {
            out.raw(data);
            Ok(Outcome::data())
        })
    })
}

fn get_only(router: MethodRouter<ApiState>) -> MethodRouter<ApiState> {
    router.fallback(not_get_only)
}

async fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn not_for_forms() -> Response<Body> {
    method_not_allowed("GET, OPTIONS, POST")
}

async fn not_form_less() -> Response<Body> {
    method_not_allowed("GET, OPTIONS")
}

async fn not_changing() -> Response<Body> {
    method_not_allowed("OPTIONS, POST, PUT")
}

async fn not_by_post() -> Response<Body> {
    method_not_allowed("OPTIONS, POST")
}

async fn not_get_only() -> Response<Body> {
    method_not_allowed("GET, HEAD")
}

fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Browsers send a preflight request before they know whether a path exists.
async fn api_not_found(method: Method) -> Response<Body> {
    if method == Method::OPTIONS { StatusCode::NO_CONTENT.into_response() } else { not_found().await }
}

async fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the payload over")]
fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response<Body> {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("no message"), "a request ended in a panic");
    ApiError::new(ErrorKind::Internal, "internal error: the request ended in a panic").into_response()
}
