//! `cargo xtask prometheus`: the Prometheus that the `peer` suite asks, built once and kept outside the repository.

use std::path::PathBuf;

use crate::go;
use crate::workspace::succeed;

/// The release. Its Go module has another version number.
const VERSION: &str = "3.16";
const MODULE_VERSION: &str = "v0.316.0";
const PACKAGE: &str = "github.com/prometheus/prometheus/cmd/prometheus";
const TOOL_PACKAGE: &str = "github.com/prometheus/prometheus/cmd/promtool";

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
    build_program("Prometheus", &folder(), BINARY, PACKAGE)
}

/// The path of promtool of the same release; builds it first, as Prometheus.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn build_tool() -> anyhow::Result<PathBuf> {
    build_program("promtool", &format!("promtool-{VERSION}-{MODULE_VERSION}"), "promtool", TOOL_PACKAGE)
}

fn build_program(shown: &str, folder: &str, binary: &str, package: &str) -> anyhow::Result<PathBuf> {
    go::cached(&format!("{shown} {VERSION}"), folder, binary, |work| {
        succeed(go::command(work).args(["mod", "init", "peer"]))?;
        succeed(go::command(work).args(["get", &format!("{package}@{MODULE_VERSION}")]))?;
        // Built without service discovery: that is most of the code, and queries do not use it.
        succeed(go::command(work).args(["build", "-tags", "remove_all_sd", "-o", binary, package]))?;
        Ok(work.join(binary))
    })
}
