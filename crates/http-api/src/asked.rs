//! The extractor that handlers read a request with: how to answer, and the parameters.

use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::form_reader::{FormReader, Forms};
use crate::params::Params;
use axum::extract::{FromRef, FromRequest, Request};
use http::HeaderMap;
use std::sync::Arc;

/// A request, read. What cannot be read is refused before the handler runs.
pub(crate) struct Asked {
    /// How the client wants the answer encoded.
    pub(crate) encoding: Encoding,
    pub(crate) params: Params,
    pub(crate) headers: HeaderMap,
}

impl<S: Send + Sync> FromRequest<S> for Asked
where
    Arc<FormReader>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Self::read(request, &Arc::from_ref(state), Forms::All).await
    }
}

impl Asked {
    async fn read(request: Request, reader: &FormReader, forms: Forms) -> Result<Self, ApiError> {
        let (mut head, body) = request.into_parts();
        let params = reader.read(&head, body, forms).await?;
        let headers = std::mem::take(&mut head.headers);
        Ok(Self { encoding: Encoding::negotiate(&headers), params, headers })
    }
}

/// The same for endpoints that read no multipart forms.
pub(crate) struct AskedPlainly(pub(crate) Asked);

impl<S: Send + Sync> FromRequest<S> for AskedPlainly
where
    Arc<FormReader>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Asked::read(request, &Arc::from_ref(state), Forms::UrlEncoded).await.map(Self)
    }
}
