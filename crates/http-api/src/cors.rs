//! Cross-origin requests and what caches must know, on every API answer.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use http::{HeaderValue, Response, header};
use mytsdb_go_regex::AnchoredRegex;
use std::sync::Arc;

/// `allowed`: what the whole `Origin` header must match.
pub(crate) async fn layer(State(allowed): State<Arc<AnchoredRegex>>, request: Request, next: Next) -> Response<Body> {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return response };
    if !origin.to_str().is_ok_and(|text| allowed.is_match(text)) {
        return response;
    }
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
    );
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response
}
