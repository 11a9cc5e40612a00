//! The engine behind PromQL's storage trait.
//!
//! It is *not* an HTTP interface and decides no answer: it hands matchers down and columns up, so that the server, rules,
//! command lines and tests ask the engine in the same way.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod engine_storage;

pub use engine_storage::EngineStorage;
