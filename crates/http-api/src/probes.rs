//! What supervisors ask for: health, readiness, and the server's own metrics as text.

use crate::answer::plain;
use crate::body::ChunkBody;
use crate::encoding::Encoding;
use crate::readiness::Readiness;
use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use mytsdb_telemetry::{Family, Registry, process_families, write_text};
use std::sync::Arc;

pub(crate) async fn healthy() -> Response<Body> {
    plain(StatusCode::OK, "mytsdb is healthy.\n")
}

pub(crate) async fn ready(State(readiness): State<Arc<Readiness>>) -> Response<Body> {
    if !readiness.is_ready() {
        return readiness.not_ready();
    }
    match readiness.fault() {
        None => match readiness.caution() {
            None => plain(StatusCode::OK, "mytsdb is ready.\n"),
            Some(caution) => plain(StatusCode::OK, format!("mytsdb is ready for queries: {caution}\n")),
        },
        Some(reason) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("Service Unavailable: nothing is stored any more: {reason}\n"),
        ),
    }
}

pub(crate) async fn metrics(State(registry): State<Registry>, request: Request) -> Response<Body> {
    let mut text = String::new();
    write_text(&families(&registry), &mut text);
    let (encoding, chunks) = Encoding::negotiate(request.headers()).apply(vec![Bytes::from(text)]);
    let mut response = Response::new(Body::new(ChunkBody::new(chunks)));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(encoding) = encoding.header() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// The registry's families and those of the process, unless the registry has them from a source already.
pub(crate) fn families(registry: &Registry) -> Vec<Family> {
    let mut families = registry.gather();
    let process: Vec<Family> = process_families()
        .into_iter()
        .filter(|f| families.binary_search_by(|known| known.name.cmp(&f.name)).is_err())
        .collect();
    families.extend(process);
    families.sort_by(|a, b| a.name.cmp(&b.name));
    families
}
