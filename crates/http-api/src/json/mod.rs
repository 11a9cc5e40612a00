//! JSON as Prometheus writes it, rendered into chunks of bytes.

mod chunks;
mod histogram;
mod number;
#[cfg(test)]
pub(crate) mod number_reference;
mod serialize;
mod spare;
mod text;

pub(crate) use chunks::{Chunks, Outlet, PointStart};
pub(crate) use histogram::write_histogram;
