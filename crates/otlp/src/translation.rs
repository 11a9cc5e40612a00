//! The outcome of a request's points.

use mytsdb_intake::{Refusals, push_message};

/// Warnings that are kept per request.
const WARNINGS_MAX: usize = 10;

/// What became of a request's points. A point is an OTLP data point, however many samples it yields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translation {
    /// Points whose samples were all handed to the sink.
    pub accepted_points: u64,
    /// Points of which no sample was handed to the sink.
    pub refused: Refusals,
    /// Things the sender should know though nothing was refused; at most ten. Those about a series come when the series
    /// is first seen, not with every point.
    pub warnings: Vec<String>,
}

impl Translation {
    pub(crate) fn warn(&mut self, message: &str) {
        push_message(&mut self.warnings, message, WARNINGS_MAX);
    }
}
