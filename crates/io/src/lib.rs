//! The file seam: every byte that mytsdb stores passes through [`Disk`], so that tests can simulate every crash.
//!
//! [`RealDisk`] is the file system, [`SimDisk`] a disk in memory that loses unsynced writes when it
//! crashes, [`FaultDisk`] a wrapper that fails the n-th call of a kind. The crate is *not* a file
//! format: it knows bytes and names, nothing about what they mean. Errors are [`std::io::Error`].
//!
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod disk;
mod fault;
mod mapped;
mod real;
mod sim;

pub use disk::{Disk, DiskFile, DiskLock};
pub use fault::{Call, FaultDisk};
pub use mapped::Mapped;
pub use real::RealDisk;
pub use sim::SimDisk;
