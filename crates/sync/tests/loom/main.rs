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

mod changes;
mod epochs;
mod hand_over;
mod lane;
mod resident;

use std::collections::BTreeSet;
use std::fmt::Debug;

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
