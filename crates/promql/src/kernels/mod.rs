//! Kernels: numbers from columns, windows and cells. They know no series and no query.

pub(crate) mod buckets;
pub(crate) mod cells;
pub(crate) mod columns;
pub(crate) mod date;
pub(crate) mod extended;
pub(crate) mod figures;
pub(crate) mod go_sort;
pub(crate) mod grid;
pub(crate) mod integral;
pub(crate) mod kahan;
pub(crate) mod kernel;
pub(crate) mod outlines;
pub(crate) mod over_time;
pub(crate) mod ranks;
pub(crate) mod rate;
pub(crate) mod remarks;
pub(crate) mod scalar;
pub(crate) mod sliding;
pub(crate) mod summaries;
pub(crate) mod tables;
pub(crate) mod window;
pub(crate) mod window_table;
