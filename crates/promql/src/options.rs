//! The limits and switches of one evaluation, and the handle that stops it.

use crate::budget::MemoryBudget;
use crate::error::EvalError;
use crate::result_cache::ResultCache;
use crate::worker_pool::WorkerPool;
use mytsdb_promql_syntax::TextLimits;
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
    /// Bytes that may be held at once in rows, columns, label sets and tables.
    pub max_bytes: u64,
    /// Drop metric names at the end of the evaluation instead of at once.
    pub delayed_name_removal: bool,
    /// Start timestamps of samples tell of resets of counters; without this they are as if unknown, and
    /// `start_timestamp` answers nothing.
    pub use_start_timestamps: bool,
    /// Threads that help the calling one to read and compute series; without them it does everything alone.
    pub pool: Option<WorkerPool>,
    /// Use the kernels over whole columns, the streaming aggregations and [`QueryOptions::pool`].
    ///
    /// `false` runs the reference operators, one window after the other on one thread. They define the results: both give the same bits, but for sums and averages over windows, which agree to a relative 1e-12.
    pub optimise: bool,
    /// Which passes of the planner run; none without [`QueryOptions::optimise`].
    pub optimisations: Optimisations,
    /// What all queries of the process may hold together, if there is a limit.
    pub memory: Option<MemoryBudget>,
    /// Where range queries keep rows of steps and find those of earlier ones, if anywhere. No answer depends on it, but limits may be met
    /// later.
    pub results: Option<ResultCache>,
    /// Note in [`QueryResult::plan`](crate::QueryResult) how the query was evaluated and what each part took.
    pub profile: bool,
    /// How long texts may be: here the patterns of `label_replace`. [`ParseOptions::within`](mytsdb_promql_syntax::ParseOptions::within)
    /// holds the parser to the same limits.
    pub texts: TextLimits,
}

/// Which of two twins an operator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// The definition of every answer: one window, one cell, one label set after the other, on one thread.
    Reference,
    /// Whole columns at a time, on all threads there are; the same bits, but for sums and averages over windows.
    Columnar,
}

impl QueryOptions {
    pub(crate) fn kernels(&self) -> Kernels {
        if self.optimise { Kernels::Columnar } else { Kernels::Reference }
    }
}

/// The passes of the planner, and what else may be left out. None changes an answer, a remark or an error, but for limits that are met later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one switch for each pass")]
pub struct Optimisations {
    /// Scalar expressions of known value are computed once.
    pub fold_constants: bool,
    /// `* 1` and its like go away where nothing would change.
    pub simplify: bool,
    /// Matchers of one operand narrow the other one down.
    pub push_matchers: bool,
    /// What `@` pins to one time is evaluated at one step.
    pub once: bool,
    /// Equal aggregations are evaluated once.
    pub share_subtrees: bool,
    /// Sums and their like take series in the order that suits the storage; may change the last place.
    pub any_order: bool,
    /// Windows that do not share samples take what the storage knows of those that lie in one of them together.
    pub outlines: bool,
}

impl Optimisations {
    /// No pass.
    pub const NONE: Optimisations = Optimisations {
        fold_constants: false,
        simplify: false,
        push_matchers: false,
        once: false,
        share_subtrees: false,
        any_order: false,
        outlines: false,
    };
    /// All passes.
    pub const ALL: Optimisations = Optimisations {
        fold_constants: true,
        simplify: true,
        push_matchers: true,
        once: true,
        share_subtrees: true,
        any_order: true,
        outlines: true,
    };
}

impl Default for Optimisations {
    fn default() -> Self {
        Self::ALL
    }
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60 * 1000,
            default_step_ms: 60 * 1000,
            max_samples: 50_000_000,
            max_bytes: 4 << 30,
            delayed_name_removal: false,
            use_start_timestamps: false,
            pool: None,
            optimise: true,
            optimisations: Optimisations::ALL,
            memory: None,
            results: None,
            profile: false,
            texts: TextLimits::DEFAULT,
        }
    }
}

/// A cheap handle that stops a running evaluation: a flag, an optional deadline, and whoever else knows.
///
/// Checked for every series and every few thousand cells, so an evaluation sees it within milliseconds.
#[derive(Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    deadline: Option<Instant>,
    keep_going: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

impl Cancel {
    /// Never stops unless [`Cancel::cancel`] is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops at `deadline`, or earlier by [`Cancel::cancel`].
    pub fn at(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }

    /// Stops as soon as `keep_going` says no, too. It is called at every check, from every thread of the query.
    #[must_use]
    pub fn unless(self, keep_going: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { keep_going: Some(Arc::new(keep_going)), ..self }
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
        if self.flag.load(Ordering::Relaxed) || self.keep_going.as_ref().is_some_and(|keep_going| !keep_going()) {
            return Err(EvalError::Canceled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(EvalError::Timeout),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel").field("flag", &self.flag).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
