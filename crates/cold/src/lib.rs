//! The cold tier behind the engine: old blocks become Parquet files of days, which queries go on to read.
//!
//! [`Cold`] is the whole of it. It decides what is demoted, in which order that happens, and what a crash at each step leaves;
//! `docs/cold-tier.md` says so. It is *not* the format of the files, which is `mytsdb-parquet-tier`, and has no schedule:
//! somebody calls [`Cold::step`] now and then, on a plain thread.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ahead;
mod cached;
mod coarse;
mod cold;
mod demotion;
mod downsampling;
mod error;
mod input;
mod metrics;
mod options;
mod plan;
mod reader;
mod remote;
mod series;
mod source;
mod state;
mod unknown;
mod write;

pub use cold::{Cold, Done};
pub use error::ColdError;
pub use options::{ColdOptions, Interop, Unreachable};
pub use reader::{node_prefix, nodes};
pub use state::{Whereabouts, whereabouts};
