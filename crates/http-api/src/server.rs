//! The server: the API on a bounded listener, until it is told to stop.

use crate::api::Api;
use crate::error::HttpApiError;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use mytsdb_access::Scope;
use mytsdb_listener::{Acceptor, ListenerOptions, ServeOptions};
use std::future::Future;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A request line with the longest URL.
const LINE_BYTES_MAX: u32 = 68 << 10;
/// What a [spare](mytsdb_listener::Slot::is_spare) connection may ask for.
const OF_HEALTH: [&str; 3] = ["/-/healthy", "/-/ready", "/metrics"];

/// What stores samples.
const WRITES: [&str; 4] = ["/api/v1/write", "/api/v1/otlp/v1/metrics", "/api/v1/import/prometheus", "/api/v1/import"];

/// Serves `api` on `listener` until `shutdown` is done; then takes no more connections and gives those there are
/// [`ApiOptions::drain`](crate::ApiOptions::drain) to finish what they are at. What is left then is cut off.
///
/// # Errors
/// [`HttpApiError::Listen`] if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), HttpApiError> {
    let address = listener.local_addr().map_err(HttpApiError::Listen)?;
    tracing::info!(%address, "HTTP API is listening");
    let router = api.router();
    let Api { state, options: api_options, .. } = api;
    let options = ListenerOptions { target_bytes_max: Some(api_options.url_bytes_max()), ..api_options.listener };
    let acceptor = Acceptor::new("http", options, &state.0.registry).guarded_by(api_options.access);
    let serving = ServeOptions {
        line_bytes_max: LINE_BYTES_MAX,
        spare_paths: &OF_HEALTH,
        drain: api_options.drain,
        scope: scope_of,
        ..ServeOptions::default()
    };
    let handler = move |request: Request<Incoming>| {
        let router = router.clone();
        async move { router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}) }
    };
    let stopping = async move {
        shutdown.await;
        state.0.readiness.stop();
    };
    mytsdb_listener::serve(listener, acceptor, serving, handler, stopping).await;
    Ok(())
}

/// What the routes at `path` do, those of [`Api::merge`] too. Paths are not rewritten behind this, so what is looked at
/// here is what is routed.
fn scope_of(path: &str) -> Scope {
    if path.starts_with("/api/v1/admin/") {
        Scope::Admin
    } else if WRITES.iter().any(|writes| path.strip_prefix(writes).is_some_and(|rest| matches!(rest, "" | "/"))) {
        Scope::Write
    } else {
        Scope::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stores_and_what_deletes_takes_its_own_scope() {
        for path in WRITES {
            assert_eq!(scope_of(path), Scope::Write);
        }
        for path in ["/api/v1/admin/tsdb/delete_series", "/api/v1/admin/tsdb/clean_tombstones"] {
            assert_eq!(scope_of(path), Scope::Admin);
        }
        for path in ["/", "/api/v1/query", "/api/v1/writes", "/metrics", "/-/healthy", "*"] {
            assert_eq!(scope_of(path), Scope::Read);
        }
    }
}
