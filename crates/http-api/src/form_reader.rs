//! Reads the parameters of a request: URL query and form body merged, within bounds.

use crate::error::{ApiError, ErrorKind};
use crate::form;
use crate::options::ApiOptions;
use crate::params::Params;
use axum::body::{Body, HttpBody};
use http::request::Parts;
use http::{Method, header};
use http_body_util::BodyExt;
use mytsdb_promql_syntax::ParseOptions;
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

/// Reads parameters, and has a limit for a form and one for all forms together.
pub(crate) struct FormReader {
    /// What queries and selectors may be.
    language: ParseOptions,
    form_bytes_max: usize,
    /// Memory for the forms of all requests; each unit is a byte.
    budget: Arc<Semaphore>,
    budget_bytes: usize,
}

impl FormReader {
    pub(crate) fn new(options: &ApiOptions) -> Self {
        let budget_bytes = options.forms_bytes_max.min(Semaphore::MAX_PERMITS);
        Self {
            language: options.language(),
            form_bytes_max: options.form_bytes_max,
            budget: Arc::new(Semaphore::new(budget_bytes)),
            budget_bytes,
        }
    }

    /// Reads the URL, and for a POST or PUT the body if it is a form.
    pub(crate) async fn read(&self, head: &Parts, body: Body, forms: Forms) -> Result<Params, ApiError> {
        let params = |pairs, malformed, held| Params::new(pairs, malformed, self.language, held);
        let (mut url, url_malformed) = form::pairs(head.uri.query().unwrap_or("").as_bytes());
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let is = |kind: &str| content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(kind);
        if head.method != Method::POST && head.method != Method::PUT {
            return Ok(params(url, url_malformed, None));
        }
        if is("application/x-www-form-urlencoded") {
            let (bytes, held) = self.read_form(body).await?;
            let (mut pairs, malformed) = form::pairs(&bytes);
            pairs.append(&mut url);
            return Ok(params(pairs, malformed.or(url_malformed), held));
        }
        let boundary = form::boundary(content_type).filter(|_| forms == Forms::All && is("multipart/form-data"));
        let Some(boundary) = boundary else { return Ok(params(url, url_malformed, None)) };
        let (bytes, held) = self.read_form(body).await?;
        url.extend(form::multipart(&bytes, boundary).unwrap_or_default());
        Ok(params(url, url_malformed, held))
    }

    /// The bytes of a form, and what they take of the budget.
    async fn read_form(&self, body: Body) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ApiError> {
        let arriving = tokio::time::timeout(FORM_TIMEOUT, self.collect(body));
        arriving.await.unwrap_or_else(|_| {
            let text = format!("the form did not arrive within {} seconds", FORM_TIMEOUT.as_secs());
            Err(ApiError::new(ErrorKind::Timeout, text))
        })
    }

    async fn collect(&self, mut body: Body) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), ApiError> {
        let bytes_max = self.form_bytes_max;
        let too_large =
            || ApiError::bad_data(format!("form body is larger than {bytes_max} bytes (--http-max-form-bytes)"));
        if body.size_hint().lower() > bytes_max as u64 {
            swallow(body, bytes_max.saturating_mul(SWALLOWED_TIMES)).await;
            return Err(too_large());
        }
        let (mut bytes, mut held): (Vec<u8>, Option<OwnedSemaphorePermit>) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| ApiError::new(ErrorKind::Canceled, format!("error reading form body: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                drop((bytes, held));
                swallow(body, bytes_max.saturating_mul(SWALLOWED_TIMES)).await;
                return Err(too_large());
            }
            let counted = |len: usize| len.saturating_sub(FREE_BYTES);
            let more = counted(bytes.len() + data.len()) - counted(bytes.len());
            if more > 0 {
                let permit = self.take(more)?;
                match &mut held {
                    Some(held) => held.merge(permit),
                    none => *none = Some(permit),
                }
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, held))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permit = u32::try_from(bytes).ok().and_then(|n| Arc::clone(&self.budget).try_acquire_many_owned(n).ok());
        permit.ok_or_else(|| {
            let limit = self.budget_bytes;
            let text = format!("too many large forms at once: all together may have {limit} bytes, come back later");
            ApiError::new(ErrorKind::Overloaded, text)
        })
    }
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
