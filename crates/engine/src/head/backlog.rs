//! What is full and waits to be packed, so that whoever commits need not wait for that: runs of histograms, and closed chunks of floats.
//!
//! It stays readable where it is, in its series. The backlog has the series that have some, and bounds the bytes of all of them
//! together: past the bound whoever commits packs.

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

/// The series that have something to be packed, and the bytes of that.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Those that somebody has to look at: a series may be here twice, or have nothing to be packed any more.
    series: Mutex<VecDeque<Waiting>>,
    /// Who works it off, if somebody does.
    worker: Mutex<Option<Thread>>,
    is_closed: AtomicBool,
}

/// A series that somebody has to look at, and the bytes that are free then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) series: SeriesRef,
    pub(super) bytes: usize,
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
    /// A backlog of at most so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
            series: Mutex::default(),
            worker: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Bytes of what waits.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) // a figure to look at
    }

    /// Takes a run that is full, or gives it back if there is no room.
    pub(super) fn take(self: &Arc<Self>, run: Run) -> Result<Arc<FullRun>, Run> {
        let bytes = run.heap_bytes();
        if !self.take_bytes(bytes) {
            return Err(run);
        }
        Ok(Arc::new(FullRun { run, bytes, backlog: self.clone() }))
    }

    /// Takes so many bytes, unless there is no room; whoever is [noted](Self::note) with them gives them back.
    pub(super) fn take_bytes(&self, bytes: usize) -> bool {
        // Relaxed: see `FullRun`. Only who commits adds, so what is read here can only shrink.
        let has_room = self.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= self.bytes_max;
        if has_room {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        has_room
    }

    /// Notes series that have something to be packed, and wakes who works them off.
    pub(super) fn note(&self, series: &mut Vec<Waiting>) {
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

    /// The next series that may have something to be packed.
    fn next(&self) -> Option<Waiting> {
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
    /// What closes chunks while samples are stored: it leaves what is full to [`seal_next`](Head::seal_next).
    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::with_backlog(self.backlog.clone())
    }

    /// Bytes of what is full and not yet packed.
    pub(crate) fn unsealed_bytes(&self) -> usize {
        self.backlog.bytes()
    }

    /// Packs what waits for it in one series; tells whether there was one that might have something. Commits go on meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Chunk`]; the next call goes on with the next series.
    pub(crate) fn seal_next(&self, sealer: &mut Sealer) -> Result<bool, EngineError> {
        let Some(Waiting { series, bytes }) = self.backlog.next() else { return Ok(false) };
        let series = self.catalog().get(series).cloned();
        let packed = series.map_or(Ok(()), |s| s.pack_waiting(sealer).map_err(|source| chunk_error(&s, source)));
        // Relaxed: see `FullRun`.
        self.backlog.bytes.fetch_sub(bytes, Ordering::Relaxed);
        packed.map(|()| true)
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
