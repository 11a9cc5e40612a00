//! References outlive the epoch that they were made in, and the next.

use crate::check;
use mytsdb_sync::{Arc, Epochs, RwLock, Stamp, thread};

/// A series of the catalog that has no samples.
struct Idle {
    epochs: Epochs,
    stamp: Stamp,
    is_there: RwLock<bool>,
}

impl Idle {
    fn new() -> Arc<Self> {
        Arc::new(Self { epochs: Epochs::new(1), stamp: Stamp::new(1), is_there: RwLock::new(true) })
    }

    /// Resolves the series: the epoch that was read before, if it is there.
    fn resolve(&self) -> Option<u64> {
        let epoch = self.epochs.now();
        let is_there = self.is_there.read().expect("no panic");
        is_there.then(|| {
            self.stamp.touch(epoch);
            epoch
        })
    }

    /// Whether the series is there; if not, that the epoch is one in which one of `resolved_in` may be gone.
    fn use_reference(&self, resolved_in: u64) -> bool {
        let is_there = *self.is_there.read().expect("no panic");
        assert!(is_there || self.epochs.now() >= resolved_in + 2, "gone too early");
        is_there
    }

    fn pass(&self) {
        self.epochs.pass(|epoch| {
            let mut is_there = self.is_there.write().expect("no panic");
            *is_there &= !self.stamp.is_idle(epoch);
        });
    }
}

#[test]
fn a_reference_is_valid_to_the_end_of_the_next_epoch() {
    // Whether the series was still there.
    check(&[false, true], || {
        let idle = Idle::new();
        let user = {
            let idle = Arc::clone(&idle);
            thread::spawn(move || idle.use_reference(1))
        };
        idle.pass();
        idle.pass();
        user.join().expect("no panic")
    });
}

#[test]
fn who_resolves_late_takes_nothing_away_from_who_resolved_later() {
    // Whether the series was there in the epoch after.
    check(&[true], || {
        let idle = Idle::new();
        idle.epochs.pass(|_| ());
        let late = {
            let idle = Arc::clone(&idle);
            // It has read the epoch before the pass.
            thread::spawn(move || idle.stamp.touch(1))
        };
        let epoch = idle.resolve().expect("nothing was removed");
        late.join().expect("no panic");
        idle.pass();
        idle.use_reference(epoch)
    });
}
