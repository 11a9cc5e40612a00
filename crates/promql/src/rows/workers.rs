//! Rows computed by several threads and folded by one of them, in order.
//!
//! Chunks of rows are handed out in order. The folding thread takes the results in the same order and computes a chunk
//! itself whenever the one it needs is not ready, so folding overlaps with computing. Only [`WINDOW_CHUNKS`] chunks a
//! thread may be ahead of the fold.
//!
//! The other threads are those of the pool, which all queries share. A task of the pool never waits: it computes chunks
//! as long as there is room for them and nobody else waits for its thread, and then it leaves. The folding thread sends
//! for more when it has made room; should it wait itself, for a client that reads slowly, it keeps nobody.

use super::context::{CELL_BYTES, Context, Scratch};
use super::vector::Vector;
use crate::annotations::Annotations;
use crate::error::EvalError;
use crate::kernels::cells::Cells;
use crate::worker_pool::WorkerPool;
use rayon_core::Scope;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rows that a thread computes at a time: fewer if there are few, more if they are short.
const CHUNK_ROWS_MIN: usize = 8;
const CHUNK_ROWS_FEW: usize = 32;
const CHUNK_ROWS_MAX: usize = 512;

/// Cells of a chunk, which should stay in a core's cache until they are folded.
const CHUNK_CELLS: usize = 1 << 14;

/// Chunks per thread that may be computed or wait for the fold.
const WINDOW_CHUNKS: usize = 4;

/// The part of a query's bytes that the window may take; rows of more cells are computed by one thread, one by one.
const WINDOW_SHARE: u64 = 8;

/// Rows after which the flag is looked at anew, if they are shorter than that.
pub(crate) const CANCEL_ROWS: usize = 32;

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

struct State<'c, T> {
    /// The next chunk that nobody computes yet.
    next: usize,
    /// The chunk that is to be folded next, or is being folded.
    folding: usize,
    /// Chunk `i` waits in slot `i % len`.
    done: Vec<Option<Chunk<T>>>,
    /// Folded chunks, for reuse of their memory.
    spare: Vec<Chunk<T>>,
    /// Buffers of tasks that have left.
    scratches: Vec<Scratch<'c>>,
    /// Tasks in the pool that wait or run.
    tasks: usize,
}

struct Queue<'v, 'a, 'c, T, F> {
    context: &'c Context<'c>,
    pool: &'v WorkerPool,
    vector: &'v Vector<'a>,
    tag: F,
    chunk_rows: usize,
    chunk_count: usize,
    state: Mutex<State<'c, T>>,
    /// The chunk that is to be folded is ready, or never will be.
    ready: Condvar,
    /// What is not computed yet is not wanted any more. Relaxed: whoever must see it takes the lock as well.
    stopped: AtomicBool,
}

impl<'v, 'a, 'c, T: Send, F: Fn(usize, &mut Cells) -> T + Sync> Queue<'v, 'a, 'c, T, F> {
    fn new(context: &'c Context<'c>, pool: &'v WorkerPool, vector: &'v Vector<'a>, tag: F) -> Self {
        let window = WINDOW_CHUNKS * (pool.threads() + 1);
        let mut done = Vec::new();
        done.resize_with(window, || None);
        let state = State { next: 0, folding: 0, done, spare: Vec::new(), scratches: Vec::new(), tasks: 0 };
        let chunk_rows = (CHUNK_CELLS / vector.steps().max(1))
            .min((vector.len() / window).max(CHUNK_ROWS_FEW))
            .clamp(CHUNK_ROWS_MIN, CHUNK_ROWS_MAX);
        let chunk_count = vector.len().div_ceil(chunk_rows);
        let (ready, stopped) = (Condvar::new(), AtomicBool::new(false));
        Self { context, pool, vector, tag, chunk_rows, chunk_count, state: Mutex::new(state), ready, stopped }
    }

    /// Memory of the chunks that may be there at the same time.
    fn window_bytes(&self) -> u64 {
        let chunks = self.chunk_count.min(WINDOW_CHUNKS * (self.pool.threads() + 1));
        ((chunks * self.chunk_rows) as u64).saturating_mul(self.vector.steps() as u64).saturating_mul(CELL_BYTES)
    }

    /// A thread panics only outside the lock, so the state is consistent.
    fn lock(&self) -> MutexGuard<'_, State<'c, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Chunks that nobody computes yet and that the window has room for.
    fn open_chunks(&self, state: &State<'c, T>) -> usize {
        self.chunk_count.min(state.folding + state.done.len()) - state.next
    }

    /// The number of a chunk to compute and memory for it, if the window has room.
    fn claim(&self, state: &mut State<'c, T>) -> Option<(usize, Chunk<T>)> {
        (self.open_chunks(state) > 0 && !self.is_stopped()).then(|| {
            state.next += 1;
            (state.next - 1, state.spare.pop().unwrap_or_else(Chunk::new))
        })
    }

    fn put(&self, state: &mut State<'c, T>, number: usize, chunk: Chunk<T>) {
        let slot = number % state.done.len();
        state.done[slot] = Some(chunk);
        if number == state.folding {
            self.ready.notify_one();
        }
    }

    /// Starts tasks if there is enough to compute, and returns how many were granted. The next chunk to be folded is
    /// left to the folding thread if nobody has begun it.
    fn send_for_tasks(&self, state: &mut State<'c, T>) -> usize {
        let open = self.open_chunks(state);
        // Waking a thread costs as much as computing a small chunk, and a task that comes too late holds up the end.
        if state.folding > 0 && 2 * open < state.done.len() {
            return 0;
        }
        let others = open.saturating_sub(usize::from(state.next == state.folding));
        let granted = self.pool.reserve(others.min(self.pool.threads().saturating_sub(state.tasks)));
        state.tasks += granted;
        granted
    }

    /// A task of the pool: computes chunks until there is no room or somebody else waits.
    fn work(&self) {
        let _panicked = Stop { queue: self, always: false };
        let mut kept = None;
        let mut state = self.lock();
        while let Some((number, mut chunk)) = self.claim(&mut state) {
            let found = kept.take().or_else(|| state.scratches.pop());
            drop(state);
            let mut scratch = found.unwrap_or_else(|| self.context.scratch());
            self.compute(number, &mut scratch, &mut chunk);
            kept = Some(scratch);
            state = self.lock();
            self.put(&mut state, number, chunk);
            if self.pool.is_wanted() {
                break;
            }
        }
        state.tasks -= 1;
        state.scratches.extend(kept);
    }

    /// Chunk `number`, once it is ready; `None` if a worker panicked.
    fn take<'scope>(&'scope self, scope: &Scope<'scope>, number: usize, scratch: &mut Scratch<'_>) -> Option<Chunk<T>> {
        let mut state = self.lock();
        state.folding = number;
        let granted = self.send_for_tasks(&mut state);
        if granted > 0 {
            drop(state);
            (0..granted).for_each(|_| self.pool.spawn(scope, || self.work()));
            state = self.lock();
        }
        loop {
            let slot = number % state.done.len();
            if self.is_stopped() {
                return None;
            }
            if let Some(chunk) = state.done[slot].take() {
                return Some(chunk);
            }
            if let Some((claimed, mut chunk)) = self.claim(&mut state) {
                drop(state);
                self.compute(claimed, scratch, &mut chunk);
                state = self.lock();
                self.put(&mut state, claimed, chunk);
            } else {
                // All that is missing is being computed at this moment.
                state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Computes the rows of chunk `number`; remarks go with the rows, so that their order is that of the rows.
    fn compute(&self, number: usize, scratch: &mut Scratch<'_>, chunk: &mut Chunk<T>) {
        let start = number * self.chunk_rows;
        let count = self.chunk_rows.min(self.vector.len() - start);
        let often = self.vector.steps() >= CANCEL_ROWS;
        chunk.rows.resize_with(self.chunk_rows, Cells::default);
        chunk.tags.clear();
        (chunk.count, chunk.failure) = (0, None);
        let before = std::mem::take(&mut scratch.annotations);
        for (offset, cells) in chunk.rows[..count].iter_mut().enumerate() {
            let check = if often || offset % CANCEL_ROWS == 0 { self.context.cancel.check() } else { Ok(()) };
            if let Err(error) = check.and_then(|()| self.vector.read(start + offset, scratch, cells)) {
                chunk.failure = Some(error);
                break;
            }
            chunk.tags.push((self.tag)(start + offset, cells));
            chunk.count += 1;
            if !scratch.annotations.is_empty() {
                chunk.remarks.push((offset, std::mem::take(&mut scratch.annotations)));
            }
            if self.is_stopped() {
                // Nobody will look at the chunk.
                break;
            }
        }
        scratch.annotations = before;
    }

    fn fold<'scope>(
        &'scope self,
        scope: &Scope<'scope>,
        mut fold: impl FnMut(usize, T, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut scratch = self.context.scratch();
        let often = self.vector.steps() >= CANCEL_ROWS;
        for number in 0..self.chunk_count {
            // Without a chunk, the panic of the worker is what the caller sees.
            let Some(mut chunk) = self.take(scope, number, &mut scratch) else {
                return Err(EvalError::Canceled);
            };
            let mut remarks = chunk.remarks.drain(..).peekable();
            let rows = chunk.rows[..chunk.count].iter_mut().zip(chunk.tags.drain(..));
            for (offset, (cells, tag)) in rows.enumerate() {
                while let Some((_, found)) = remarks.next_if(|(at, _)| *at <= offset) {
                    scratch.annotations.merge(found);
                }
                if often || offset % CANCEL_ROWS == 0 {
                    self.context.cancel.check()?;
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

/// Stops the tasks when the fold ends, and all threads when a task panics.
struct Stop<'q, 'v, 'a, 'c, T: Send, F: Fn(usize, &mut Cells) -> T + Sync> {
    queue: &'q Queue<'v, 'a, 'c, T, F>,
    always: bool,
}

impl<T: Send, F: Fn(usize, &mut Cells) -> T + Sync> Drop for Stop<'_, '_, '_, '_, T, F> {
    fn drop(&mut self) {
        if self.always || std::thread::panicking() {
            let state = self.queue.lock();
            self.queue.stopped.store(true, Ordering::Relaxed);
            self.queue.ready.notify_one();
            drop(state);
        }
    }
}

/// Calls `fold` with every row of `vector` in order, as one thread alone would, and with what `tag`, which may run in
/// any order, made of the row.
pub(crate) fn fold_in_order<T: Send>(
    context: &Context<'_>,
    pool: &WorkerPool,
    vector: &Vector<'_>,
    tag: impl Fn(usize, &mut Cells) -> T + Sync,
    mut fold: impl FnMut(usize, T, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let queue = Queue::new(context, pool, vector, tag);
    let window_bytes = queue.window_bytes();
    if window_bytes > context.options.max_bytes / WINDOW_SHARE {
        return fold_alone(context, vector, &queue.tag, fold);
    }
    let Ok(_held) = context.hold_table(window_bytes) else {
        // There is hardly any room left, but one row after the other may fit.
        return fold_alone(context, vector, &queue.tag, fold);
    };
    pool.scope(|scope| {
        let _home = Stop { queue: &queue, always: true };
        queue.fold(scope, &mut fold)
    })
}

/// [`fold_in_order`] on this thread.
pub(crate) fn fold_alone<T>(
    context: &Context<'_>,
    vector: &Vector<'_>,
    tag: impl Fn(usize, &mut Cells) -> T,
    mut fold: impl FnMut(usize, T, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let mut scratch = context.scratch();
    let mut cells = Cells::default();
    let often = vector.steps() >= CANCEL_ROWS;
    for index in 0..vector.len() {
        if often || index % CANCEL_ROWS == 0 {
            context.cancel.check()?;
        }
        vector.read(index, &mut scratch, &mut cells)?;
        let tag = tag(index, &mut cells);
        fold(index, tag, &mut cells, &mut scratch)?;
    }
    Ok(())
}

/// Items that a thread takes at a time in [`in_parts`]: enough to be worth a thread, few enough to stop soon.
const PART_ITEMS: usize = 1 << 12;

/// Cuts `0..len` into parts and gives what `f` makes of them, in order; several threads if `len` is large.
pub(crate) fn in_parts<T: Send>(
    context: &Context<'_>,
    len: usize,
    f: impl Fn(Range<usize>) -> T + Sync,
) -> Result<Vec<T>, EvalError> {
    in_parts_of(context, len, PART_ITEMS, |part| Ok(f(part)))
}

/// [`in_parts`], what `f` makes of all parts as one list.
pub(crate) fn list_in_parts<T: Send>(
    context: &Context<'_>,
    len: usize,
    f: impl Fn(Range<usize>) -> Vec<T> + Sync,
) -> Result<Vec<T>, EvalError> {
    let parts = in_parts(context, len, f)?;
    let mut all = Vec::with_capacity(parts.iter().map(Vec::len).sum());
    for part in parts {
        context.cancel.check()?;
        all.extend(part);
    }
    Ok(all)
}

/// [`in_parts`] with `part_items` items a part, of which any may fail: the first one's failure is that of all.
pub(crate) fn in_parts_of<T: Send>(
    context: &Context<'_>,
    len: usize,
    part_items: usize,
    f: impl Fn(Range<usize>) -> Result<T, EvalError> + Sync,
) -> Result<Vec<T>, EvalError> {
    let part_count = len.div_ceil(part_items);
    let part = |number: usize| {
        context.cancel.check()?;
        f(number * part_items..len.min((number + 1) * part_items))
    };
    let Some(pool) = context.pool().filter(|_| part_count > 1) else { return (0..part_count).map(part).collect() };
    // Relaxed: the counters hand out numbers and order nothing.
    let (next, tasks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all = Mutex::new(Vec::with_capacity(part_count));
    let one = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= part_count {
            return false;
        }
        let result = part(number);
        all.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        true
    };
    let task = || {
        while one() && !pool.is_wanted() {}
        tasks.fetch_sub(1, Ordering::Relaxed);
    };
    pool.scope(|scope| {
        loop {
            // This thread takes one of the parts that are left.
            let others = part_count.saturating_sub(next.load(Ordering::Relaxed) + 1);
            let missing = pool.threads().saturating_sub(tasks.load(Ordering::Relaxed));
            let granted = pool.reserve(others.min(missing));
            tasks.fetch_add(granted, Ordering::Relaxed);
            (0..granted).for_each(|_| pool.spawn(scope, task));
            if !one() {
                break;
            }
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, result)| result).collect()
}
