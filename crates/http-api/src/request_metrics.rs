//! Counts and durations of requests, by route.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use http::Response;
use mytsdb_telemetry::{Description, LATENCY_SECONDS, Registry};
use std::sync::Arc;
use std::time::Instant;

const REQUESTS: Description =
    Description::new("mytsdb_http_requests_total", "HTTP requests answered, by route and status code.");
const SECONDS: Description =
    Description::new("mytsdb_http_request_duration_seconds", "Time from a request's head to its answer's, by route.")
        .with_unit("seconds");

/// The metrics of all routes; each is made when its route is first asked.
pub(crate) struct RequestMetrics {
    registry: Registry,
}

impl RequestMetrics {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry }
    }

    fn observe(&self, route: &str, code: http::StatusCode, seconds: f64) {
        self.registry.counter(&REQUESTS, &[("handler", route), ("code", code.as_str())]).inc();
        self.registry.histogram(&SECONDS, LATENCY_SECONDS, &[("handler", route)]).observe(seconds);
    }
}

pub(crate) async fn layer(State(metrics): State<Arc<RequestMetrics>>, request: Request, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let arrived = Instant::now();
    let response = next.run(request).await;
    // Routes are the server's own words, paths are the client's: those must not become label values.
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    metrics.observe(route, response.status(), arrived.elapsed().as_secs_f64());
    response
}
