//! Variable-length integers: LEB128 of 64 bits, and zigzag for those with a sign.
//!
//! Two ways to write and two to read, with the same bytes. [`put_uvarint`] appends to a vector and [`take_uvarint`]
//! advances a slice; [`write()`] and [`read`] move an offset, for loops that know how much room they have. This crate
//! is *not* a reader of formats: lengths and fields are the business of whoever calls.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod read;
mod write;
mod zigzag;

pub use read::{VarintError, read, take_uvarint, take_varint};
pub use write::{VARINT_BYTES_MAX, put_uvarint, put_varint, write};
pub use zigzag::{unzigzag, zigzag};
