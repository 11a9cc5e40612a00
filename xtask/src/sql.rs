//! `cargo xtask sql`: other engines read files of the cold tier and must answer what we compute.

use crate::python;
use crate::workspace::{cargo_with, succeed};

/// The engines and their versions, relative to the root.
const REQUIREMENTS: &str = "crates/parquet-tier/examples/requirements.txt";

/// Asks the engines; the last lines of output are the verdict.
///
/// # Errors
///
/// If Python or an engine is missing and cannot be fetched, or an answer differs.
pub(crate) fn run() -> anyhow::Result<()> {
    let python = python::with_packages("the engines", REQUIREMENTS)?;
    succeed(cargo_with(&["run", "-p", "mytsdb-parquet-tier", "--example", "sql", "--"]).arg(python))
}
