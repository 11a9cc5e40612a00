//! A value that many read without a lock while somebody may put it out; it goes at once, or with the last who reads it.
//!
//! Who reads pins the value for as long as that takes ([`Resident::read`]), and is counted as a use. Who wants its room takes uses off, and puts
//! it out when there are too few ([`Resident::spend`]): from then on nobody begins to read it.
//!
//! **Invariant R.** The value is touched by those alone who have pinned it before it was put out, and when they have all gone by the one
//! who then marks it as taken. Pins, uses and both marks are one atomic, whose changes all have one order: a pin comes before the mark, and
//! keeps the value, or it sees the mark.
//!
//! `tests/loom/resident.rs` shows it for every order of events, and notices when an unpin orders nothing (`resident_unpin`, a Release that becomes
//! Relaxed) and when taking orders nothing (`resident_take`, an Acquire that becomes Relaxed).

use crate::atomic::{AtomicU32, Ordering};
use crate::cell::UnsafeCell;
use crate::weaken::weakened;

/// It was put out.
const GONE: u32 = 1 << 31;
/// Its memory was given back.
const TAKEN: u32 = 1 << 30;
/// One use, of three at most.
const USE: u32 = 1 << 28;
const USES: u32 = 3 * USE;
/// Those who read it now.
const PINS: u32 = USE - 1;

/// The most uses that are counted.
const USES_MAX: u32 = USES / USE;

/// A value that can be put out.
pub struct Resident<T> {
    state: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: `&Resident` hands out `&T` to several threads at once, so T is Sync, and whichever of them is the last drops the value, so
// T is Send. That no `&T` is alive when the value is taken is Invariant R.
unsafe impl<T: Send + Sync> Sync for Resident<T> {}

/// What [`Resident::spend`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Spent<T> {
    /// It had the uses, and stays.
    Stays,
    /// It had not, and is put out; with the value, unless somebody still reads it.
    Out(Option<T>),
}

impl<T> Resident<T> {
    /// A value without uses.
    pub fn new(value: T) -> Self {
        Self { state: AtomicU32::new(0), value: UnsafeCell::new(Some(value)) }
    }

    /// Calls `use_it` with the value and counts a use, up to three; `None` if it was put out. Waits for nobody. Cost: two changes of an atomic,
    /// three for the first uses.
    pub fn read<R>(&self, use_it: impl FnOnce(&T) -> R) -> Option<R> {
        // Relaxed: whoever gave the reference has published the value, and Invariant R rests on the order of this one atomic's changes.
        let seen = self.state.fetch_add(1, Ordering::Relaxed);
        let pin = Pin(self);
        if seen & GONE != 0 {
            return None;
        }
        if seen & USES != USES {
            let more = |seen: u32| (seen & GONE == 0 && seen & USES != USES).then(|| seen + USE);
            // Relaxed: a count orders nothing. It fails if others have used it enough by now, or put it out.
            self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok();
        }
        let used = self.value.with(|value| {
            // SAFETY: by Invariant R the pin keeps everybody from taking the value, and nobody else writes to it.
            let value = unsafe { &*value };
            value.as_ref().map(use_it)
        });
        drop(pin);
        used
    }

    /// Takes `uses` off if there are so many; else puts the value out.
    ///
    /// # Panics
    /// If more uses are asked for than are counted, 3.
    pub fn spend(&self, uses: u32) -> Spent<T> {
        assert!(uses <= USES_MAX, "{uses} uses, of which {USES_MAX} are counted");
        let enough = |seen: u32| (seen & GONE == 0 && seen & USES >= uses * USE && uses > 0).then(|| seen - uses * USE);
        let put_out = |seen: u32| enough(seen).unwrap_or(seen | GONE);
        // Relaxed: only `take` touches the value. The closure always has an answer.
        let seen = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| Some(put_out(seen)));
        match seen {
            Ok(seen) if enough(seen).is_some() => Spent::Stays,
            _ => Spent::Out(self.take()),
        }
    }

    /// The value, for the one who finds it put out and without pins.
    fn take(&self) -> Option<T> {
        // Pairs with the Release in `Pin::drop`: what those did who read the value has happened before it is touched here.
        let acquire = if weakened("resident_take") { Ordering::Relaxed } else { Ordering::Acquire };
        let free = |seen: u32| (seen & (GONE | TAKEN) == GONE && seen & PINS == 0).then_some(seen | TAKEN);
        self.state.fetch_update(acquire, Ordering::Relaxed, free).ok()?;
        self.value.with_mut(|value| {
            // SAFETY: by Invariant R this call alone has set TAKEN, when there was no pin; pins to come see GONE and touch nothing.
            let value = unsafe { &mut *value };
            value.take()
        })
    }
}

impl<T> std::fmt::Debug for Resident<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resident").finish_non_exhaustive()
    }
}

/// Somebody who reads.
struct Pin<'a, T>(&'a Resident<T>);

impl<T> Drop for Pin<'_, T> {
    fn drop(&mut self) {
        // Pairs with the Acquire in `take`.
        let release = if weakened("resident_unpin") { Ordering::Relaxed } else { Ordering::Release };
        let seen = self.0.state.fetch_sub(1, release);
        if seen & GONE != 0 && seen & PINS == 1 {
            drop(self.0.take());
        }
    }
}

#[cfg(all(test, not(mytsdb_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_value_stays_for_as_many_looks_as_it_had_uses_up_to_three() {
        let resident = Resident::new(7);
        for _ in 0..9 {
            assert_eq!(resident.read(|value| *value), Some(7));
        }
        for _ in 0..3 {
            assert_eq!(resident.spend(1), Spent::Stays);
        }
        assert_eq!(resident.spend(1), Spent::Out(Some(7)));
        assert_eq!(resident.read(|value| *value), None);
        assert_eq!(resident.spend(1), Spent::Out(None));
    }

    #[test]
    fn a_value_that_is_put_out_while_it_is_read_goes_when_that_is_done() {
        let value = Arc::new(7);
        let resident = Resident::new(value.clone());
        let used = resident.read(|inside| {
            assert_eq!(resident.spend(2), Spent::Out(None));
            assert_eq!(Arc::strong_count(inside), 2);
            **inside
        });
        assert_eq!((used, Arc::strong_count(&value)), (Some(7), 1));
    }

    #[test]
    fn a_reader_that_panics_holds_nothing() {
        let value = Arc::new(7);
        let resident = Resident::new(value.clone());
        let reader = std::panic::AssertUnwindSafe(|| resident.read(|_| panic!("a reader")));
        assert!(std::panic::catch_unwind(reader).is_err());
        assert_eq!(resident.spend(2), Spent::Out(Some(value)));
    }
}
