//! The head's series for lookups that let others in.
//!
//! Who resolves a new series waits for the catalog's lock, and everybody else then waits behind it. So a lookup takes the
//! lock in turns of some ten microseconds, however many series and values it goes through: lists of the index are read
//! as [`Snapshot`] says, series are fetched some at a time. What holds of the answer:
//!
//! - It is that of the moment in which the view was made, whose [`CatalogState`] it goes by: a series that is younger
//!   is not in it, so that what is remembered can be brought up to date by the references handed out since.
//! - Series leave the head after a flush, all that go under one lock. Numbers inside the index are others afterwards; a
//!   lookup that was under way notices at its next turn and begins anew ([`IndexError::Outdated`]), in a state in which
//!   they are gone. After so many removals it holds the lock to the end, so that it does end.
//! - References are handed out once. One that was found and then removed leads to no series any more, never to another
//!   one, and is left out. Had it samples then, they were in a block before it was removed, and the list of blocks is
//!   read after the head. A list without it has the state from before the removal, so nobody takes it for a later one.
//! - A series that was fetched stays readable through its `Arc`, removed or not.

use super::{Catalog, CatalogState, MemSeries};
use crate::EngineError;
use mytsdb_index::{IndexError, Lend, MemIndex, Snapshot, Version};
use mytsdb_model::Matcher;
use mytsdb_stop::{Canceled, Looks, StopSign};
use parking_lot::{RwLock, RwLockReadGuard};
use std::ops::Range;
use std::sync::Arc;

/// Removals that a lookup begins anew for.
const OUTDATED_MAX: usize = 3;

/// Series that are fetched, or looked up by their labels, in a turn: each may be a wait for memory.
pub(crate) const TURN_SERIES: usize = 256;

/// The head as it was at one time.
pub(crate) struct HeadView<'a> {
    access: Access<'a>,
    state: CatalogState,
    version: Version,
}

enum Access<'a> {
    Turns(&'a RwLock<Catalog>),
    Held(RwLockReadGuard<'a, Catalog>),
}

impl<'a> HeadView<'a> {
    fn new(catalog: &'a RwLock<Catalog>, hold: bool) -> Self {
        let now = catalog.read();
        let (state, version) = (now.state(), now.index().version());
        let access = if hold { Access::Held(now) } else { Access::Turns(catalog) };
        Self { access, state, version }
    }

    /// The catalog's when the view was made.
    pub(crate) fn state(&self) -> CatalogState {
        self.state
    }

    /// The label index of that time.
    pub(crate) fn index(&self) -> Snapshot<&Self> {
        Snapshot::new(self, self.version)
    }

    /// A look at the catalog as it is now, which must be short.
    pub(crate) fn turn<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        match &self.access {
            Access::Turns(catalog) => look(&catalog.read()),
            Access::Held(catalog) => look(catalog),
        }
    }

    /// The series that satisfy all matchers, ascending by reference; those that leave meanwhile may be missing.
    pub(crate) fn select(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<Arc<MemSeries>>, IndexError> {
        let found = self.index().select(matchers, stop)?;
        let mut looks = stop.looks();
        // Fetched into memory that is warm: the first touch of a page of a long list may take long, and is nothing to
        // hold the lock for.
        let mut fetched = Vec::with_capacity(TURN_SERIES);
        let mut out = Vec::with_capacity(found.len());
        for some in found.chunks(TURN_SERIES) {
            looks.before(some.len())?;
            self.turn(|catalog| fetched.extend(some.iter().filter_map(|&series| catalog.get(series).cloned())));
            out.append(&mut fetched);
        }
        Ok(out)
    }

    /// The series that came under these references, all of them handed out before the view was made, and are still there.
    pub(crate) fn added(&self, references: Range<u64>, looks: &mut Looks<'_>) -> Result<Vec<Arc<MemSeries>>, Canceled> {
        let mut out = Vec::with_capacity((references.end - references.start) as usize);
        for from in references.clone().step_by(TURN_SERIES) {
            looks.before(TURN_SERIES)?;
            let some = from..references.end.min(from + TURN_SERIES as u64);
            self.turn(|catalog| out.extend(catalog.range(some).cloned()));
        }
        Ok(out)
    }
}

impl Lend for HeadView<'_> {
    fn lend<T>(&self, look: impl FnOnce(&MemIndex) -> T) -> T {
        self.turn(|catalog| look(catalog.index()))
    }
}

/// Asks a view of the head, and another one if series have been removed from it meanwhile.
pub(super) fn ask<T>(
    catalog: &RwLock<Catalog>,
    ask: impl Fn(&HeadView<'_>) -> Result<T, IndexError>,
) -> Result<T, EngineError> {
    let mut outdated = 0;
    loop {
        let hold = outdated == OUTDATED_MAX;
        match ask(&HeadView::new(catalog, hold)) {
            Ok(answer) => return Ok(answer),
            Err(IndexError::Canceled(canceled)) => return Err(canceled.into()),
            Err(IndexError::Outdated) if !hold => outdated += 1,
            Err(error) => unreachable!("the head's index, locked: {hold}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::{Labels, MatchOp, SeriesRef};
    use std::cell::Cell;

    fn labels(i: usize) -> Labels {
        Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())])
    }

    #[test]
    fn a_lookup_that_removals_overtake_begins_anew_and_ends() {
        let catalog = RwLock::new(Catalog::new());
        for i in 0..5_000 {
            catalog.write().create(labels(i), 0);
        }
        let regex = [Matcher::new(MatchOp::Regex, "i", "[0-9]+").unwrap()];
        let asked = Cell::new(0);
        let found = ask(&catalog, |view| {
            asked.set(asked.get() + 1);
            let held = matches!(view.access, Access::Held(_));
            if !held {
                // While the lookup is under way: one series goes, whose number the others move into, and one comes.
                let mut catalog = catalog.write();
                assert_eq!(
                    catalog.remove_idle(&[SeriesRef(asked.get() as u64 + 1)], |s| s.labels == labels(asked.get())),
                    1
                );
                catalog.create(labels(5_000 + asked.get()), 0);
            }
            let found = view.select(&regex, StopSign::NEVER);
            assert_eq!(found.is_ok(), held);
            found
        });
        let found = found.unwrap();
        assert_eq!((asked.get(), found.len()), (OUTDATED_MAX + 1, 5_000));
        assert!(found.iter().all(|s| !(1..=OUTDATED_MAX).any(|gone| s.labels == labels(gone))));
        assert!(found.is_sorted_by_key(|s| s.series));
    }

    #[test]
    fn a_view_has_what_was_there_when_it_was_made_and_is_still_there() {
        let catalog = RwLock::new(Catalog::new());
        for i in 0..1_000 {
            catalog.write().create(labels(i), 0);
        }
        let view = HeadView::new(&catalog, false);
        catalog.write().create(labels(1_000), 0);
        assert!(view.select(&[], StopSign::NEVER).unwrap().iter().map(|s| s.series.0).eq(1..1_001), "a series came");
        assert_eq!(view.index().label_values("i", StopSign::NEVER).unwrap().len(), 1_000);
        catalog.write().remove_idle(&[SeriesRef(8)], |s| s.labels == labels(7));
        assert_eq!(view.index().select(&[], StopSign::NEVER), Err(IndexError::Outdated));
        let added = view.added(1..1_001, &mut StopSign::NEVER.looks()).unwrap();
        assert!(added.iter().map(|s| s.series.0).eq((1..8).chain(9..1_001)), "a series went");
    }
}
