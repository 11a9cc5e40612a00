//! The lane of senders: items are taken once, in order, and nobody sleeps through one.

use crate::check;
use mytsdb_sync::{Arc, Lane, Pushed, thread};

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
