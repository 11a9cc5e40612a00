//! JSON as Prometheus writes it, rendered by hand into chunks of bytes.

mod chunks;
mod histogram;
mod number;
mod text;

pub(crate) use chunks::{Chunks, PointStart};
pub(crate) use histogram::write_histogram;
