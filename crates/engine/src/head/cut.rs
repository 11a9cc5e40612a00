//! A deletion as the head carries it out: decided at once, done series by series.
//!
//! **Invariant X.** From [`Head::begin_cut`] on, what the series had is deleted, and what comes is not. So a series is cut once, before the
//! first sample is judged or appended that comes afterwards: by the committer if there is one, by [`Head::finish_cut`] otherwise. It leaves
//! the list of those that are left under the lock that it is cut under.

use super::catalog::CatalogState;
use super::chunk::Sealer;
use super::{Head, MemSeries, chunk_error};
use crate::EngineError;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mytsdb_blocks::Tombstone;
use mytsdb_model::{SeriesRef, TimeRange};
use mytsdb_stop::StopSign;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Series that are cut while a committer may wait: some tens of microseconds.
const TURN_SERIES: usize = 16;

type Series = HashMap<SeriesRef, Arc<MemSeries>, FixedState>;

/// The deletion that is being carried out, of which there is one at a time.
#[derive(Default)]
pub(super) struct Cut {
    /// Lets commits take no lock when there is none.
    is_pending: AtomicBool,
    pending: Mutex<Pending>,
}

struct Pending {
    range: TimeRange,
    /// Those that have to be cut yet.
    left: Series,
    /// Of a series that has all its samples still.
    failed: Option<EngineError>,
    sealer: Sealer,
}

impl Default for Pending {
    fn default() -> Self {
        Self { range: TimeRange::EMPTY, left: Series::default(), failed: None, sealer: Sealer::default() }
    }
}

impl Pending {
    fn cut(&mut self, reference: SeriesRef) {
        let Some(series) = self.left.remove(&reference) else { return };
        if let Err(source) = series.delete(self.range, &mut self.sealer) {
            self.failed = Some(chunk_error(&series, source));
        }
    }
}

/// The series that a deletion is about.
pub(crate) struct Doomed {
    series: Series,
    state: CatalogState,
}

impl Head {
    /// Finds the series that a deletion is about.
    ///
    /// # Errors
    /// None but those of [`ask`](Head::ask).
    pub(crate) fn doomed(&self, tombstone: &Tombstone) -> Result<Doomed, EngineError> {
        self.ask(|view| {
            let mut series = Series::default();
            for matchers in &tombstone.selectors {
                series
                    .extend(view.select(matchers, StopSign::NEVER)?.into_iter().map(|series| (series.series, series)));
            }
            Ok(Doomed { series, state: view.state() })
        })
    }

    /// Deletes what series have in a range now: see Invariant X. The caller has the log's writer, and goes on to
    /// [`finish_cut`](Head::finish_cut). No series have left the head since they were looked up, and none leaves until then. Cost: a look at
    /// series that came since.
    ///
    /// # Errors
    /// As [`doomed`](Head::doomed).
    pub(crate) fn begin_cut(&self, doomed: Doomed, tombstone: &Tombstone) -> Result<(), EngineError> {
        let Doomed { mut series, state } = doomed;
        let catalog = self.catalog();
        if let Some(added) = catalog.state().added_since(state) {
            let about = catalog.range(added.start..added.end).filter(|series| tombstone.matches(&series.labels));
            series.extend(about.map(|series| (series.series, series.clone())));
            drop(catalog);
        } else {
            drop(catalog);
            series = self.doomed(tombstone)?.series;
        }
        let mut pending = self.cut.pending.lock();
        (pending.range, pending.left) = (tombstone.range, series);
        // Release pairs with the Acquire in `cut_before_append`; the committer needs the writer first, which the caller has.
        self.cut.is_pending.store(true, Ordering::Release);
        Ok(())
    }

    /// Cuts those of some series that have to be cut before samples of them are judged. The caller has the log's writer. Cost: nothing, or
    /// while a deletion is carried out a lookup for each, and some microseconds for each that is cut.
    pub(crate) fn cut_before_append<I: Iterator<Item = SeriesRef>>(&self, series: impl FnOnce() -> I) {
        if !self.cut.is_pending.load(Ordering::Acquire) {
            return;
        }
        let catalog = self.catalog();
        let mut pending = self.cut.pending.lock();
        for series in series().filter_map(|series| catalog.get(series)) {
            pending.cut(series.series);
        }
    }

    /// Cuts all series that are left; a chunk that does not decode keeps no other from being cut.
    ///
    /// # Errors
    /// [`EngineError::Chunk`] of a series that has all its samples still.
    pub(crate) fn finish_cut(&self) -> Result<(), EngineError> {
        let mut pending = self.cut.pending.lock();
        loop {
            let some: Vec<SeriesRef> = pending.left.keys().take(TURN_SERIES).copied().collect();
            if some.is_empty() {
                let gone = std::mem::take(&mut *pending);
                self.cut.is_pending.store(false, Ordering::Release);
                return gone.failed.map_or(Ok(()), Err);
            }
            for series in some {
                pending.cut(series);
            }
            MutexGuard::bump(&mut pending);
        }
    }
}
