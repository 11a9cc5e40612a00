//! Parameters of a request: URL query and form body merged, and their typed readings.

use crate::api::Shared;
use crate::error::{ApiError, ErrorKind};
use crate::form;
use crate::time::{MAX_TIME_MS, MIN_TIME_MS, parse_duration_ns, parse_time_ms};
use axum::body::{Body, HttpBody};
use http::{Method, Request, header};
use http_body_util::BodyExt;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_promql_syntax::{Expr, ParseError, ParseOptions};
use std::num::IntErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a form that do not count for [`Forms`] of all requests: most forms are shorter.
const FREE_BYTES: usize = 64 << 10;
/// Longest time for a form to arrive.
const FORM_TIMEOUT: Duration = Duration::from_mins(1);
/// What is read of a form that is too large, in times of the limit, before it is refused: a client that is still
/// sending may not see an answer.
const SWALLOWED_TIMES: usize = 2;

/// Which forms an endpoint reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forms {
    /// `application/x-www-form-urlencoded` alone.
    UrlEncoded,
    /// `multipart/form-data` as well.
    All,
}

/// Memory for the forms of all requests; each unit is a byte.
pub(crate) struct FormBudget {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

impl FormBudget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permit = u32::try_from(bytes).ok().and_then(|n| Arc::clone(&self.bytes).try_acquire_many_owned(n).ok());
        permit.ok_or_else(|| {
            let limit = self.bytes_max;
            let text = format!("too many large forms at once: all together may have {limit} bytes, come back later");
            ApiError::new(ErrorKind::Overloaded, text)
        })
    }
}

/// Name-value pairs in the order body, URL; of a multipart form in the order URL, body.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    malformed: Option<String>,
    /// What the queries and selectors among the values may be.
    language: ParseOptions,
    _form: Option<OwnedSemaphorePermit>,
}

impl Params {
    /// Reads the URL, and for a POST the body if it is a form.
    pub(crate) async fn read(shared: &Shared, request: Request<Body>, forms: Forms) -> Result<Self, ApiError> {
        let language = shared.options.language();
        let (head, body) = request.into_parts();
        let (mut url, url_malformed) = form::pairs(head.uri.query().unwrap_or("").as_bytes());
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let is = |kind: &str| content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(kind);
        if head.method != Method::POST {
            return Ok(Self { pairs: url, malformed: url_malformed, language, _form: None });
        }
        if is("application/x-www-form-urlencoded") {
            let (bytes, held) = read_form(shared, body).await?;
            let (mut pairs, malformed) = form::pairs(&bytes);
            pairs.append(&mut url);
            return Ok(Self { pairs, malformed: malformed.or(url_malformed), language, _form: held });
        }
        let boundary = form::boundary(content_type).filter(|_| forms == Forms::All && is("multipart/form-data"));
        let Some(boundary) = boundary else {
            return Ok(Self { pairs: url, malformed: url_malformed, language, _form: None });
        };
        let (bytes, held) = read_form(shared, body).await?;
        url.extend(form::multipart(&bytes, boundary).unwrap_or_default());
        Ok(Self { pairs: url, malformed: url_malformed, language, _form: held })
    }

    /// What is wrong with the first pair that was left out.
    pub(crate) fn malformed(&self) -> Option<&str> {
        self.malformed.as_deref()
    }

    /// The first value of a name, `""` if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// An end of a range query, which must be given.
    pub(crate) fn step_time_ms(&self, name: &str) -> Result<i64, ApiError> {
        parse_time_ms(self.get(name)).map_err(|reason| ApiError::parameter(name, reason))
    }

    /// A time that may be missing.
    pub(crate) fn time_ms_or(&self, name: &str, default_ms: i64) -> Result<i64, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(default_ms);
        }
        let refuse = |reason| ApiError::parameter(name, format!("invalid time value for '{name}': {reason}"));
        parse_time_ms(text).map_err(refuse)
    }

    /// A duration that may be missing.
    pub(crate) fn duration_ns(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.duration_ns_with(name, |reason| ApiError::parameter(name, reason))
    }

    /// A duration that may be missing, with an error as `refuse` words it.
    pub(crate) fn duration_ns_with(
        &self,
        name: &str,
        refuse: impl FnOnce(String) -> ApiError,
    ) -> Result<Option<i64>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        parse_duration_ns(text).map(Some).map_err(refuse)
    }

    /// `start` to `end`, open where not given.
    pub(crate) fn range(&self) -> Result<TimeRange, ApiError> {
        let start_ms = self.time_ms_or("start", MIN_TIME_MS)?;
        let end_ms = self.time_ms_or("end", MAX_TIME_MS)?;
        Ok(TimeRange::new(start_ms, end_ms))
    }

    /// `limit`: `None` if not given, `Some(0)` for none.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        match self.integer("limit")? {
            None => Ok(None),
            Some(limit) => {
                usize::try_from(limit).map(Some).map_err(|_| ApiError::parameter("limit", "limit must be non-negative"))
            }
        }
    }

    /// A whole number that may be missing.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        let refuse = |error: std::num::ParseIntError| {
            let overflow = matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
            let reason = if overflow { "value out of range" } else { "invalid syntax" };
            ApiError::parameter(name, format!("strconv.Atoi: parsing {text:?}: {reason}"))
        };
        text.parse().map(Some).map_err(refuse)
    }

    /// The selectors of `match[]`, each as its matchers. Errors do not name the parameter.
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]").map(|text| selector(text, self.language)).collect()
    }

    /// The expression of `query`.
    pub(crate) fn expression(&self) -> Result<Expr, ParseError> {
        mytsdb_promql_syntax::parse_with(self.get("query"), self.language)
    }
}

fn selector(text: &str, language: ParseOptions) -> Result<Vec<Matcher>, ApiError> {
    let matchers = mytsdb_promql_syntax::parse_selector(text, language)
        .map_err(|error| ApiError::bad_data(error.to_string()))?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
    }
    Ok(matchers)
}

/// The bytes of a form, and what they take of the budget.
async fn read_form(shared: &Shared, body: Body) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ApiError> {
    let arriving = tokio::time::timeout(FORM_TIMEOUT, collect(shared, body));
    arriving.await.unwrap_or_else(|_| {
        let text = format!("the form did not arrive within {} seconds", FORM_TIMEOUT.as_secs());
        Err(ApiError::new(ErrorKind::Timeout, text))
    })
}

async fn collect(shared: &Shared, mut body: Body) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ApiError> {
    let bytes_max = shared.options.form_bytes_max;
    let too_large =
        || ApiError::bad_data(format!("form body is larger than {bytes_max} bytes (--http-max-form-bytes)"));
    if body.size_hint().lower() > bytes_max as u64 {
        swallow(body, bytes_max.saturating_mul(SWALLOWED_TIMES)).await;
        return Err(too_large());
    }
    let (mut bytes, mut held): (Vec<u8>, Option<OwnedSemaphorePermit>) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| ApiError::new(ErrorKind::Canceled, format!("error reading form body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            drop((bytes, held));
            swallow(body, bytes_max.saturating_mul(SWALLOWED_TIMES)).await;
            return Err(too_large());
        }
        let counted = |len: usize| len.saturating_sub(FREE_BYTES);
        let more = counted(bytes.len() + data.len()) - counted(bytes.len());
        if more > 0 {
            let permit = shared.forms.take(more)?;
            match &mut held {
                Some(held) => held.merge(permit),
                none => *none = Some(permit),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, held))
}

/// Reads on and forgets, until there is no more or `bytes_max` were read.
async fn swallow(mut body: Body, bytes_max: usize) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, bytes::Bytes::len);
        if read > bytes_max {
            return;
        }
    }
}
