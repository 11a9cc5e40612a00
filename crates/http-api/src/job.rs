//! Work that may take long: it waits for its turn, runs off the connection threads, and stops when the client goes. What
//! mostly takes microseconds is tried on the connection thread first.

use crate::answer::{Answer, Frame, Outcome, Written, write_framed};
use crate::body::StreamLimits;
use crate::delivery::Delivery;
use crate::encoding::Encoding;
use crate::error::{ApiError, ErrorKind};
use crate::gate::Gate;
use crate::json::{Chunks, Outlet};
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::Response;
use mytsdb_promql::{Cancel, MemoryHold, QueryOptions, StorageError};
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// What a job may take.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// Where its answer counts while it waits for a slow client.
    pub(crate) options: &'a QueryOptions,
    /// From its arrival to its answer.
    pub(crate) timeout: Duration,
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

/// Time that a connection thread may spend on an answer: about twice what it takes to have another thread do it.
const MOMENT: Duration = Duration::from_micros(200);

/// Longest answer of a connection thread, in bytes: more takes long to compress.
const MOMENT_BYTES_MAX: usize = 16 << 10;

/// Accepts as much as a connection thread may write.
struct Brief;

impl Brief {
    fn holds(chunks: &[Bytes]) -> bool {
        chunks.iter().map(Bytes::len).sum::<usize>() <= MOMENT_BYTES_MAX
    }
}

impl Outlet for Brief {
    fn offer(&mut self, full: &mut Vec<Bytes>) -> bool {
        Self::holds(full)
    }
}

/// Answers with what `work` writes, on this thread. `None` if there is no turn, and if it fails, writes much or does not
/// end within a moment: [`run`] has to do it then. Cost: a moment, and what `work` does between two looks at its handle.
pub(crate) fn at_once(
    gate: &Gate,
    encoding: Encoding,
    work: impl FnOnce(&Run, &mut Chunks) -> Result<Outcome, ApiError>,
) -> Option<Response<Body>> {
    let turn = gate.try_enter()?;
    let run = Run { cancel: Cancel::at(Instant::now() + MOMENT), queued: Duration::ZERO };
    let mut brief = Brief;
    let mut out = Chunks::with_outlet(&mut brief);
    // What panics here does so again in `run`, which answers it.
    let written =
        catch_unwind(AssertUnwindSafe(|| write_framed(&mut out, Frame::Envelope, |out| work(&run, out)))).ok()?;
    let whole = out.is_wanted() && matches!(written, Ok(Written::Data));
    let chunks = out.finish();
    drop(turn);
    (whole && Brief::holds(&chunks)).then(|| Answer::success(encoding, chunks).into_response())
}

/// Runs `work` on a blocking thread once `gate` lets it, and answers with what it writes.
///
/// Rendering and compression are part of the job, so connection threads only ever copy bytes. Long answers are sent
/// while they are written; what waits for a slow client counts by the limits. A panic answers 500, or cuts
/// off an answer that has begun.
pub(crate) async fn run(
    gate: &Gate,
    Limits { options, timeout }: Limits<'_>,
    (encoding, frame): (Encoding, Frame),
    work: impl FnOnce(&Run, &mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
) -> Response<Body> {
    let arrived = Instant::now();
    let turn = match gate.enter(timeout).await {
        Ok(turn) => turn,
        Err(error) => return error.into_response(),
    };
    let deadline = arrived + timeout;
    let cancel = Cancel::at(deadline);
    let mut guard = CancelOnDrop(Some(cancel.clone()));
    let limits = StreamLimits { hold: MemoryHold::new(options), deadline, cancel: cancel.clone() };
    let run = Run { cancel, queued: arrived.elapsed() };
    let (delivery, answer) = Delivery::new((encoding, frame), turn, limits);
    let task = tokio::task::spawn_blocking(move || delivery.of(|out| work(&run, out)));
    if let Ok(answer) = answer.await {
        // From here on it is the body that stops the work when nobody reads it.
        guard.0 = None;
        return answer.into_response();
    }
    if let Err(failure) = task.await {
        tracing::error!(error = %failure, "a query ended in a panic");
    }
    ApiError::new(ErrorKind::Internal, "internal error: the query ended in a panic").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_telemetry::Registry;

    fn gate() -> Gate {
        Gate::new("test", 1, 0, Duration::ZERO, &Registry::new())
    }

    fn numbers(count: u64) -> impl Fn(&Run, &mut Chunks) -> Result<Outcome, ApiError> {
        move |_, out| {
            out.list(0..count, Chunks::integer);
            Ok(Outcome::data())
        }
    }

    #[test]
    fn what_is_short_is_answered_at_once() {
        assert!(at_once(&gate(), Encoding::Identity, numbers(3)).is_some());
        assert!(at_once(&gate(), Encoding::Gzip, numbers(2_000)).is_some());
    }

    #[test]
    fn what_is_long_or_fails_is_left_to_a_thread_of_its_own() {
        for count in [10_000, 1_000_000, u64::MAX] {
            assert!(at_once(&gate(), Encoding::Identity, numbers(count)).is_none(), "{count}");
        }
        let slow = |run: &Run, _: &mut Chunks| loop {
            run.cancel.check()?;
        };
        assert!(at_once(&gate(), Encoding::Identity, slow).is_none());
        let failing = |_: &Run, _: &mut Chunks| Err(ApiError::new(ErrorKind::Execution, "no"));
        assert!(at_once(&gate(), Encoding::Identity, failing).is_none());
        assert!(at_once(&gate(), Encoding::Identity, |_, _| panic!("on purpose")).is_none());
    }

    #[test]
    fn nothing_is_answered_at_once_beyond_the_gate() {
        let gate = gate();
        let turn = gate.try_enter().unwrap();
        assert!(at_once(&gate, Encoding::Identity, numbers(3)).is_none());
        drop(turn);
        assert!(at_once(&gate, Encoding::Identity, numbers(3)).is_some());
        assert!(gate.try_enter().is_some(), "the turn was given back");
    }
}
