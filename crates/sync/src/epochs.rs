//! References that stay valid for a while without a count of their users.
//!
//! Time is cut into epochs. Who asks for a thing stamps it with the epoch that it has read before, under a lock that it shares with
//! others who ask ([`Stamp::touch`]). The collector opens the next epoch, and only then takes the lock alone and removes what
//! [`is_idle`](Stamp::is_idle) in it ([`Epochs::pass`]).
//!
//! **Invariant E.** A reference that was asked for in an epoch, as its user has read it, is valid through that epoch and the next: who
//! finds it gone reads an epoch that is later by two at least.
//!
//! `tests/loom/epochs.rs` shows it for every order of events, and notices when the epoch is opened after the removal (`epoch_open`) and when
//! a stamp is written over, whatever is there (`epoch_touch`).

use crate::atomic::{AtomicU64, Ordering};
use crate::weaken::weakened;

/// Counts epochs.
#[derive(Debug)]
pub struct Epochs(AtomicU64);

impl Epochs {
    /// Begins with an epoch.
    pub fn new(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }

    /// The epoch now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire) // pairs with the AcqRel in `pass`
    }

    /// Opens the next epoch and removes, by `remove`, which hears its number, what is idle in it.
    pub fn pass<T>(&self, remove: impl FnOnce(u64) -> T) -> T {
        if weakened("epoch_open") {
            let removed = remove(self.now() + 1);
            self.0.fetch_add(1, Ordering::AcqRel);
            return removed;
        }
        // First: whoever asks from here on protects its thing from this very pass. AcqRel: who sees the new epoch sees what was
        // removed in the one before.
        let epoch = self.0.fetch_add(1, Ordering::AcqRel) + 1;
        remove(epoch)
    }
}

/// When a thing was last asked for.
#[derive(Debug)]
pub struct Stamp(AtomicU64);

impl Stamp {
    /// Asked for in `epoch`.
    pub fn new(epoch: u64) -> Self {
        Self(AtomicU64::new(epoch))
    }

    /// Notes that somebody asks, who has read `epoch` before. Under the shared lock.
    pub fn touch(&self, epoch: u64) {
        // Relaxed, here and below: the lock that the collector takes alone carries it over. Not a store: the epoch may be stale,
        // and somebody else, who shares the lock, has a later one.
        if weakened("epoch_touch") {
            self.0.store(epoch, Ordering::Relaxed);
        } else {
            self.0.fetch_max(epoch, Ordering::Relaxed);
        }
    }

    /// Whether nobody has asked in `epoch`, which has just been opened, nor in the one before. Under the collector's lock.
    pub fn is_idle(&self, epoch: u64) -> bool {
        self.0.load(Ordering::Relaxed) + 1 < epoch
    }
}
