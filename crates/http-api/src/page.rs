//! The web page and its files, all of them inside the program.

use crate::answer::plain;
use crate::body::ChunkBody;
use crate::encoding::Encoding;
use crate::json::Chunks;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use mytsdb_promql_syntax::{AggregateOp, Function};
use serde::Serialize;
use std::sync::Arc;

/// Everything comes from this server, nothing is inline, nobody frames the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
/// Where the version of the files is filled in.
const VERSION_MARK: &str = "%VERSION%";
/// Where the port of the OTLP/gRPC receiver is filled in.
const PORT_MARK: &str = "%OTLP_GRPC_PORT%";
/// The file that tells the page which functions there are; it is made of the language's own table.
const FUNCTIONS_FILE: &str = "functions.js";

/// Name, media type and content of a file.
type File = (&'static str, &'static str, &'static [u8]);

const ICON: File = ("icon.svg", "image/svg+xml", include_bytes!("../ui/icon.svg"));
const FILES: [File; 9] = [
    ("app.js", "text/javascript; charset=utf-8", include_bytes!("../ui/app.js")),
    ("chart.js", "text/javascript; charset=utf-8", include_bytes!("../ui/chart.js")),
    ("completion.js", "text/javascript; charset=utf-8", include_bytes!("../ui/completion.js")),
    ("api.js", "text/javascript; charset=utf-8", include_bytes!("../ui/api.js")),
    ("format.js", "text/javascript; charset=utf-8", include_bytes!("../ui/format.js")),
    ("style.css", "text/css; charset=utf-8", include_bytes!("../ui/style.css")),
    ICON,
    ("uplot.js", "text/javascript; charset=utf-8", include_bytes!("../ui/vendor/uplot/uPlot.iife.min.js")),
    ("uplot.css", "text/css; charset=utf-8", include_bytes!("../ui/vendor/uplot/uPlot.min.css")),
];
const INDEX: &str = include_str!("../ui/index.html");

/// The page with the version of its files filled in.
pub(crate) struct Page {
    index: Bytes,
    functions: Bytes,
    /// Changes whenever any file does, so the files themselves may be cached for good.
    version: String,
}

impl Page {
    pub(crate) fn new(otlp_grpc_port: u16) -> Self {
        let functions = functions_module();
        let index = INDEX.replace(PORT_MARK, &otlp_grpc_port.to_string());
        let contents = FILES.iter().map(|(_, _, content)| *content).chain([index.as_bytes(), functions.as_bytes()]);
        let version = format!("{:016x}", fnv1a(contents.flatten()));
        Self { index: Bytes::from(index.replace(VERSION_MARK, &version)), functions: Bytes::from(functions), version }
    }
}

/// What the page knows of a function.
#[derive(Serialize)]
struct Completion {
    name: &'static str,
    signature: String,
    doc: &'static str,
}

/// What the page completes, as a module: `export const FUNCTIONS = [{"name":…,"signature":…,"doc":…}]` and the names of the
/// aggregations.
fn functions_module() -> String {
    let mut out = Chunks::new();
    out.raw("export const FUNCTIONS = ");
    let completion = |function: &Function| {
        let row = function.row();
        Completion { name: row.name, signature: row.signature(), doc: row.doc }
    };
    out.data(&Function::ALL.iter().map(completion).collect::<Vec<_>>());
    out.raw(";\nexport const AGGREGATIONS = ");
    out.data(&AggregateOp::ALL.map(AggregateOp::as_str));
    out.raw(";\n");
    out.finish().iter().map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect()
}

/// FNV-1a, 64 bits: tells versions apart; it is no protection against anybody.
fn fnv1a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

pub(crate) async fn index(State(page): State<Arc<Page>>, request: Request) -> Response<Body> {
    respond(&page, request.headers(), "text/html; charset=utf-8", page.index.clone(), "no-cache")
}

pub(crate) async fn asset(
    State(page): State<Arc<Page>>,
    Path((version, file)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    let (media_type, content) = match FILES.iter().find(|(name, _, _)| *name == file) {
        Some((_, media_type, content)) => (*media_type, Bytes::from_static(content)),
        None if file == FUNCTIONS_FILE => ("text/javascript; charset=utf-8", page.functions.clone()),
        None => return plain(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    // A page from before an upgrade may ask with the old version; it must not keep what it gets.
    let current = version == page.version;
    let caching = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    respond(&page, request.headers(), media_type, content, caching)
}

pub(crate) async fn icon(State(page): State<Arc<Page>>, request: Request) -> Response<Body> {
    let (_, media_type, content) = ICON;
    respond(&page, request.headers(), media_type, Bytes::from_static(content), "no-cache")
}

fn respond(
    page: &Page,
    request: &HeaderMap,
    media_type: &'static str,
    content: Bytes,
    caching: &'static str,
) -> Response<Body> {
    let etag = format!("\"{}\"", page.version);
    let known =
        request.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|tags| tags.contains(&etag));
    let (encoding, chunks) =
        if known { (Encoding::Identity, Vec::new()) } else { Encoding::negotiate(request).apply(vec![content]) };
    let mut response = Response::new(Body::new(ChunkBody::new(chunks)));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let fixed = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "Accept-Encoding"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, HeaderValue::try_from(etag).expect("hexadecimal digits in quotes"));
    if let Some(encoding) = encoding.header() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_files_that_exist() {
        let page = Page::new(4321);
        let index = std::str::from_utf8(&page.index).unwrap();
        assert!(!index.contains(VERSION_MARK));
        assert!(index.contains("content=\"4321\""));
        let prefix = format!("ui/{}/", page.version);
        let named: Vec<&str> = index.split(&prefix).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(named.len() >= 4, "{named:?}");
        for name in named {
            assert!(FILES.iter().any(|(file, _, _)| *file == name), "{name}");
        }
    }

    #[test]
    fn the_page_knows_every_function_with_its_signature_and_what_it_does() {
        let module = functions_module();
        for function in Function::ALL {
            let name = function.name();
            assert!(module.contains(&format!("{{\"name\":\"{name}\",\"signature\":\"{name}(")), "{name}");
        }
        let round = "\"signature\":\"round(instant vector, scalar?) instant vector\",\"doc\":\"Each float, rounded";
        assert!(module.contains(round));
        assert!(module.contains("AGGREGATIONS = [\"avg\","));
    }

    #[test]
    fn the_pages_own_code_never_makes_markup_from_text() {
        for (name, _, content) in FILES
            .iter()
            .filter(|(name, media_type, _)| media_type.starts_with("text/javascript") && *name != "uplot.js")
        {
            let text = std::str::from_utf8(content).unwrap();
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(word), "{name} has {word}");
            }
        }
    }
}
