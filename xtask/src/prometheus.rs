//! `cargo xtask prometheus`: the Prometheus that the `peer` suite asks, built once and kept outside the repository.

use std::path::PathBuf;

use crate::go;
use crate::workspace::succeed;

/// The release. Its Go module has another version number.
const VERSION: &str = "3.16";
const MODULE_VERSION: &str = "v0.316.0";
const PACKAGE: &str = "github.com/prometheus/prometheus/cmd/prometheus";

const BINARY: &str = "prometheus";

/// Its folder in the cache.
fn folder() -> String {
    format!("prometheus-{VERSION}-{MODULE_VERSION}")
}

/// The path of Prometheus if it has been built.
///
/// # Errors
///
/// If nobody knows where the cache is.
pub(crate) fn built() -> anyhow::Result<Option<PathBuf>> {
    go::in_cache(&folder(), BINARY)
}

/// The path of Prometheus; builds it first (some two minutes, with downloads) if the cache has none.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    go::cached(&format!("Prometheus {VERSION}"), &folder(), BINARY, |work| {
        succeed(go::command(work).args(["mod", "init", "peer"]))?;
        succeed(go::command(work).args(["get", &format!("{PACKAGE}@{MODULE_VERSION}")]))?;
        // Built without service discovery: that is most of the code, and queries do not use it.
        succeed(go::command(work).args(["build", "-tags", "remove_all_sd", "-o", "prometheus", PACKAGE]))?;
        Ok(work.join("prometheus"))
    })
}
