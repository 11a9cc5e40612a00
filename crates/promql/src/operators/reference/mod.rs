//! The reference: every answer by its definition, one window, one cell and one label set after the other.
//!
//! The columnar operators beside this folder give the same bits, but for sums and averages over windows. They are what
//! runs unless [`QueryOptions::optimise`](crate::QueryOptions::optimise) is off, and fall back to the reference where data are
//! not of their kind: histograms, series that come and go, start times.

pub(crate) mod cells;
mod fill;
pub(crate) mod folds;
pub(crate) mod groups;
pub(crate) mod latest;
pub(crate) mod pair;
pub(crate) mod quantiles;
pub(crate) mod sets;
pub(crate) mod windows;
