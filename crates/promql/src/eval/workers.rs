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
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rows that a thread computes at a time, and more of them if they are short.
const CHUNK_ROWS_MIN: usize = 32;
const CHUNK_ROWS_MAX: usize = 512;

/// Cells of a chunk, which should stay in a core's cache until they are folded.
const CHUNK_CELLS: usize = 1 << 14;

/// Chunks per thread that may be computed or wait for the fold.
const WINDOW_CHUNKS: usize = 4;

/// Rows after which the flag is looked at anew, if they are shorter than that.
pub(super) const CANCEL_ROWS: usize = 32;

/// Computed rows: as many as there are until one failed.
struct Chunk<T> {
    rows: Vec<Cells>,
    /// What was found out about each row beside its cells.
    tags: Vec<T>,
    /// Rows of `rows` that are valid.
    count: usize,
    /// Remarks on single rows.
    remarks: Vec<(usize, Annotations)>,
    /// Why the row behind the last one could not be computed.
    failure: Option<EvalError>,
}

impl<T> Chunk<T> {
    const fn new() -> Self {
        Self { rows: Vec::new(), tags: Vec::new(), count: 0, remarks: Vec::new(), failure: None }
    }
}

struct State<T> {
    /// The next chunk that nobody computes yet.
    next: usize,
    /// The chunk that is to be folded next, or is being folded.
    folding: usize,
    /// Chunk `i` waits in slot `i % len`.
    done: Vec<Option<Chunk<T>>>,
    /// Folded chunks, for reuse of their memory.
    spare: Vec<Chunk<T>>,
    stopped: bool,
}

struct Queue<'v, 'a, T, F> {
    vector: &'v Vector<'a>,
    tag: F,
    chunk_rows: usize,
    chunk_count: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<'v, 'a, T: Send, F: Fn(usize, &mut Cells) -> T + Sync> Queue<'v, 'a, T, F> {
    fn new(vector: &'v Vector<'a>, threads: usize, tag: F) -> Self {
        let mut done = Vec::new();
        done.resize_with(WINDOW_CHUNKS * threads, || None);
        let state = State { next: 0, folding: 0, done, spare: Vec::new(), stopped: false };
        let chunk_rows = (CHUNK_CELLS / vector.steps().max(1))
            .min(vector.len() / (WINDOW_CHUNKS * threads))
            .clamp(CHUNK_ROWS_MIN, CHUNK_ROWS_MAX);
        let chunk_count = vector.len().div_ceil(chunk_rows);
        Self { vector, tag, chunk_rows, chunk_count, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A thread that panics does so outside the lock, so the state is whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'q>(&self, state: MutexGuard<'q, State<T>>) -> MutexGuard<'q, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a chunk to compute and memory for it, if the window has room.
    fn claim(&self, state: &mut State<T>) -> Option<(usize, Chunk<T>)> {
        let room = state.next < self.chunk_count && state.next < state.folding + state.done.len();
        room.then(|| {
            state.next += 1;
            (state.next - 1, state.spare.pop().unwrap_or_else(Chunk::new))
        })
    }

    fn put(&self, state: &mut State<T>, number: usize, chunk: Chunk<T>) {
        let slot = number % state.done.len();
        state.done[slot] = Some(chunk);
        self.changed.notify_all();
    }

    /// Computes chunks until there are none left.
    fn work(&self, context: &Context<'_>) {
        let _panicked = Stop { queue: self, always: false };
        let mut scratch = context.scratch();
        let mut state = self.lock();
        while !state.stopped && state.next < self.chunk_count {
            if let Some((number, mut chunk)) = self.claim(&mut state) {
                drop(state);
                self.compute(context, number, &mut scratch, &mut chunk);
                state = self.lock();
                self.put(&mut state, number, chunk);
            } else {
                state = self.wait(state);
            }
        }
    }

    /// Chunk `number`, once it is ready; `None` if a worker panicked.
    fn take(&self, context: &Context<'_>, number: usize, scratch: &mut Scratch<'_>) -> Option<Chunk<T>> {
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
                self.compute(context, claimed, scratch, &mut chunk);
                state = self.lock();
                self.put(&mut state, claimed, chunk);
            } else {
                state = self.wait(state);
            }
        }
    }

    /// Computes the rows of chunk `number`; remarks go with the rows, so that their order is that of the rows.
    fn compute(&self, context: &Context<'_>, number: usize, scratch: &mut Scratch<'_>, chunk: &mut Chunk<T>) {
        let start = number * self.chunk_rows;
        let count = self.chunk_rows.min(self.vector.len() - start);
        let often = self.vector.steps() >= CANCEL_ROWS;
        chunk.rows.resize_with(self.chunk_rows, Cells::default);
        chunk.tags.clear();
        (chunk.count, chunk.failure) = (0, None);
        let before = std::mem::take(&mut scratch.annotations);
        for (offset, cells) in chunk.rows[..count].iter_mut().enumerate() {
            let check = if often || offset % CANCEL_ROWS == 0 { context.cancel.check() } else { Ok(()) };
            if let Err(error) = check.and_then(|()| self.vector.read(start + offset, scratch, cells)) {
                chunk.failure = Some(error);
                break;
            }
            chunk.tags.push((self.tag)(start + offset, cells));
            chunk.count += 1;
            if !scratch.annotations.is_empty() {
                chunk.remarks.push((offset, std::mem::take(&mut scratch.annotations)));
            }
        }
        scratch.annotations = before;
    }

    fn fold(
        &self,
        context: &Context<'_>,
        mut fold: impl FnMut(usize, T, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut scratch = context.scratch();
        let often = self.vector.steps() >= CANCEL_ROWS;
        for number in 0..self.chunk_count {
            // Without a chunk, the panic of the worker is what the caller sees.
            let Some(mut chunk) = self.take(context, number, &mut scratch) else {
                return Err(EvalError::Canceled);
            };
            let mut remarks = chunk.remarks.drain(..).peekable();
            let rows = chunk.rows[..chunk.count].iter_mut().zip(chunk.tags.drain(..));
            for (offset, (cells, tag)) in rows.enumerate() {
                while let Some((_, found)) = remarks.next_if(|(at, _)| *at <= offset) {
                    scratch.annotations.merge(found);
                }
                if often || offset % CANCEL_ROWS == 0 {
                    context.cancel.check()?;
                }
                fold(number * self.chunk_rows + offset, tag, cells, &mut scratch)?;
            }
            drop(remarks);
            if let Some(error) = chunk.failure.take() {
                return Err(error);
            }
            self.lock().spare.push(chunk);
        }
        Ok(())
    }
}

/// Sends the workers home when the fold ends, and everybody when a worker panics.
struct Stop<'q, 'v, 'a, T: Send, F: Fn(usize, &mut Cells) -> T + Sync> {
    queue: &'q Queue<'v, 'a, T, F>,
    always: bool,
}

impl<T: Send, F: Fn(usize, &mut Cells) -> T + Sync> Drop for Stop<'_, '_, '_, T, F> {
    fn drop(&mut self) {
        if self.always || std::thread::panicking() {
            self.queue.lock().stopped = true;
            self.queue.changed.notify_all();
        }
    }
}

/// Calls `fold` with every row of `vector` in order, as one thread alone would, and with what `tag`, which may run in
/// any order, made of the row.
pub(super) fn fold_in_order<T: Send>(
    context: &Context<'_>,
    vector: &Vector<'_>,
    threads: usize,
    tag: impl Fn(usize, &mut Cells) -> T + Sync,
    fold: impl FnMut(usize, T, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let queue = Queue::new(vector, threads, tag);
    let workers = threads.min(queue.chunk_count) - 1;
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(|| queue.work(context))).collect();
        let outcome = {
            let _home = Stop { queue: &queue, always: true };
            queue.fold(context, fold)
        };
        for handle in handles {
            if let Err(panic) = handle.join() {
                std::panic::resume_unwind(panic);
            }
        }
        outcome
    })
}

/// Items that a thread takes at a time in [`in_parts`]: enough to be worth a thread, few enough to stop soon.
const PART_ITEMS_MIN: usize = 1 << 12;
const PART_ITEMS_MAX: usize = 1 << 16;

/// Cuts `0..len` into parts and gives what `f` makes of them, in order; several threads if `len` is large.
pub(super) fn in_parts<T: Send>(
    context: &Context<'_>,
    len: usize,
    f: impl Fn(Range<usize>) -> T + Sync,
) -> Result<Vec<T>, EvalError> {
    in_parts_of(context, len, len.div_ceil(context.threads()).clamp(PART_ITEMS_MIN, PART_ITEMS_MAX), f)
}

/// [`in_parts`] with `part_items` items a part.
pub(super) fn in_parts_of<T: Send>(
    context: &Context<'_>,
    len: usize,
    part_items: usize,
    f: impl Fn(Range<usize>) -> T + Sync,
) -> Result<Vec<T>, EvalError> {
    let part_count = len.div_ceil(part_items);
    let part = |number: usize| {
        context.cancel.check()?;
        Ok(f(number * part_items..len.min((number + 1) * part_items)))
    };
    let threads = context.threads().min(part_count);
    if threads < 2 {
        return (0..part_count).map(part).collect();
    }
    // Relaxed: the counter hands out numbers and orders nothing.
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= part_count {
                return done;
            }
            done.push((number, part(number)));
        }
    };
    let mut all = std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for handle in handles {
            match handle.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, result)| result).collect()
}
