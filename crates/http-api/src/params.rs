//! Parameters of a request, and their typed readings.

use crate::error::ApiError;
use crate::time::{MAX_TIME_MS, MIN_TIME_MS, parse_duration_ns, parse_time_ms};
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_promql_syntax::{Expr, ParseError, ParseOptions};
use std::num::IntErrorKind;
use tokio::sync::OwnedSemaphorePermit;

/// Name-value pairs in the order body, URL; of a multipart form in the order URL, body.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    malformed: Option<String>,
    /// What the queries and selectors among the values may be.
    language: ParseOptions,
    /// What the form takes of the budget for forms.
    _form: Option<OwnedSemaphorePermit>,
}

impl Params {
    pub(crate) fn new(
        pairs: Vec<(String, String)>,
        malformed: Option<String>,
        language: ParseOptions,
        form: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { pairs, malformed, language, _form: form }
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

    /// The matchers of a selector that may be missing and may match everything.
    pub(crate) fn matchers(&self, name: &str) -> Result<Vec<Matcher>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        mytsdb_promql_syntax::parse_selector(text, self.language).map_err(|error| ApiError::parameter(name, error))
    }

    /// The expression of `query`.
    pub(crate) fn expression(&self) -> Result<Expr, ParseError> {
        mytsdb_promql_syntax::parse_with(self.get("query"), self.language)
    }
}

fn selector(text: &str, language: ParseOptions) -> Result<Vec<Matcher>, ApiError> {
    let matchers =
        mytsdb_promql_syntax::parse_selector(text, language).map_err(|error| ApiError::bad_data(error.to_string()))?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
    }
    Ok(matchers)
}
