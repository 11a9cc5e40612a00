//! `cargo xtask test`: every test of the workspace, doc tests included, with nothing but Rust installed.

use crate::workspace::{cargo_with, succeed};

/// Runs `cargo test --workspace`; `arguments` go to cargo as they are.
///
/// # Errors
///
/// If a test fails or does not compile.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    succeed(cargo_with(&["test", "--workspace"]).args(arguments))
}
