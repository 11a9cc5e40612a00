//! The application with the OpenTelemetry SDK that the end-to-end test runs, built once and kept outside the repository.

use std::path::PathBuf;

use anyhow::Context;

use crate::go;
use crate::workspace::{root, succeed};

/// Its source, relative to the root.
const SOURCE: &str = "e2e/sdk-source";
const FILES: [&str; 3] = ["go.mod", "go.sum", "main.go"];
const BINARY: &str = "sdk-source";

/// The path of the application; builds it first (about a minute, with downloads) if the cache has none of this source.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let mut texts = Vec::new();
    for name in FILES {
        let path = root().join(SOURCE).join(name);
        texts.push(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let name = format!("sdk-source-{:016x}", go::hash(&texts));
    go::cached("the application with the OpenTelemetry SDK", &name, BINARY, |work| {
        for (name, text) in FILES.iter().zip(&texts) {
            std::fs::write(work.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        succeed(go::command(work).args(["build", "-o", BINARY, "."]))?;
        Ok(work.join(BINARY))
    })
}
