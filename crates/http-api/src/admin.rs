//! `admin/tsdb/...`: what changes stored data. Off unless somebody gave the API an [`Admin`].

use crate::answer::Answer;
use crate::asked::AskedPlainly;
use crate::error::{ApiError, ErrorKind};
use axum::extract::State;
use mytsdb_model::{Matcher, TimeRange};
use std::sync::Arc;

/// Changes stored data. Its methods are called on threads that may block; what they say goes to the client.
pub trait Admin: Send + Sync {
    /// Deletes the samples in a range of the series that satisfy all matchers of one of the selectors.
    ///
    /// # Errors
    /// Why not, as a sentence.
    fn delete_series(&self, selectors: Vec<Vec<Matcher>>, range: TimeRange) -> Result<(), String>;

    /// Frees the space of what has been deleted; returns when that is done.
    ///
    /// # Errors
    /// Why not, as a sentence.
    fn clean_tombstones(&self) -> Result<(), String>;
}

/// The administration of a storage, or none: then its endpoints say that they are disabled.
#[derive(Clone, Default)]
pub struct Administration(Option<Arc<dyn Admin>>);

impl Administration {
    /// Turns the endpoints on.
    pub fn by(admin: Arc<dyn Admin>) -> Self {
        Self(Some(admin))
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Does something on a thread that may block.
    async fn run(
        &self,
        work: impl FnOnce(&dyn Admin) -> Result<(), String> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let admin = self.enabled()?.clone();
        let done = tokio::task::spawn_blocking(move || work(&*admin)).await;
        match done {
            Ok(Ok(())) => Ok(Answer::no_content()),
            Ok(Err(reason)) => Err(ApiError::new(ErrorKind::Internal, reason)),
            Err(_) => Err(ApiError::new(ErrorKind::Internal, "internal error: the request ended in a panic")),
        }
    }

    fn enabled(&self) -> Result<&Arc<dyn Admin>, ApiError> {
        self.0.as_ref().ok_or_else(|| ApiError::new(ErrorKind::Unavailable, "admin APIs disabled"))
    }
}

impl std::fmt::Debug for Administration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Administration").field(&self.is_enabled()).finish()
    }
}

pub(crate) async fn delete_series(
    State(administration): State<Administration>,
    AskedPlainly(asked): AskedPlainly,
) -> Result<Answer, ApiError> {
    administration.enabled()?;
    let params = asked.params;
    if let Some(reason) = params.malformed() {
        return Err(ApiError::bad_data(format!("error parsing form values: {reason}")));
    }
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = params.range()?;
    if range.is_empty() {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let selectors = params.selectors().map_err(|error| ApiError::parameter("match[]", error.message))?;
    administration.run(move |admin| admin.delete_series(selectors, range)).await
}

pub(crate) async fn clean_tombstones(State(administration): State<Administration>) -> Result<Answer, ApiError> {
    administration.run(|admin| admin.clean_tombstones()).await
}
