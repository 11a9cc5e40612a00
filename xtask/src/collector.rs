//! `cargo xtask collector`: a stock OpenTelemetry Collector, built once and kept outside the repository.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::go::{self, GOFLAGS};
use crate::workspace::{root, succeed};

const VERSION: &str = "0.160.0";
const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.160.0";
/// The builder's own configuration, relative to the root; its hash is part of the cache key.
const BUILDER_CONFIG: &str = "deploy/otel-collector/builder.yaml";

/// The Collector's path; builds it first (some eight minutes of processor time, and downloads) if the cache has none.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let config = root().join(BUILDER_CONFIG);
    let text = std::fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
    let name = format!("otelcol-{VERSION}-{:016x}", go::hash(&text));
    go::cached(&format!("Collector {VERSION}"), &name, "otelcol", |work| {
        succeed(go::command(work).args(["install", BUILDER]))?;
        let mut builder = Command::new(work.join("builder"));
        builder.current_dir(work).env("GOFLAGS", GOFLAGS).arg("--config").arg(&config);
        succeed(builder.stdout(Stdio::null()))?;
        Ok(work.join("otelcol/otelcol"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_config_and_code_name_one_release() {
        let text = std::fs::read_to_string(root().join(BUILDER_CONFIG)).unwrap();
        let modules: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- gomod: ")).collect();
        assert!(modules.len() >= 6, "{modules:?}");
        for module in modules {
            assert!(module.ends_with(&format!(" v{VERSION}")), "{module}");
        }
        assert!(BUILDER.ends_with(&format!("@v{VERSION}")));
    }
}
