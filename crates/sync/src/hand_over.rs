//! Things that move from one place to another while others look for them in both: never in neither.
//!
//! The first place is locked piece by piece, the second is a list that is replaced whole. Who moves things publishes them in the list,
//! counts, and only then drops them from the first place ([`HandOver::move_out`]). Who looks asks for the count, looks at the first
//! place and the list in any order and as slowly as it likes, and asks for the count again ([`HandOver::count`]): if it has changed, what
//! was missed is in the list by now.
//!
//! **Invariant H.** Whoever does not find a thing in the first place because it was moved finds the count changed, or has read the
//! list after the thing was published. It rests on the order of the three steps. The lock of the piece that a thing is dropped from
//! and that of the list carry everything else over; so does the count for who sees it changed.
//!
//! `tests/loom/hand_over.rs` shows it for every order of events, and notices when the count comes last (`hand_over_count`) and when the drop
//! comes first (`hand_over_publish`).

use crate::atomic::{AtomicU64, Ordering};
use crate::weaken::weakened;

/// Counts what was moved.
#[derive(Debug, Default)]
pub struct HandOver(AtomicU64);

impl HandOver {
    /// Nothing has been moved yet.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Publishes things in the second place, and drops them from the first; if they cannot be published they stay.
    ///
    /// # Errors
    /// Those of `publish`.
    pub fn move_out<E>(&self, publish: impl FnOnce() -> Result<(), E>, drop_moved: impl FnOnce()) -> Result<(), E> {
        if weakened("hand_over_publish") {
            self.count_and(drop_moved);
            return publish();
        }
        publish()?;
        self.count_and(drop_moved);
        Ok(())
    }

    fn count_and(&self, drop_moved: impl FnOnce()) {
        if weakened("hand_over_count") {
            drop_moved();
            self.0.fetch_add(1, Ordering::AcqRel);
        } else {
            // AcqRel: who sees the count sees what was published, whatever lock it goes on to take.
            self.0.fetch_add(1, Ordering::AcqRel);
            drop_moved();
        }
    }

    /// How often things have been dropped. Ask before and after looking.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire) // pairs with the AcqRel in `count_and`
    }
}
