//! Work that may take long: it waits for its turn, runs off the connection threads, and stops when the client goes.

use crate::answer::{Answer, Outcome};
use crate::body::StreamLimits;
use crate::delivery::Delivery;
use crate::encoding::Encoding;
use crate::error::{ApiError, ErrorKind};
use crate::gate::Gate;
use crate::json::Chunks;
use axum::body::Body;
use http::Response;
use mytsdb_promql::{Cancel, MemoryHold, QueryOptions, StorageError};
use std::time::{Duration, Instant};

/// Stops the work when the connection drops the request's future, unless its answer has begun.
struct CancelOnDrop(Option<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

/// What a job knows of its own run.
pub(crate) struct Run {
    pub(crate) cancel: Cancel,
    /// Time spent waiting for a turn.
    pub(crate) queued: Duration,
}

impl Run {
    /// What to answer when the storage failed, which it does on purpose once it is told to stop.
    pub(crate) fn failure(&self, error: StorageError) -> ApiError {
        self.cancel.check().map_or_else(ApiError::from, |()| error.into())
    }
}

/// Runs `work` on a blocking thread once `gate` lets it, and answers with what it writes.
///
/// Rendering and compression are part of the job, so connection threads only ever copy bytes. Long answers are sent
/// while they are written; what waits for a slow client counts by the limits of `options`. A panic answers 500, or cuts
/// off an answer that has begun.
pub(crate) async fn run(
    gate: &Gate,
    options: &QueryOptions,
    timeout: Duration,
    encoding: Encoding,
    work: impl FnOnce(&Run, &mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
) -> Response<Body> {
    let arrived = Instant::now();
    let turn = match gate.enter(timeout).await {
        Ok(turn) => turn,
        Err(error) => return Answer::error(&error).into_response(),
    };
    let deadline = arrived + timeout;
    let cancel = Cancel::at(deadline);
    let mut guard = CancelOnDrop(Some(cancel.clone()));
    let limits = StreamLimits { hold: MemoryHold::new(options), deadline, cancel: cancel.clone() };
    let run = Run { cancel, queued: arrived.elapsed() };
    let (delivery, answer) = Delivery::new(encoding, turn, limits);
    let task = tokio::task::spawn_blocking(move || delivery.of(|out| work(&run, out)));
    if let Ok(answer) = answer.await {
        // From here on it is the body that stops the work when nobody reads it.
        guard.0 = None;
        return answer.into_response();
    }
    if let Err(failure) = task.await {
        tracing::error!(error = %failure, "a query ended in a panic");
    }
    let error = ApiError::new(ErrorKind::Internal, "internal error: the query ended in a panic");
    Answer::error(&error).into_response()
}
