//! Reads protobuf messages field by field; checks every length before it is used.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod reader;

pub use error::ProtobufError;
pub use reader::Reader;
