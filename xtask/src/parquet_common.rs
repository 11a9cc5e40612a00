//! The program with the Go module parquet-common that the end-to-end test runs, built once and kept outside the repository.

use std::path::PathBuf;

use crate::go;

/// Its source, relative to the root.
const SOURCE: &str = "e2e/parquet-common";
const BINARY: &str = "parquet-common";

/// The path of the program; builds it first (some two minutes, with downloads) if the cache has none of this source.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    go::from_source("the program with parquet-common", SOURCE, BINARY)
}
