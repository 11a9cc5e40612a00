//! The times at which an expression is evaluated.

use std::ops::Range;

/// `count` steps from `start_ms` on, `step_ms` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    pub start_ms: i64,
    pub step_ms: i64,
    pub count: usize,
}

impl Grid {
    pub const fn single(timestamp_ms: i64) -> Self {
        Self { start_ms: timestamp_ms, step_ms: 1, count: 1 }
    }

    /// All steps in `[start_ms, end_ms]`.
    pub fn between(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        let span = i128::from(end_ms) - i128::from(start_ms);
        let count = if span < 0 { 0 } else { (span / i128::from(step_ms.max(1)) + 1) as usize };
        Self { start_ms, step_ms, count }
    }

    /// Some of the steps.
    pub fn part(&self, steps: &Range<usize>) -> Self {
        Self { start_ms: self.time(steps.start), step_ms: self.step_ms, count: steps.len() }
    }

    #[inline]
    pub fn time(&self, index: usize) -> i64 {
        self.start_ms + self.step_ms * index as i64
    }

    pub fn last(&self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }
}

/// Bounds and step of the query, in ms.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the unit belongs to the name")]
pub(crate) struct Bounds {
    pub start_ms: i64,
    pub end_ms: i64,
    pub step_ms: i64,
}
