//! Every interleaving of small programs over [`Lane`], [`HandOver`], [`Epochs`], [`Changes`] and [`Resident`]; run with
//! `cargo xtask loom`, which also builds each of these faults in and expects that a model fails: `publish` and `take` of the lane,
//! relaxed; `hand_over_publish`, a drop ahead of the publishing; `hand_over_count`, a count behind the drop; `epoch_open`, an epoch
//! opened behind the removal; `epoch_touch`, a stamp that is written over; `stamp_fence`, a stamp without its fence; `note_moment`, a
//! moment that is read ahead of the lock; `resident_unpin` and `resident_take`, the Release of who has read a cached value and the
//! Acquire of who gives its memory back, both relaxed.
//!
//! Each model says which outcomes its runs must come to, all of them and no other: a model that never reaches a case
//! proves nothing about it. That is not idle care. loom 0.7 remembers one last access per atomic, so a thread's own load
//! hides another thread's earlier load from it, and a taker that runs *before* the producers in the first schedule is
//! never tried after them. Hence the shape of the models: producers first (the main thread is one), taker spawned last.
#![cfg(mytsdb_loom)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use mytsdb_sync::atomic::{AtomicU64, Ordering};
use mytsdb_sync::{Arc, Changes, Epochs, HandOver, Lane, Mutex, Noted, Pushed, Resident, RwLock, Spent, Stamp, thread};

/// Runs `program` in every order and checks the set of its outcomes.
#[track_caller]
fn check<T: Ord + Debug + Clone + Send + 'static>(expected: &[T], program: impl Fn() -> T + Send + Sync + 'static) {
    let reached = std::sync::Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let inside = std::sync::Arc::clone(&reached);
    loom::model(move || {
        let outcome = program();
        inside.lock().expect("no panic while held").insert(outcome);
    });
    let reached: Vec<T> = reached.lock().expect("no panic while held").iter().cloned().collect();
    assert_eq!(reached, expected, "outcomes over all runs");
}

#[test]
fn no_item_is_lost_or_doubled_and_each_producer_keeps_its_order() {
    check(&[0, 1, 2, 3], || {
        let lane = Arc::new(Lane::new());
        let other = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                lane.push(20).expect("open");
            })
        };
        let taker = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || lane.drain().collect::<Vec<i32>>())
        };
        lane.push(10).expect("open");
        lane.push(11).expect("open");
        other.join().expect("no panic");
        let mut taken = taker.join().expect("no panic");
        let taken_meanwhile = taken.len();
        taken.extend(lane.drain());
        let own: Vec<i32> = taken.iter().copied().filter(|item| *item < 20).collect();
        assert_eq!(own, [10, 11], "order within a producer");
        taken.sort_unstable();
        assert_eq!(taken, [10, 11, 20]);
        taken_meanwhile
    });
}

#[test]
fn a_push_that_races_with_close_is_drained_or_handed_back() {
    check(&[0, 1, 2], || {
        let lane = Arc::new(Lane::new());
        let push = |item| {
            let lane = Arc::clone(&lane);
            move || match lane.push(item) {
                Ok(_) => 1,
                Err(refused) => {
                    assert_eq!(refused, item);
                    0
                }
            }
        };
        let other = thread::spawn(push(2));
        let taker = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                lane.close();
                // Nothing gets in after this line: one drain, without waiting for the producers, is the last.
                lane.drain().count()
            })
        };
        let accepted = push(1)() + other.join().expect("no panic");
        assert_eq!(taker.join().expect("no panic"), accepted);
        assert_eq!(lane.drain().count(), 0);
        assert_eq!(lane.push(3), Err(3));
        accepted
    });
}

#[test]
fn close_by_a_third_thread_loses_nothing_under_a_running_drain() {
    // (accepted, drained while the others ran)
    check(&[(0, 0), (1, 0), (1, 1)], || {
        let lane = Arc::new(Lane::new());
        let closer = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || lane.close())
        };
        let taker = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || lane.drain().count())
        };
        let accepted = usize::from(lane.push(1).is_ok());
        closer.join().expect("no panic");
        let drained = taker.join().expect("no panic");
        assert!(lane.is_closed(), "a drain never reopens");
        assert_eq!(drained + lane.drain().count(), accepted);
        (accepted, drained)
    });
}

#[test]
fn two_takers_share_the_items_without_doubling() {
    check(&[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)], || {
        let lane = Arc::new(Lane::new());
        let takers = [(); 2].map(|()| {
            let lane = Arc::clone(&lane);
            thread::spawn(move || lane.drain().collect::<Vec<i32>>())
        });
        lane.push(1).expect("open");
        lane.push(2).expect("open");
        let [mut first, second] = takers.map(|taker| taker.join().expect("no panic"));
        let counts = (first.len(), second.len());
        first.extend(second);
        first.extend(lane.drain());
        first.sort_unstable();
        assert_eq!(first, [1, 2]);
        counts
    });
}

/// The engine's promise: whoever sees a batch sees the definitions of its series.
#[test]
fn a_batch_in_one_lane_is_never_seen_without_its_series_in_the_other() {
    // (definitions seen, batches seen)
    check(&[(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)], || {
        let definitions = Arc::new(Lane::new());
        let batches = Arc::new(Lane::new());
        let taker = {
            let (definitions, batches) = (Arc::clone(&definitions), Arc::clone(&batches));
            thread::spawn(move || {
                let batches: Vec<i32> = batches.drain().collect();
                let definitions: Vec<i32> = definitions.drain().collect();
                assert!(batches.iter().all(|batch| definitions.contains(batch)), "batch of an unknown series");
                (definitions.len(), batches.len())
            })
        };
        for series in [1, 2] {
            definitions.push(series).expect("open");
            batches.push(series).expect("open");
        }
        taker.join().expect("no panic")
    });
}

#[test]
fn a_taker_that_parks_when_empty_is_woken_by_the_first_push() {
    // How often the taker slept; loom itself reports a sleep that never ends.
    check(&[0, 1, 2], || {
        let lane = Arc::new(Lane::new());
        let taker = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                let mut taken = Vec::new();
                let mut sleep_count = 0;
                loop {
                    taken.extend(lane.drain());
                    if taken.len() == 2 {
                        break;
                    }
                    thread::park();
                    sleep_count += 1;
                }
                assert_eq!(taken, [1, 2]);
                sleep_count
            })
        };
        for item in 1..=2 {
            if lane.push(item) == Ok(Pushed::ToEmpty) {
                taker.thread().unpark();
            }
        }
        taker.join().expect("no panic")
    });
}

#[test]
fn items_left_behind_are_freed_with_the_lane() {
    check(&[0, 1], || {
        // loom reports an Arc that is still alive at the end of a run.
        let lane = Arc::new(Lane::new());
        let taker = {
            let lane = Arc::clone(&lane);
            thread::spawn(move || usize::from(lane.drain().next().is_some()))
        };
        lane.push(Arc::new(1)).expect("open");
        lane.push(Arc::new(2)).expect("open");
        taker.join().expect("no panic")
    });
}

/// A sample in the head and a list of blocks, as flush and queries see them.
#[derive(Default)]
struct Moving {
    hand_over: HandOver,
    head: Mutex<Option<i32>>,
    blocks: RwLock<Vec<i32>>,
}

/// The engine's promise: a sample is in the head, in a block, or in both, for whoever looks while a flush moves it.
#[test]
fn a_sample_that_moves_from_the_head_to_a_block_is_found_by_who_reads_meanwhile() {
    // (the blocks were listed again, how often the sample was found)
    check(&[(false, 1), (false, 2), (true, 1), (true, 2), (true, 3)], || {
        let moving = Arc::new(Moving { head: Mutex::new(Some(7)), ..Moving::default() });
        let reader = {
            let moving = Arc::clone(&moving);
            thread::spawn(move || {
                let before = moving.hand_over.count();
                let mut found = moving.blocks.read().expect("no panic").clone();
                found.extend(*moving.head.lock().expect("no panic"));
                let again = moving.hand_over.count() != before;
                if again {
                    found.extend(&*moving.blocks.read().expect("no panic"));
                }
                assert!(found.contains(&7), "found nowhere");
                (again, found.len())
            })
        };
        let publish = || {
            moving.blocks.write().expect("no panic").push(7);
            Ok::<(), ()>(())
        };
        moving.hand_over.move_out(publish, || *moving.head.lock().expect("no panic") = None).expect("published");
        reader.join().expect("no panic")
    });
}

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

/// The promise of a cache: what is put out while others read it is theirs until they are done, and is given back once.
#[test]
fn a_value_that_is_put_out_is_given_back_once_and_not_while_it_is_read() {
    // Whether the reader had a hit, and whether who put the value out had it back at once.
    check(&[(false, false), (false, true), (true, false), (true, true)], || {
        // loom reports an Arc that is still alive at the end of a run.
        let resident = Arc::new(Resident::new(Arc::new(7)));
        let evictor = {
            let resident = Arc::clone(&resident);
            thread::spawn(move || match resident.spend(2) {
                Spent::Out(value) => value.is_some(),
                Spent::Stays => unreachable!("one use at most"),
            })
        };
        let hit = resident.read(|value| assert_eq!(**value, 7)).is_some();
        let is_back = evictor.join().expect("no panic");
        assert!(resident.read(|_| ()).is_none(), "read after it was put out");
        (hit, is_back)
    });
}
