//! What is said of a URL before anybody looks at what it names: that it is too long, or should be written otherwise.

use crate::answer::plain;
use crate::error::{ApiError, ErrorKind};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::IntoResponse;
use http::{HeaderValue, Response, StatusCode, header};

pub(crate) async fn layer(State(url_bytes_max): State<usize>, request: Request, next: Next) -> Response<Body> {
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|whole| whole.as_str().len() > url_bytes_max) {
        let text = format!(
            "the URL is longer than {url_bytes_max} bytes (--http-max-url-bytes); send the parameters as a POST form"
        );
        return ApiError::new(ErrorKind::UrlTooLong, text).into_response();
    }
    let Some(path) = clean(uri.path()) else { return next.run(request).await };
    let location = uri.query().map_or(path.clone(), |query| format!("{path}?{query}"));
    let Ok(location) = HeaderValue::try_from(location) else { return next.run(request).await };
    // 307 keeps method and body.
    let mut response = plain(StatusCode::TEMPORARY_REDIRECT, "");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The path without empty and dot segments; `None` if it has none of them.
fn clean(path: &str) -> Option<String> {
    let segments = path.strip_prefix('/')?;
    let (inner, last) = segments.rsplit_once('/').map_or((None, segments), |(inner, last)| (Some(inner), last));
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    if !matches!(last, "." | "..") && !inner.is_some_and(|inner| inner.split('/').any(odd)) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in segments.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let end = if odd(last) && !kept.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_dot_segments_go_away() {
        for (path, expected) in [
            ("//api/v1/query", "/api/v1/query"),
            ("/./api/v1/query", "/api/v1/query"),
            ("/api//v1/query", "/api/v1/query"),
            ("/api/v1/../v1/query", "/api/v1/query"),
            ("/api/v1/query/..", "/api/v1/"),
            ("/api/v1/./query/", "/api/v1/query/"),
            ("/api/v1/.", "/api/v1/"),
            ("/a//", "/a/"),
            ("//", "/"),
            ("//etc/../..", "/"),
            ("/../../etc", "/etc"),
            ("//evil.example/a", "/evil.example/a"),
        ] {
            assert_eq!(clean(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["/", "/a", "/a/", "/api/v1/label/a..b/values", "/a/.b", "/%2e%2e/a", "*", ""] {
            assert_eq!(clean(path), None, "{path}");
        }
    }
}
