//! Vectors as rows, the threads that read them, and what one evaluation holds and remarks.

pub(crate) mod buffers;
pub(crate) mod context;
pub(crate) mod label_key;
pub(crate) mod meter;
pub(crate) mod numbers;
pub(crate) mod range_vector;
pub(crate) mod repeated;
pub(crate) mod vector;
pub(crate) mod workers;
