//! The threads that all queries of a process share.

use rayon_core::{Scope, ThreadPool, ThreadPoolBuilder};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bounded pool of threads that help to evaluate queries. A clone is the same pool.
///
/// The thread that evaluates a query always works on it itself; the pool lends it more hands while it has some. What a
/// query has the pool do comes in short tasks that never wait for anything, and no more tasks stand in line than there
/// are threads. So queries share the threads evenly, and the end of one is held up by at most one task of each thread.
#[derive(Debug, Clone)]
pub struct WorkerPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    threads: ThreadPool,
    /// Tasks that no thread has begun. Relaxed throughout: it guards nothing, it only keeps the line short.
    waiting: AtomicUsize,
}

// The state is always consistent: only a task can panic, and its query gets the panic.
impl std::panic::UnwindSafe for WorkerPool {}
impl std::panic::RefUnwindSafe for WorkerPool {}

impl WorkerPool {
    /// A pool of `threads` threads, at least one, called `query-0`, `query-1`, … They end with the last clone.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn new(threads: usize) -> io::Result<Self> {
        let builder = ThreadPoolBuilder::new().num_threads(threads.max(1)).thread_name(|i| format!("query-{i}"));
        let threads = builder.build().map_err(io::Error::other)?;
        Ok(Self(Arc::new(Pool { threads, waiting: AtomicUsize::new(0) })))
    }

    /// Threads of the pool; the one that evaluates a query comes on top.
    pub fn threads(&self) -> usize {
        self.0.threads.current_num_threads()
    }

    /// Runs `op` on this thread, and returns when it and all tasks that it spawned are done. A panic of any comes here.
    pub(crate) fn scope<'scope, T>(&self, op: impl FnOnce(&Scope<'scope>) -> T) -> T {
        self.0.threads.in_place_scope(op)
    }

    /// Whether a task waits for a thread, so that others should come to an end.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// Places in the line for up to `wanted` tasks. Each place must be given to [`WorkerPool::spawn`].
    pub(crate) fn reserve(&self, wanted: usize) -> usize {
        let places = |waiting: usize| wanted.min(self.threads().saturating_sub(waiting));
        let taken = self.0.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            Some(waiting + places(waiting)).filter(|&more| more > waiting)
        });
        taken.map_or(0, places)
    }

    /// Puts a task into a place of the line.
    ///
    /// To be called outside of the pool: a task's tasks would go before those of other queries.
    pub(crate) fn spawn<'scope>(&self, scope: &Scope<'scope>, task: impl FnOnce() + Send + 'scope) {
        let pool = Arc::clone(&self.0);
        scope.spawn(move |_| {
            pool.waiting.fetch_sub(1, Ordering::Relaxed);
            // A task must not hold the last reference to the pool.
            drop(pool);
            task();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn no_more_tasks_stand_in_line_than_there_are_threads() {
        let pool = WorkerPool::new(2).unwrap();
        let (go, gone) = mpsc::channel::<()>();
        let gone = std::sync::Mutex::new(gone);
        let begun = AtomicUsize::new(0);
        pool.scope(|scope| {
            let task = || {
                begun.fetch_add(1, Ordering::SeqCst);
                gone.lock().unwrap().recv().unwrap();
            };
            assert_eq!(pool.reserve(9), 2);
            (0..2).for_each(|_| pool.spawn(scope, task));
            while begun.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            assert!(!pool.is_wanted());
            assert_eq!((pool.reserve(1), pool.reserve(9), pool.reserve(1)), (1, 1, 0));
            (0..2).for_each(|_| pool.spawn(scope, task));
            assert!(pool.is_wanted());
            (0..4).for_each(|_| go.send(()).unwrap());
        });
        assert_eq!(begun.into_inner(), 4);
        assert_eq!((pool.reserve(1), pool.threads()), (1, 2));
    }
}
