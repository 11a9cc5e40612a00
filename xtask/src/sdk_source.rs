//! The application with the OpenTelemetry SDK that the end-to-end test runs, built once and kept outside the repository.

use std::path::PathBuf;

use crate::go;

/// Its source, relative to the root.
const SOURCE: &str = "e2e/sdk-source";
const BINARY: &str = "sdk-source";

/// The path of the application; builds it first (about a minute, with downloads) if the cache has none of this source.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    go::from_source("the application with the OpenTelemetry SDK", SOURCE, BINARY)
}
