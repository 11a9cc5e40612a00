//! `cargo xtask peers`: the stores that benchmarks stand beside, built once and kept outside the repository.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::workspace::{shown, succeed};
use crate::{go, prometheus};

/// VictoriaMetrics' release.
const VICTORIA_VERSION: &str = "v1.151.0";
const VICTORIA_PACKAGE: &str = "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics";

/// Programs to measure beside.
pub(crate) struct Peers {
    pub(crate) prometheus: PathBuf,
    pub(crate) victoria_metrics: PathBuf,
}

/// Builds what the cache does not have: minutes the first time, with downloads.
///
/// # Errors
///
/// If Go is missing or a build fails.
pub(crate) fn build() -> anyhow::Result<Peers> {
    Ok(Peers { prometheus: prometheus::build()?, victoria_metrics: victoria_metrics()? })
}

/// Builds all and says where they are and what they call themselves.
///
/// # Errors
///
/// If a build fails, or what was built does not start.
pub(crate) fn run() -> anyhow::Result<()> {
    let peers = build()?;
    for program in [peers.prometheus, peers.victoria_metrics] {
        let mut command = Command::new(&program);
        let output = command.arg("--version").output().with_context(|| shown(&command))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        println!("{}\n  {}", program.display(), text.lines().next().unwrap_or("says nothing of its version"));
    }
    Ok(())
}

fn victoria_metrics() -> anyhow::Result<PathBuf> {
    let name = format!("victoria-metrics-{VICTORIA_VERSION}");
    go::cached(&format!("VictoriaMetrics {VICTORIA_VERSION}"), &name, "victoria-metrics", |work| {
        // The program takes its version from the linker.
        let version = format!(
            "-X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=victoria-metrics-{VICTORIA_VERSION}"
        );
        succeed(go::command(work).args(["mod", "init", "peer"]))?;
        succeed(go::command(work).args(["get", &format!("{VICTORIA_PACKAGE}@{VICTORIA_VERSION}")]))?;
        succeed(go::command(work).args(["build", "-ldflags", &version, "-o", "victoria-metrics", VICTORIA_PACKAGE]))?;
        Ok(work.join("victoria-metrics"))
    })
}
