//! What series of floats without start times do not have.

use crate::head::backlog::FullRun;
use crate::head::chunk::Sealer;
use crate::head::run::{Entry, Run};
use crate::value::Encoded;
use mytsdb_model::TimeRange;
use std::sync::Arc;

/// Start times of the open chunk of floats, and histograms.
#[derive(Debug, Default)]
pub(super) struct More {
    /// As many as the open chunk of floats has samples, or none.
    pub(super) starts_ms: Vec<i64>,
    /// Runs that are full and not yet chunks; all before `run`, in the order of time.
    full: Vec<Arc<FullRun>>,
    pub(super) run: Run,
    pub(super) newest_is_histogram: bool,
}

impl More {
    fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.full.iter().map(|full| &full.run).chain(std::iter::once(&self.run))
    }

    /// The times of the histograms.
    pub(super) fn histograms(&self) -> TimeRange {
        self.full.first().map_or(self.run.range(), |first| first.run.range().cover(self.last_run().range()))
    }

    /// The newest run that has anything, if any has.
    fn last_run(&self) -> &Run {
        self.full.last().filter(|_| self.run.is_empty()).map_or(&self.run, |last| &last.run)
    }

    pub(super) fn get(&self, timestamp_ms: i64) -> Option<&Encoded> {
        self.runs().rev().find_map(|run| run.get(timestamp_ms))
    }

    /// Appends the histograms in a range, and of each run the one before it.
    pub(super) fn collect(&self, range: TimeRange, out: &mut Vec<Entry>) {
        self.runs().for_each(|run| run.collect(range, out));
    }

    /// Bytes in memory.
    pub(super) fn heap_bytes(&self) -> usize {
        self.runs().map(Run::heap_bytes).sum::<usize>() + self.starts_ms.len() * size_of::<i64>()
    }

    /// Lets the run wait, if there is room for it.
    pub(super) fn put_off_run(&mut self, sealer: &mut Sealer) -> bool {
        match sealer.put_off(std::mem::take(&mut self.run)) {
            Ok(full) => self.full.push(full),
            Err(run) => {
                self.run = run;
                return false;
            }
        }
        true
    }

    /// The oldest of those that wait.
    pub(super) fn first_full(&self) -> Option<&Arc<FullRun>> {
        self.full.first()
    }

    /// Takes the oldest of those that wait out if it is still this one; tells whether it was.
    pub(super) fn take_first_full(&mut self, first: &Arc<FullRun>) -> bool {
        let is_first = self.full.first().is_some_and(|known| Arc::ptr_eq(known, first));
        if is_first {
            self.full.remove(0);
        }
        is_first
    }
}
