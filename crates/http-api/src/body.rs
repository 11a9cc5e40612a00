//! Response bodies: a list of chunks that is already in memory, and chunks that are still being made.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use mytsdb_promql::{Cancel, MemoryHold};
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
/// How long the maker waits in all. A client that is slower than that must not keep a query's turn and its thread:
/// the rest is then made at once, and waits in memory as any smaller answer does, as long as there is memory for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes in flight that are not counted. Those above count as memory of the query.
const FREE_BYTES: usize = 512 << 10;
/// How often a maker that was refused memory asks again: it hears of what its own client takes, but not of what others
/// give back.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

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

/// What a stream may take.
pub(crate) struct StreamLimits {
    /// Where its memory counts.
    pub(crate) hold: MemoryHold,
    /// When a maker that was refused memory stops to wait for its client.
    pub(crate) deadline: Instant,
    /// Stops the work that makes the chunks; raised when nobody reads them any more.
    pub(crate) cancel: Cancel,
}

/// A body and the end that its chunks are put in at.
pub(crate) fn stream(limits: StreamLimits) -> (StreamWriter, StreamBody) {
    let StreamLimits { hold, deadline, cancel } = limits;
    let state = State {
        chunks: VecDeque::new(),
        bytes: 0,
        hold,
        refused: false,
        complete: None,
        reader_gone: false,
        reader: None,
    };
    let stream = Arc::new(Stream { state: Mutex::new(state), room: Condvar::new() });
    let writer = StreamWriter { stream: Arc::clone(&stream), patience: PATIENCE, deadline, cut: false };
    (writer, StreamBody { stream, cancel })
}

struct Stream {
    state: Mutex<State>,
    /// There is room again, or nobody reads any more.
    room: Condvar,
}

struct State {
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`.
    bytes: usize,
    /// Counts them while they are more than [`FREE_BYTES`].
    hold: MemoryHold,
    /// The writer waits for memory.
    refused: bool,
    /// The writer is gone and has put in everything, or has not.
    complete: Option<bool>,
    reader_gone: bool,
    reader: Option<Waker>,
}

impl State {
    /// Counts `more` bytes, unless they have to wait.
    fn has_memory_for(&mut self, more: usize) -> bool {
        let bytes = self.bytes + more;
        // One chunk may always be in flight, so that the client's reading never stops for lack of memory.
        self.refused = !self.chunks.is_empty() && bytes > FREE_BYTES && self.hold.grow_to(bytes as u64).is_err();
        !self.refused
    }

    fn pop(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.len();
        self.hold.shrink_to(if self.bytes > FREE_BYTES { self.bytes as u64 } else { 0 });
        Some(chunk)
    }
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
/// the body end in an error, so that no client takes a part for the whole answer.
pub(crate) struct StreamWriter {
    stream: Arc<Stream>,
    patience: Duration,
    deadline: Instant,
    /// The client did not read in time.
    cut: bool,
}

impl StreamWriter {
    /// Adds a chunk and says whether more are wanted. Waits a while for room, and until the deadline for memory.
    pub(crate) fn send(&mut self, chunk: Bytes) -> bool {
        if self.cut {
            return false;
        }
        let mut state = self.stream.state();
        if state.chunks.len() >= IN_FLIGHT_MAX && !self.patience.is_zero() {
            let began = Instant::now();
            let full = |state: &mut State| state.chunks.len() > IN_FLIGHT_LOW && !state.reader_gone;
            let waited = self.stream.room.wait_timeout_while(state, self.patience, full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            self.patience = self.patience.saturating_sub(began.elapsed());
        }
        while !state.reader_gone && !state.has_memory_for(chunk.len()) {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.cut = true;
                return false;
            }
            let waited = self.stream.room.wait_timeout(state, left.min(REFUSED_PAUSE));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.reader_gone {
            return false;
        }
        state.bytes += chunk.len();
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

/// Sends chunks as they are put in. Dropping it tells the writer, and the work behind it, that nobody reads any more.
pub(crate) struct StreamBody {
    stream: Arc<Stream>,
    cancel: Cancel,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut state = self.stream.state();
        if let Some(chunk) = state.pop() {
            if state.chunks.len() == IN_FLIGHT_LOW || state.refused {
                self.stream.room.notify_one();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.complete {
            Some(true) => Poll::Ready(None),
            Some(false) => {
                // The error is given once; later polls get the end.
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
        self.cancel.cancel();
        let mut state = self.stream.state();
        state.reader_gone = true;
        state.bytes = 0;
        state.hold.shrink_to(0);
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
    use mytsdb_promql::{MemoryBudget, QueryOptions};

    fn chunk(n: usize) -> Bytes {
        Bytes::from(n.to_string())
    }

    fn limits(options: &QueryOptions, left: Duration) -> StreamLimits {
        let hold = MemoryHold::new(options);
        StreamLimits { hold, deadline: Instant::now() + left, cancel: Cancel::new() }
    }

    fn plain_stream() -> (StreamWriter, StreamBody) {
        stream(limits(&QueryOptions::default(), Duration::from_mins(1)))
    }

    #[tokio::test]
    async fn chunks_arrive_in_order_while_they_are_made() {
        let (mut writer, body) = plain_stream();
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
        let (mut writer, body) = plain_stream();
        writer.send(chunk(1));
        drop(writer);
        assert!(body.collect().await.is_err());
    }

    #[test]
    fn a_writer_learns_that_nobody_reads_even_while_it_waits() {
        let (mut writer, body) = plain_stream();
        let maker = std::thread::spawn(move || (0..1_000_000).take_while(|&n| writer.send(chunk(n))).count());
        while body.stream.state().chunks.len() < IN_FLIGHT_MAX {
            std::thread::yield_now();
        }
        drop(body);
        assert!((IN_FLIGHT_MAX..1_000_000).contains(&maker.join().unwrap()));
    }

    #[test]
    fn a_client_that_does_not_read_is_not_waited_for() {
        let (mut writer, body) = plain_stream();
        writer.patience = Duration::from_millis(1);
        assert!((0..100).all(|n| writer.send(chunk(n))));
        writer.finish();
        assert_eq!(body.stream.state().chunks.len(), 100);
    }

    /// Chunks of 128 KiB, of which 5 MiB fit into the budget.
    fn large(count: usize) -> impl Iterator<Item = Bytes> {
        std::iter::repeat_n(Bytes::from(vec![b'x'; 128 << 10]), count)
    }

    #[tokio::test]
    async fn what_waits_for_a_slow_client_counts_and_is_given_back() {
        let budget = MemoryBudget::new(5 << 20, "--flag");
        let options = QueryOptions { memory: Some(budget.clone()), ..QueryOptions::default() };
        let (mut writer, mut body) = stream(limits(&options, Duration::from_mins(1)));
        writer.patience = Duration::ZERO;
        assert!(large(4).all(|chunk| writer.send(chunk)));
        assert_eq!(budget.used_bytes(), 0, "so little is free");
        assert!(large(36).all(|chunk| writer.send(chunk)));
        assert_eq!(budget.used_bytes(), 5 << 20);
        let maker = std::thread::spawn(move || {
            assert!(large(100).all(|chunk| writer.send(chunk)));
            writer.finish();
        });
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().into_data().unwrap().len();
            assert!(body.stream.state().bytes <= 5 << 20);
        }
        maker.join().unwrap();
        assert_eq!((bytes, budget.used_bytes()), (140 * (128 << 10), 0));
        assert_eq!(budget.peak_bytes(), 5 << 20);
    }

    #[tokio::test]
    async fn an_answer_for_which_there_is_no_memory_waits_for_its_client_until_the_deadline() {
        let budget = MemoryBudget::new(1 << 20, "--flag");
        let options = QueryOptions { memory: Some(budget.clone()), ..QueryOptions::default() };
        let (mut writer, body) = stream(limits(&options, Duration::from_millis(20)));
        writer.patience = Duration::ZERO;
        assert_eq!(large(100).take_while(|chunk| writer.send(chunk.clone())).count(), 8);
        assert!(!writer.send(chunk(1)), "nothing goes behind a gap");
        drop(writer);
        assert!(body.collect().await.is_err());
        assert_eq!((budget.used_bytes(), budget.peak_bytes()), (0, 1 << 20));
    }
}
