//! The short name of a series inside one process and its log.

use std::fmt;

/// Names a series for as long as its head and its log know it.
///
/// References are handed out in ascending order, start at 1, and are never used again;
/// 0 is not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub u64);

impl fmt::Display for SeriesRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "series#{}", self.0)
    }
}
