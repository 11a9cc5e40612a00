//! What tests of several crates share; no product code imports it.
//!
//! ```
//! let seed = mytsdb_testkit::seed(7);
//! let mut random = mytsdb_testkit::Random::new(seed);
//! assert!(random.below(10) < 10);
//! ```

#![forbid(unsafe_code)]

mod kernels;
mod random;
mod setting;

pub use kernels::{Kernel, is_measured, kernels, measured};
pub use random::Random;
pub use setting::{seed, setting};
