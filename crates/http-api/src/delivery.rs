//! The way of a job's answer to its client: whole if it is small, and while it is still being written if it is long.

use crate::answer::{Answer, Frame, Outcome, Written, write_framed};
use crate::body::{StreamLimits, StreamWriter, stream};
use crate::encoding::{Encoder, Encoding};
use crate::error::ApiError;
use crate::gate::Turn;
use crate::json::{Chunks, Outlet};
use bytes::Bytes;
use tokio::sync::oneshot;

/// Bytes in full chunks from which on an answer is sent while it is written. Shorter ones have a `Content-Length`, and
/// errors that turn up late can still take their place.
const STREAMED_BYTES_MIN: usize = 256 << 10;

/// Takes what a job writes and sends it.
pub(crate) struct Delivery {
    encoding: Encoding,
    frame: Frame,
    /// Lasts as long as the work, also when nobody waits for the answer any more; ends before the answer does, so that
    /// a client that has its answer finds the turn free.
    turn: Option<Turn>,
    answer: Option<oneshot::Sender<Answer>>,
    /// Of the stream, if there is to be one.
    limits: Option<StreamLimits>,
    stream: Option<(Encoder, StreamWriter)>,
}

impl Delivery {
    /// A delivery, and where its answer will appear: whole, or as soon as it begins. It does not if the job panics.
    pub(crate) fn new(
        (encoding, frame): (Encoding, Frame),
        turn: Turn,
        limits: StreamLimits,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let (turn, answer, limits) = (Some(turn), Some(sender), Some(limits));
        (Self { encoding, frame, turn, answer, limits, stream: None }, receiver)
    }

    /// Runs a handler and delivers what it writes.
    pub(crate) fn of(mut self, handler: impl FnOnce(&mut Chunks) -> Result<Outcome, ApiError>) {
        let frame = self.frame;
        let mut out = Chunks::with_outlet(&mut self);
        let written = write_framed(&mut out, frame, handler);
        let rest = out.finish();
        match written {
            Ok(Written::Data) => self.finish(rest),
            Ok(Written::NoContent) => self.answer(Answer::no_content()),
            Err(error) => self.answer(Answer::error(&error)),
        }
    }

    fn finish(mut self, rest: Vec<Bytes>) {
        let Some((mut encoder, mut writer)) = self.stream.take() else {
            let whole = framed(Answer::success(self.encoding, rest), self.frame);
            return self.answer(whole);
        };
        let encoded: Vec<Bytes> = rest.into_iter().filter_map(|chunk| encoder.encode(chunk)).collect();
        self.turn = None;
        if encoded.into_iter().chain(encoder.finish()).all(|chunk| writer.send(chunk)) {
            writer.finish();
        }
    }

    /// Sends a whole answer, unless one has begun: that is cut off when the stream's writer goes.
    fn answer(mut self, answer: Answer) {
        self.turn = None;
        if let Some(waiting) = self.answer.take() {
            // A client that is gone gets no answer.
            drop(waiting.send(answer));
        }
    }
}

fn framed(answer: Answer, frame: Frame) -> Answer {
    match frame {
        Frame::Envelope => answer,
        Frame::Bare(content_type) => answer.typed(content_type),
    }
}

impl Outlet for Delivery {
    fn offer(&mut self, full: &mut Vec<Bytes>) -> bool {
        if let Some(waiting) = &self.answer {
            if waiting.is_closed() {
                return false;
            }
            if full.iter().map(Bytes::len).sum::<usize>() < STREAMED_BYTES_MIN {
                return true;
            }
        }
        if let (Some(waiting), Some(limits)) = (self.answer.take(), self.limits.take()) {
            let (writer, body) = stream(limits);
            self.stream = Some((self.encoding.encoder(), writer));
            if waiting.send(framed(Answer::streamed(self.encoding, body), self.frame)).is_err() {
                return false;
            }
        }
        let Some((encoder, writer)) = &mut self.stream else { return false };
        full.drain(..).filter_map(|chunk| encoder.encode(chunk)).all(|chunk| writer.send(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::gate::Gate;
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;
    use mytsdb_promql::{Cancel, MemoryHold, QueryOptions};
    use mytsdb_telemetry::Registry;
    use std::time::{Duration, Instant};

    fn limits() -> StreamLimits {
        let hold = MemoryHold::new(&QueryOptions::default());
        StreamLimits { hold, deadline: Instant::now() + Duration::from_mins(1), cancel: Cancel::new() }
    }

    async fn deliver(
        write: impl FnOnce(&mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
    ) -> (http::HeaderMap, Result<Bytes, axum::Error>) {
        let gate = Gate::new("test", 1, 1, Duration::from_secs(1), &Registry::new());
        let turn = gate.enter(Duration::from_secs(1)).await.ok().unwrap();
        let (delivery, answer) = Delivery::new((Encoding::Identity, Frame::Envelope), turn, limits());
        let job = tokio::task::spawn_blocking(move || delivery.of(write));
        let response = answer.await.unwrap().into_response();
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        job.await.unwrap();
        assert!(gate.enter(Duration::ZERO).await.is_ok(), "the turn is free again");
        (head.headers, body)
    }

    fn numbers(count: u64) -> impl FnOnce(&mut Chunks) -> Result<Outcome, ApiError> + Send {
        move |out| {
            out.list(0..count, Chunks::integer);
            Ok(Outcome::data())
        }
    }

    #[tokio::test]
    async fn long_and_short_answers_arrive_whole() {
        for count in [1, 1_000, 30_000, 60_000, 500_000] {
            let (_, body) = deliver(numbers(count)).await;
            let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            assert!(body.unwrap() == format!(r#"{{"status":"success","data":[{}]}}"#, expected.join(",")));
        }
    }

    #[tokio::test]
    async fn an_error_in_a_short_answer_replaces_it_and_in_a_long_one_cuts_it_off() {
        let failing = |count| {
            move |out: &mut Chunks| {
                numbers(count)(out)?;
                Err(ApiError::new(ErrorKind::Execution, "no"))
            }
        };
        let (_, short) = deliver(failing(1_000)).await;
        assert_eq!(short.unwrap(), r#"{"status":"error","errorType":"execution","error":"no"}"#);
        assert!(deliver(failing(500_000)).await.1.is_err());
    }

    #[tokio::test]
    async fn a_long_answer_stops_when_its_client_goes() {
        let gate = Gate::new("test", 1, 1, Duration::from_secs(1), &Registry::new());
        let turn = gate.enter(Duration::ZERO).await.ok().unwrap();
        let (delivery, answer) = Delivery::new((Encoding::Gzip, Frame::Envelope), turn, limits());
        let job = tokio::task::spawn_blocking(move || {
            let mut count = 0;
            delivery.of(|out| {
                out.list(0..u64::MAX, |out, n| {
                    count = n;
                    out.integer(n);
                });
                Ok(Outcome::data())
            });
            count
        });
        drop(answer.await.unwrap());
        assert!(job.await.unwrap() > 10_000);
    }
}
