//! Results are not used again once something that they lack is acknowledged.

use crate::check;
use mytsdb_sync::atomic::{AtomicU64, Ordering};
use mytsdb_sync::{Arc, Changes, Noted, thread};

/// A sample that is stored, and what tells whether results computed before are still exact.
struct Stored {
    sample: AtomicU64,
    changes: Changes,
}

impl Stored {
    const TIME: i64 = 5;

    fn new() -> Arc<Self> {
        Arc::new(Self { sample: AtomicU64::new(0), changes: Changes::new(1) })
    }

    /// Stores samples one after the other, on a thread of its own; who joins it has the acknowledgement.
    fn store(stored: &Arc<Self>, samples: u64) -> thread::JoinHandle<()> {
        let stored = Arc::clone(stored);
        thread::spawn(move || {
            let mut noted = Noted::new(1);
            for sample in 1..=samples {
                // Relaxed: nothing but the protocol itself orders it.
                stored.sample.store(sample, Ordering::Relaxed);
                stored.changes.note(&mut noted, [(0, Self::TIME)]);
            }
        })
    }

    /// Whether a result is exact as far as is known.
    fn is_exact(&self, stamp: u64) -> bool {
        self.changes.earliest_since(stamp, 0, (0, 10)) > Self::TIME
    }
}

/// The cache's promise: what was computed without a sample is not used once the sample is acknowledged.
#[test]
fn a_result_without_a_sample_is_not_exact_once_that_is_acknowledged() {
    // (the sample was seen, the result counts as exact)
    check(&[(0, false), (1, false), (1, true)], || {
        let stored = Stored::new();
        let writer = Stored::store(&stored, 1);
        let stamp = stored.changes.stamp();
        let seen = stored.sample.load(Ordering::Relaxed);
        writer.join().expect("no panic");
        let is_exact = stored.is_exact(stamp);
        assert!(seen == 1 || !is_exact, "a stale result counts as exact");
        (seen, is_exact)
    });
}

/// The same of a result that was found exact and gets a new stamp.
#[test]
fn a_result_that_is_stamped_anew_is_not_exact_once_a_sample_is_acknowledged() {
    // The result was stamped anew.
    check(&[false, true], || {
        let stored = Stored::new();
        let old_stamp = stored.changes.stamp();
        let writer = Stored::store(&stored, 1);
        let new_stamp = stored.changes.stamp();
        let carried_over = stored.is_exact(old_stamp);
        writer.join().expect("no panic");
        assert!(!carried_over || !stored.is_exact(new_stamp), "a stale result counts as exact");
        carried_over
    });
}

/// The same of a sample that is not noted because one at its time was.
#[test]
fn a_result_without_the_second_of_two_samples_is_not_exact_once_that_is_acknowledged() {
    // (the last sample that was seen, the result counts as exact)
    check(&[(0, false), (1, false), (2, false), (2, true)], || {
        let stored = Stored::new();
        let writer = Stored::store(&stored, 2);
        let stamp = stored.changes.stamp();
        let seen = stored.sample.load(Ordering::Relaxed);
        writer.join().expect("no panic");
        let is_exact = stored.is_exact(stamp);
        assert!(seen == 2 || !is_exact, "a stale result counts as exact");
        (seen, is_exact)
    });
}
