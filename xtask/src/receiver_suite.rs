//! The suite of the Prometheus project for receivers of remote write, built once and kept outside the repository.

use std::path::PathBuf;

use anyhow::Context;

use crate::go;
use crate::workspace::succeed;

const MODULE: &str = "github.com/prometheus/compliance/remotewrite/receiver";
const VERSION: &str = "v0.0.0-20260806071727-67b8327a2e93";
const BINARY: &str = "receiver-suite";

/// The path of the suite; builds it first (some minutes, with downloads) if the cache has none.
///
/// # Errors
///
/// If Go is missing, or the module cannot be had or built.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    go::cached("the suite for receivers of remote write", &format!("receiver-suite-{VERSION}"), BINARY, |work| {
        // The module calls itself otherwise than it is found, so it is no dependency: it is fetched and built where it is.
        let fetched = go::command(work).args(["mod", "download", "-json", &format!("{MODULE}@{VERSION}")]).output();
        let fetched = fetched.context("cannot start go")?;
        let answer: serde_json::Value = serde_json::from_slice(&fetched.stdout).context("go mod download: no JSON")?;
        let source = answer["Dir"].as_str().with_context(|| format!("go mod download: {}", answer["Error"]))?;
        let copy = work.join("source");
        std::fs::create_dir_all(&copy).with_context(|| format!("cannot create {}", copy.display()))?;
        for entry in std::fs::read_dir(source).with_context(|| format!("cannot list {source}"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "go" || kind == "mod" || kind == "sum") {
                let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                // Written anew rather than copied: what Go keeps is read-only, and so a copy would be.
                std::fs::write(copy.join(path.file_name().unwrap_or_default()), text).context("cannot write")?;
            }
        }
        succeed(go::command(&copy).args(["test", "-c", "-o"]).arg(work.join(BINARY)).arg("."))?;
        Ok(work.join(BINARY))
    })
}
