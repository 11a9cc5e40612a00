//! Reads protobuf messages field by field, believing nothing.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod reader;

pub use error::ProtobufError;
pub use reader::Reader;
