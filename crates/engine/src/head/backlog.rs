//! Runs of histograms that are full and wait to become chunks, so that whoever commits need not wait for that.
//!
//! A full run stays readable where it is, in its series. The backlog has the series that have some, and bounds the bytes of all of them
//! together: past the bound whoever commits makes the chunk.

use super::chunk::Sealer;
use super::run::Run;
use super::{Head, chunk_error};
use crate::EngineError;
use mytsdb_model::SeriesRef;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;

/// The series that have full runs, and the bytes of these runs.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Those that somebody has to look at: a series may be here twice, or have no full run any more.
    series: Mutex<VecDeque<SeriesRef>>,
    /// Who works it off, if somebody does.
    worker: Mutex<Option<Thread>>,
    is_closed: AtomicBool,
}

/// A run that is full. It gives its bytes back to the backlog when it goes, wherever it goes.
#[derive(Debug)]
pub(crate) struct FullRun {
    pub(super) run: Run,
    bytes: usize,
    backlog: Arc<Backlog>,
}

impl Drop for FullRun {
    fn drop(&mut self) {
        // Relaxed: a bound on memory, which orders nothing.
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Backlog {
    /// A backlog of at most so many bytes of runs.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
            series: Mutex::default(),
            worker: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Bytes of the full runs.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) // a figure to look at
    }

    /// Takes a run that is full, or gives it back if there is no room.
    pub(super) fn take(self: &Arc<Self>, run: Run) -> Result<Arc<FullRun>, Run> {
        let bytes = run.heap_bytes();
        // Relaxed: see `FullRun`. Only who commits adds, so what is read here can only shrink.
        if self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.bytes_max {
            return Err(run);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Arc::new(FullRun { run, bytes, backlog: self.clone() }))
    }

    /// Notes series that have full runs, and wakes who works them off.
    pub(super) fn note(&self, series: &mut Vec<SeriesRef>) {
        if series.is_empty() {
            return;
        }
        let mut noted = self.series.lock();
        let was_empty = noted.is_empty();
        noted.extend(series.drain(..));
        drop(noted);
        if was_empty {
            self.wake();
        }
    }

    /// The next series that may have full runs.
    pub(super) fn next(&self) -> Option<SeriesRef> {
        self.series.lock().pop_front()
    }

    /// Calls `work`, which tells whether there was anything to do, until the backlog is closed; waits while there is nothing.
    pub(super) fn run(&self, mut work: impl FnMut() -> bool) {
        *self.worker.lock() = Some(std::thread::current());
        // Acquire pairs with the Release in `close`. Who closes or notes wakes this thread afterwards, so nothing is missed.
        while !self.is_closed.load(Ordering::Acquire) {
            if !work() {
                std::thread::park();
            }
        }
        *self.worker.lock() = None;
    }

    /// Ends [`run`](Self::run), now or as soon as it is called.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(worker) = &*self.worker.lock() {
            worker.unpark();
        }
    }
}

impl Head {
    /// What closes chunks while samples are stored: it leaves runs that are full to [`seal_next`](Head::seal_next).
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::with_backlog(self.backlog.clone())
    }

    /// Bytes of runs that are full and not yet chunks.
    pub(crate) fn unsealed_bytes(&self) -> usize {
        self.backlog.bytes()
    }

    /// Makes chunks of the full runs of one series; tells whether there was one that might have some. Commits go on meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Chunk`]; the next call goes on with the next series.
    pub(crate) fn seal_next(&self, sealer: &mut Sealer) -> Result<bool, EngineError> {
        let Some(reference) = self.backlog.next() else { return Ok(false) };
        let series = self.catalog().get(reference).cloned();
        if let Some(series) = series {
            series.seal_full_runs(sealer).map_err(|source| chunk_error(&series, source))?;
        }
        Ok(true)
    }

    /// Does so whenever there are some, until [`end_sealing`](Head::end_sealing) is called.
    pub(crate) fn seal_until_ended(&self, mut report: impl FnMut(EngineError)) {
        let mut sealer = Sealer::default();
        self.backlog.run(|| {
            self.seal_next(&mut sealer).unwrap_or_else(|error| {
                report(error);
                true
            })
        });
    }

    /// Ends [`seal_until_ended`](Head::seal_until_ended), now and for ever.
    pub(crate) fn end_sealing(&self) {
        self.backlog.close();
    }
}
