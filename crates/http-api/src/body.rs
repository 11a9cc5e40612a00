//! Response bodies: a list of chunks that is already in memory, and chunks that are still being made.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Chunks in flight at which the maker of a [`StreamBody`] waits, and how few there must be for it to go on.
const IN_FLIGHT_MAX: usize = 16;
const IN_FLIGHT_LOW: usize = 8;
/// Chunks for which a waiting [`StreamBody`] is woken: waking a thread costs about as much as making a chunk.
const WOKEN_MIN: usize = 4;
/// How long the maker waits in all. A client that is slower than that shall not keep a query's turn and its thread:
/// the rest is then made at once, and waits in memory as any smaller answer does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends chunks one by one and gives each free once it is handed on. The length is known from the start.
pub(crate) struct ChunkBody {
    chunks: std::vec::IntoIter<Bytes>,
    bytes_left: u64,
}

impl ChunkBody {
    pub(crate) fn new(chunks: Vec<Bytes>) -> Self {
        let bytes_left = chunks.iter().map(|c| c.len() as u64).sum();
        Self { chunks: chunks.into_iter(), bytes_left }
    }
}

impl Body for ChunkBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.chunks.next();
        self.bytes_left -= next.as_ref().map_or(0, |c| c.len() as u64);
        Poll::Ready(next.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

/// A body and the end that its chunks are put in at.
pub(crate) fn stream() -> (StreamWriter, StreamBody) {
    let stream = Arc::new(Stream { state: Mutex::default(), room: Condvar::new() });
    (StreamWriter { stream: Arc::clone(&stream), patience: PATIENCE }, StreamBody { stream })
}

struct Stream {
    state: Mutex<State>,
    /// There is room again, or nobody reads any more.
    room: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The writer is gone and has put in everything, or has not.
    complete: Option<bool>,
    reader_gone: bool,
    reader: Option<Waker>,
}

impl Stream {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, complete: bool) {
        let mut state = self.state();
        state.complete = state.complete.or(Some(complete));
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// Puts chunks into a [`StreamBody`], from a thread that may wait. Dropped before [`StreamWriter::finish`], it makes
/// the body end in an error, so that nobody takes a part for the whole.
pub(crate) struct StreamWriter {
    stream: Arc<Stream>,
    patience: Duration,
}

impl StreamWriter {
    /// Adds a chunk and says whether anybody still reads. Waits a while for room.
    pub(crate) fn send(&mut self, chunk: Bytes) -> bool {
        let mut state = self.stream.state();
        if state.chunks.len() >= IN_FLIGHT_MAX && !self.patience.is_zero() {
            let began = Instant::now();
            let full = |state: &mut State| state.chunks.len() > IN_FLIGHT_LOW && !state.reader_gone;
            let waited = self.stream.room.wait_timeout_while(state, self.patience, full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            self.patience = self.patience.saturating_sub(began.elapsed());
        }
        if state.reader_gone {
            return false;
        }
        state.chunks.push_back(chunk);
        let reader = if state.chunks.len() >= WOKEN_MIN { state.reader.take() } else { None };
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    /// There are no more chunks.
    pub(crate) fn finish(self) {
        self.stream.end(true);
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.stream.end(false);
    }
}

/// Sends chunks as they are put in. Dropping it tells the writer that nobody reads any more.
pub(crate) struct StreamBody {
    stream: Arc<Stream>,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut state = self.stream.state();
        if let Some(chunk) = state.chunks.pop_front() {
            if state.chunks.len() == IN_FLIGHT_LOW {
                self.stream.room.notify_one();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.complete {
            Some(true) => Poll::Ready(None),
            Some(false) => {
                // Said once; whoever asks again is told that this is the end.
                state.complete = Some(true);
                Poll::Ready(Some(Err(io::Error::other("the answer was cut short"))))
            }
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let mut state = self.stream.state();
        state.reader_gone = true;
        let left = std::mem::take(&mut state.chunks);
        drop(state);
        self.stream.room.notify_one();
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn chunk(n: usize) -> Bytes {
        Bytes::from(n.to_string())
    }

    #[tokio::test]
    async fn chunks_arrive_in_order_while_they_are_made() {
        let (mut writer, body) = stream();
        let maker = std::thread::spawn(move || {
            assert!((0..1000).all(|n| writer.send(chunk(n))));
            writer.finish();
        });
        let expected: String = (0..1000).map(|n| n.to_string()).collect();
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected);
        maker.join().unwrap();
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_makes_the_body_fail() {
        let (mut writer, body) = stream();
        writer.send(chunk(1));
        drop(writer);
        assert!(body.collect().await.is_err());
    }

    #[test]
    fn a_writer_learns_that_nobody_reads_even_while_it_waits() {
        let (mut writer, body) = stream();
        let maker = std::thread::spawn(move || (0..1_000_000).take_while(|&n| writer.send(chunk(n))).count());
        while body.stream.state().chunks.len() < IN_FLIGHT_MAX {
            std::thread::yield_now();
        }
        drop(body);
        assert!((IN_FLIGHT_MAX..1_000_000).contains(&maker.join().unwrap()));
    }

    #[test]
    fn a_client_that_does_not_read_is_not_waited_for() {
        let (mut writer, body) = stream();
        writer.patience = Duration::from_millis(1);
        assert!((0..100).all(|n| writer.send(chunk(n))));
        writer.finish();
        assert_eq!(body.stream.state().chunks.len(), 100);
    }
}
