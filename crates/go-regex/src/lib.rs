//! Regular expressions as Go's `regexp` package reads them, for patterns that have to match a whole text.
//!
//! The syntax is parsed here, into the expression tree of `regex-syntax`, and runs on `regex-automata`: matching is
//! linear in the text. This crate is *not* a general regex library: there is no search inside of a text.
//!
//! ```
//! use mytsdb_go_regex::{AnchoredRegex, Limits};
//!
//! let regex = AnchoredRegex::new("[a&&b]{2}|{gid}", &Limits::default())?;
//! assert!(regex.is_match("a&") && regex.is_match("{gid}"), "Go has no operators in classes");
//! assert!(AnchoredRegex::new("(?x)a b", &Limits::default()).is_err(), "nor has it this flag");
//! # Ok::<(), mytsdb_go_regex::RegexError>(())
//! ```
#![forbid(unsafe_code)]

mod anchored;
mod class;
mod error;
mod fold;
mod limits;
mod literals;
mod parser;
mod replacer;
mod required;
mod script;
mod trie;

pub use anchored::AnchoredRegex;
pub use error::RegexError;
pub use limits::Limits;
pub use replacer::Replacer;
