//! The limits and switches of one evaluation, and the handle that stops it.

use crate::error::EvalError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How a query is evaluated. [`Default`] is Prometheus' production behaviour.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// An instant selector sees samples younger than this (left-open window).
    pub lookback_ms: i64,
    /// Step of subqueries that name none.
    pub default_step_ms: i64,
    /// Samples that may be held at once; histograms count by their size.
    pub max_samples: u64,
    /// Bytes that may be held at once in rows and columns.
    pub max_bytes: u64,
    /// Drop metric names at the end of the evaluation instead of at once.
    pub delayed_name_removal: bool,
    /// Threads that may read and fold series at the same time; at least 1.
    pub threads: usize,
    /// Use the kernels over whole columns, the streaming aggregations and [`QueryOptions::threads`].
    ///
    /// `false` runs the plain version of everything, one window after the other on one thread. It defines the results:
    /// both give the same bits, but for sums and averages over windows, which agree to a relative 1e-12.
    pub optimise: bool,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60 * 1000,
            default_step_ms: 60 * 1000,
            max_samples: 50_000_000,
            max_bytes: 4 << 30,
            delayed_name_removal: false,
            threads: 1,
            optimise: true,
        }
    }
}

/// A cheap handle that stops a running evaluation: a flag and an optional deadline.
///
/// Checked for every series and every few thousand cells, so an evaluation stops within milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// Never stops unless [`Cancel::cancel`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops at `deadline`, or earlier by [`Cancel::cancel`].
    pub fn at(deadline: Instant) -> Self {
        Self { flag: Arc::default(), deadline: Some(deadline) }
    }

    /// Stops the evaluation that holds a clone of this handle.
    pub fn cancel(&self) {
        // Relaxed: the flag carries no data, the evaluation only has to see it soon.
        self.flag.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`EvalError::Canceled`] or [`EvalError::Timeout`].
    #[inline]
    pub fn check(&self) -> Result<(), EvalError> {
        // Relaxed: see `cancel`.
        if self.flag.load(Ordering::Relaxed) {
            return Err(EvalError::Canceled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(EvalError::Timeout),
            _ => Ok(()),
        }
    }
}
