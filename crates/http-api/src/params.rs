//! Parameters of a request: URL query and form body merged, body first, and their typed readings.

use crate::error::{ApiError, ErrorKind};
use crate::time::{MAX_TIME_MS, MIN_TIME_MS, parse_duration_ns, parse_time_ms};
use axum::body::Body;
use http::{Method, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mytsdb_model::{Matcher, TimeRange};

/// Largest form body.
const FORM_BYTES_MAX: usize = 1 << 20;

/// Name-value pairs in the order body, URL.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads the URL, and for a POST the body if it is a form.
    pub(crate) async fn read(request: Request<Body>) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let mut pairs = Vec::new();
        if head.method == Method::POST && is_form(&head.headers) {
            let bytes = Limited::new(body, FORM_BYTES_MAX).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    ApiError::bad_data(format!("form body is larger than {FORM_BYTES_MAX} bytes"))
                } else {
                    ApiError::new(ErrorKind::Canceled, format!("error reading form body: {error}"))
                }
            })?;
            pairs.extend(form_urlencoded::parse(&bytes.to_bytes()).into_owned());
        }
        pairs.extend(form_urlencoded::parse(head.uri.query().unwrap_or("").as_bytes()).into_owned());
        Ok(Self { pairs })
    }

    /// The first value of a name, `""` if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A time that must be given.
    pub(crate) fn time_ms(&self, name: &str) -> Result<i64, ApiError> {
        parse_time_ms(self.get(name)).map_err(|reason| ApiError::parameter(name, reason))
    }

    /// A time that may be missing.
    pub(crate) fn time_ms_or(&self, name: &str, default_ms: i64) -> Result<i64, ApiError> {
        if self.get(name).is_empty() { Ok(default_ms) } else { self.time_ms(name) }
    }

    /// A duration that may be missing.
    pub(crate) fn duration_ns(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        parse_duration_ns(text).map(Some).map_err(|reason| ApiError::parameter(name, reason))
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
        let refuse = |_| ApiError::parameter(name, format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
        text.parse().map(Some).map_err(refuse)
    }

    /// The selectors of `match[]`, each as its matchers.
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]").map(selector).collect()
    }
}

/// The parser refuses selectors that match every series.
fn selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    mytsdb_promql::parse_selector(text).map_err(|error| ApiError::parse("match[]", &error))
}

fn is_form(headers: &http::HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
