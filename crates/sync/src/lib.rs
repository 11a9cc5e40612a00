//! The one place to import atomics, cells, locks and threads from: std, or loom under `cfg(mytsdb_loom)`; the lock-free [`Lane`],
//! the protocols [`HandOver`], [`Epochs`], [`Changes`] and [`Resident`], and [`prefetch`].
//!
//! Code that takes its atomics from here runs unchanged under the model checker: `cargo xtask loom` builds with
//! `--cfg mytsdb_loom` and every name below then means loom's twin, which tries all the orders in which threads can run.
//!
//! This crate is *not* a place for channels, pools or executors, and it starts no thread of its own.
//!
//! ```
//! use mytsdb_sync::Lane;
//!
//! let lane = Lane::new();
//! lane.push("first").expect("the lane is open");
//! lane.push("second").expect("the lane is open");
//! assert_eq!(lane.drain().collect::<Vec<_>>(), ["first", "second"]);
//!
//! lane.close();
//! assert_eq!(lane.push("late"), Err("late"), "a closed lane hands the item back");
//! ```
#![deny(unsafe_code)]

mod changes;
mod door;
mod epochs;
mod hand_over;
#[expect(unsafe_code, reason = "the staging lane owns its nodes through raw pointers")]
mod lane;
#[expect(unsafe_code, reason = "a hint to the processor is an intrinsic")]
mod prefetch;
#[expect(unsafe_code, reason = "a value that is read without a lock and taken by the last who reads it")]
mod resident;
mod weaken;

pub use changes::{Changes, Noted};
pub use door::{Arc, Condvar, Mutex, MutexGuard, RwLock, atomic, cell, hint, thread};
pub use epochs::{Epochs, Stamp};
pub use hand_over::HandOver;
pub use lane::{Drain, Lane, Pushed};
pub use prefetch::prefetch;
pub use resident::{Resident, Spent};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
