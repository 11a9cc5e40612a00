//! Rows computed by several threads and folded by one of them, in order.
//!
//! Chunks of rows are handed out in order. The folding thread takes the results in the same order and computes a chunk
//! itself whenever the one it needs is not ready, so folding overlaps with computing. Only [`WINDOW_CHUNKS`] chunks a
//! thread may be ahead of the fold.

use super::cells::Cells;
use super::context::{Context, Scratch};
use super::rows::Vector;
use crate::annotations::Annotations;
use crate::error::EvalError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rows that a thread computes at a time.
const CHUNK_ROWS: usize = 32;

/// Chunks per thread that may be computed or wait for the fold.
const WINDOW_CHUNKS: usize = 4;

/// Computed rows: as many as there are until one failed.
#[derive(Default)]
struct Chunk {
    rows: Vec<Cells>,
    /// Rows of `rows` that are valid.
    count: usize,
    /// Remarks on single rows.
    remarks: Vec<(usize, Annotations)>,
    /// Why the row behind the last one could not be computed.
    failure: Option<EvalError>,
}

struct State {
    /// The next chunk that nobody computes yet.
    next: usize,
    /// The chunk that is to be folded next, or is being folded.
    folding: usize,
    /// Chunk `i` waits in slot `i % len`.
    done: Vec<Option<Chunk>>,
    /// Folded chunks, for reuse of their memory.
    spare: Vec<Chunk>,
    stopped: bool,
}

struct Queue {
    chunk_count: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    fn new(row_count: usize, threads: usize) -> Self {
        let mut done = Vec::new();
        done.resize_with(WINDOW_CHUNKS * threads, || None);
        let state = State { next: 0, folding: 0, done, spare: Vec::new(), stopped: false };
        Self { chunk_count: row_count.div_ceil(CHUNK_ROWS), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A thread that panics does so outside the lock, so the state is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'q>(&self, state: MutexGuard<'q, State>) -> MutexGuard<'q, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a chunk to compute and memory for it, if the window has room.
    fn claim(&self, state: &mut State) -> Option<(usize, Chunk)> {
        let room = state.next < self.chunk_count && state.next < state.folding + state.done.len();
        room.then(|| {
            state.next += 1;
            (state.next - 1, state.spare.pop().unwrap_or_default())
        })
    }

    fn put(&self, state: &mut State, number: usize, chunk: Chunk) {
        let slot = number % state.done.len();
        state.done[slot] = Some(chunk);
        self.changed.notify_all();
    }

    /// Computes chunks until there are none left.
    fn work(&self, context: &Context<'_>, vector: &Vector<'_>) {
        let _panicked = Stop { queue: self, always: false };
        let mut scratch = context.scratch();
        let mut state = self.lock();
        while !state.stopped && state.next < self.chunk_count {
            if let Some((number, mut chunk)) = self.claim(&mut state) {
                drop(state);
                compute(context, vector, number, &mut scratch, &mut chunk);
                state = self.lock();
                self.put(&mut state, number, chunk);
            } else {
                state = self.wait(state);
            }
        }
    }

    /// Chunk `number`, once it is ready; `None` if a worker panicked.
    fn take(
        &self,
        context: &Context<'_>,
        vector: &Vector<'_>,
        number: usize,
        scratch: &mut Scratch<'_>,
    ) -> Option<Chunk> {
        let mut state = self.lock();
        state.folding = number;
        self.changed.notify_all();
        loop {
            let slot = number % state.done.len();
            if state.stopped {
                return None;
            }
            if let Some(chunk) = state.done[slot].take() {
                return Some(chunk);
            }
            if let Some((claimed, mut chunk)) = self.claim(&mut state) {
                drop(state);
                compute(context, vector, claimed, scratch, &mut chunk);
                state = self.lock();
                self.put(&mut state, claimed, chunk);
            } else {
                state = self.wait(state);
            }
        }
    }
}

/// Sends the workers home when the fold ends, and everybody when a worker panics.
struct Stop<'q> {
    queue: &'q Queue,
    always: bool,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if self.always || std::thread::panicking() {
            self.queue.lock().stopped = true;
            self.queue.changed.notify_all();
        }
    }
}

/// Computes the rows of chunk `number`; remarks go with the rows, so that their order is that of the rows.
fn compute(context: &Context<'_>, vector: &Vector<'_>, number: usize, scratch: &mut Scratch<'_>, chunk: &mut Chunk) {
    let start = number * CHUNK_ROWS;
    let count = CHUNK_ROWS.min(vector.len() - start);
    chunk.rows.resize_with(CHUNK_ROWS, Cells::default);
    (chunk.count, chunk.failure) = (0, None);
    let before = std::mem::take(&mut scratch.annotations);
    for (offset, cells) in chunk.rows[..count].iter_mut().enumerate() {
        if let Err(error) = context.cancel.check().and_then(|()| vector.read(start + offset, scratch, cells)) {
            chunk.failure = Some(error);
            break;
        }
        chunk.count += 1;
        if !scratch.annotations.is_empty() {
            chunk.remarks.push((offset, std::mem::take(&mut scratch.annotations)));
        }
    }
    scratch.annotations = before;
}

/// Calls `fold` with every row of `vector` in order, as one thread alone would.
pub(super) fn fold_in_order<'a>(
    context: &Context<'a>,
    vector: &Vector<'a>,
    threads: usize,
    mut fold: impl FnMut(usize, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let queue = Queue::new(vector.len(), threads);
    let workers = threads.min(queue.chunk_count) - 1;
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(|| queue.work(context, vector))).collect();
        let outcome = {
            let _home = Stop { queue: &queue, always: true };
            fold_chunks(context, vector, &queue, &mut fold)
        };
        for handle in handles {
            if let Err(panic) = handle.join() {
                std::panic::resume_unwind(panic);
            }
        }
        outcome
    })
}

fn fold_chunks<'a>(
    context: &Context<'a>,
    vector: &Vector<'a>,
    queue: &Queue,
    fold: &mut impl FnMut(usize, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let mut scratch = context.scratch();
    for number in 0..queue.chunk_count {
        // Without a chunk, the panic of the worker is what the caller sees.
        let Some(mut chunk) = queue.take(context, vector, number, &mut scratch) else {
            return Err(EvalError::Canceled);
        };
        let mut remarks = chunk.remarks.drain(..).peekable();
        for (offset, cells) in chunk.rows[..chunk.count].iter_mut().enumerate() {
            while let Some((_, found)) = remarks.next_if(|(at, _)| *at <= offset) {
                scratch.annotations.merge(found);
            }
            context.cancel.check()?;
            fold(number * CHUNK_ROWS + offset, cells, &mut scratch)?;
        }
        drop(remarks);
        if let Some(error) = chunk.failure.take() {
            return Err(error);
        }
        queue.lock().spare.push(chunk);
    }
    Ok(())
}
