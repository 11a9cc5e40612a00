//! The log against crashes, failing calls and damaged files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod damage;
mod faults;
mod support;
