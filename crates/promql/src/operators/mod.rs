//! Operators: rows from rows, windows or samples. They take evaluated inputs, and never a part of a query.

pub(crate) mod aggregate;
pub(crate) mod best;
pub(crate) mod binary;
mod blocks;
pub(crate) mod count_values;
mod folds;
pub(crate) mod functions;
pub(crate) mod groups;
pub(crate) mod mapped;
mod quantiles;
pub(crate) mod reference;
pub(crate) mod results;
pub(crate) mod sample_field;
pub(crate) mod selection;
pub(crate) mod selector;
pub(crate) mod stream;
