//! The API as a value: what it answers from, and the routes to its handlers.

use crate::answer::{Answer, Outcome};
use crate::encoding::Encoding;
use crate::error::{ApiError, ErrorKind, HttpApiError};
use crate::gate::Gate;
use crate::json::Chunks;
use crate::metadata::MetadataSource;
use crate::options::ApiOptions;
use crate::page::Page;
use crate::params::FormBudget;
use crate::request_metrics::RequestMetrics;
use crate::{
    cors, features, federate, lookup, metadata, page, paths, probes, query, request_metrics, status, syntax, time,
};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use http::{HeaderValue, Method, Response, StatusCode, header};
use mytsdb_go_regex::{AnchoredRegex, Limits};
use mytsdb_promql::LabelStorage;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tower_http::catch_panic::CatchPanicLayer;

/// What all handlers share.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn LabelStorage>,
    pub(crate) registry: Registry,
    pub(crate) options: ApiOptions,
    pub(crate) metadata: Vec<Box<dyn MetadataSource>>,
    pub(crate) queries: Gate,
    pub(crate) lookups: Gate,
    pub(crate) requests: RequestMetrics,
    pub(crate) page: Page,
    pub(crate) forms: FormBudget,
    pub(crate) cors_origin: AnchoredRegex,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) stopping: AtomicBool,
    pub(crate) started_ms: i64,
}

/// The Prometheus HTTP API over one storage. A clone is the same API.
#[derive(Clone)]
pub struct Api(pub(crate) Arc<Shared>, Router);

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.0.options).finish_non_exhaustive()
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
        let cors_origin = AnchoredRegex::new(&options.cors_origin, &Limits::default())
            .map_err(|source| HttpApiError::CorsOrigin { pattern: options.cors_origin.clone(), source })?;
        let gate = |name| {
            let (running_max, waiting_max) = (options.queries_running_max, options.queries_waiting_max);
            Gate::new(name, running_max, waiting_max, options.queue_wait_max, &registry)
        };
        let (queries, lookups) = (gate("query"), gate("lookup"));
        let shared = Arc::new(Shared {
            storage,
            requests: RequestMetrics::new(registry.clone()),
            registry,
            metadata,
            queries,
            lookups,
            page: Page::new(options.otlp_grpc_port),
            forms: FormBudget::new(options.forms_bytes_max),
            options,
            cors_origin,
            ready,
            stopping: AtomicBool::new(false),
            started_ms: time::now_ms(),
        });
        Ok(Self(shared, Router::new()))
    }

    /// Serves `routes` too, which share the server's connections, counters and answer to panics but answer on their own.
    #[must_use]
    pub fn merge(self, routes: Router) -> Self {
        Self(self.0, self.1.merge(routes))
    }

    /// All routes. [`serve`](crate::serve) is how they are meant to be reached; tests may call them directly.
    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/query", form(query::instant))
            .route("/query_range", form(query::range))
            .route("/query_exemplars", form(syntax::exemplars))
            .route("/format_query", form(syntax::format_query))
            .route("/parse_query", form(syntax::parse_query))
            .route("/series", form(lookup::series))
            .route("/labels", form(lookup::label_names))
            .route("/label/{name}/values", form_less(lookup::label_values))
            .route("/metadata", form_less(metadata::answer))
            .route("/status/buildinfo", fixed(status::build_info))
            .route("/status/runtimeinfo", fixed(status::runtime_info))
            .route("/status/flags", fixed(status::flags))
            .route("/status/config", fixed(status::config))
            .route("/status/walreplay", fixed(status::wal_replay))
            .route("/features", fixed(features::write))
            .route("/status/tsdb", form_less(status::tsdb))
            .route("/rules", empty(r#"{"groups":[]}"#))
            .route("/alerts", empty(r#"{"alerts":[]}"#))
            .route("/alertmanagers", empty(r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#))
            .route("/targets", empty(r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}"#))
            .route("/targets/metadata", empty("[]"))
            .route("/scrape_pools", empty(r#"{"scrapePools":[]}"#))
            .route("/notifications", empty("[]"))
            .fallback(api_not_found)
            .layer(middleware::from_fn_with_state(Arc::clone(&self.0), when_ready))
            .layer(middleware::from_fn_with_state(Arc::clone(&self.0), cors::layer));
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
            .with_state(Arc::clone(&self.0))
            .merge(self.1.clone())
            .layer(middleware::from_fn_with_state(Arc::clone(&self.0), paths::layer))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn_with_state(Arc::clone(&self.0), request_metrics::layer))
    }
}

/// GET and POST.
fn form<H, T>(handler: H) -> MethodRouter<Arc<Shared>>
where
    H: axum::handler::Handler<T, Arc<Shared>> + Clone,
    T: 'static,
{
    get(handler.clone()).post(handler).options(no_content).head(not_for_forms).fallback(not_for_forms)
}

/// GET only, as clients of the reference implementation expect of these.
fn form_less<H, T>(handler: H) -> MethodRouter<Arc<Shared>>
where
    H: axum::handler::Handler<T, Arc<Shared>>,
    T: 'static,
{
    get(handler).options(no_content).head(not_form_less).fallback(not_form_less)
}

/// Data that costs nothing to make.
fn fixed(write: fn(&Shared, &mut Chunks)) -> MethodRouter<Arc<Shared>> {
    form_less(move |State(shared): State<Arc<Shared>>, request: Request| async move {
        let handler = |out: &mut Chunks| {
            write(&shared, out);
            Ok(Outcome::data())
        };
        Answer::of(Encoding::negotiate(request.headers()), handler).into_response()
    })
}

/// An honest answer about something that this server does not do: there are none of these here.
fn empty(data: &'static str) -> MethodRouter<Arc<Shared>> {
    form_less(move |request: Request| async move {
        let handler = |out: &mut Chunks| {
            out.raw(data);
            Ok(Outcome::data())
        };
        Answer::of(Encoding::negotiate(request.headers()), handler).into_response()
    })
}

fn get_only(router: MethodRouter<Arc<Shared>>) -> MethodRouter<Arc<Shared>> {
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

async fn not_get_only() -> Response<Body> {
    method_not_allowed("GET, HEAD")
}

fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Browsers ask before they know whether a path exists.
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
    Answer::error(&ApiError::new(ErrorKind::Internal, "internal error: the request ended in a panic")).into_response()
}

/// Text without an envelope, for everything that is not the API proper.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Lets API requests through once the server is ready.
async fn when_ready(State(shared): State<Arc<Shared>>, request: Request, next: middleware::Next) -> Response<Body> {
    if shared.is_ready() { next.run(request).await } else { probes::not_ready(&shared) }
}

impl Shared {
    pub(crate) fn is_ready(&self) -> bool {
        // Acquire pairs with the owner's Release: who sees the flag sees the storage as it was when it was set.
        self.ready.load(Ordering::Acquire)
    }
}
