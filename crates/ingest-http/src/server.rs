//! A listener for OTLP/HTTP alone.

use crate::{HttpIngestError, HttpOptions};
use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use mytsdb_access::Scope;
use mytsdb_listener::ServeOptions;
use std::future::Future;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// Serves `router` on `listener` until `shutdown` is done; then takes no more connections and gives those there are
/// [`HttpOptions::shutdown_grace`] to finish what they are at. What is left then is cut off.
///
/// HTTP/1.1 and HTTP/2, behind TLS if the acceptor says so. A connection that cannot be served ends alone.
///
/// # Errors
/// [`HttpIngestError::Listen`] if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: HttpOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), HttpIngestError> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "OTLP/HTTP is listening");
    let serving = ServeOptions {
        drain: options.shutdown_grace,
        scope: |_| Scope::Write,
        turn_away: crate::answer::turned_away,
        ..ServeOptions::default()
    };
    let handler = move |request: Request<Incoming>| {
        let router = router.clone();
        async move { router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}) }
    };
    mytsdb_listener::serve(listener, options.acceptor, serving, handler, shutdown).await;
    Ok(())
}
