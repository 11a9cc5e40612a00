//! A stop sign: how long-running work learns that nobody waits for its result any more.
//!
//! This crate is *not* what decides to stop: that is a closure of whoever asks for the work.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod looks;
mod stop_sign;

pub use looks::Looks;
pub use stop_sign::{Canceled, StopSign};
