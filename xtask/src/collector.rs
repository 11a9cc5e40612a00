//! `cargo xtask collector`: a stock OpenTelemetry Collector, built once and kept outside the repository.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::workspace::{root, succeed};

const VERSION: &str = "0.160.0";
const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.160.0";
/// The builder's own configuration, relative to the root; its hash is part of the cache key.
const BUILDER_CONFIG: &str = "deploy/otel-collector/builder.yaml";
const GOFLAGS: &str = "-mod=mod -buildvcs=false";

/// The Collector's path; builds it first (some two minutes, with downloads) if the cache has none.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let config = root().join(BUILDER_CONFIG);
    let text = std::fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
    let dir = cache_dir()?.join(format!("otelcol-{VERSION}-{:016x}", hash(&text)));
    let binary = dir.join("otelcol");
    if binary.exists() {
        eprintln!("Collector {VERSION}: {} (cached)", binary.display());
        return Ok(binary);
    }
    require_go()?;
    let start = Instant::now();
    eprintln!("Collector {VERSION}: building, about two minutes");
    // A directory of this process' own, so that neither an aborted build nor a second one leaves half a binary.
    let work = dir.with_extension(format!("build-{}", std::process::id()));
    std::fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    succeed(go(&work).args(["install", BUILDER]))?;
    let mut builder = Command::new(work.join("builder"));
    builder.current_dir(&work).env("GOFLAGS", GOFLAGS).arg("--config").arg(&config);
    succeed(builder.stdout(Stdio::null()))?;
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    std::fs::rename(work.join("otelcol/otelcol"), &binary).context("the builder left no otelcol/otelcol")?;
    std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    eprintln!("Collector {VERSION}: {}, built in {:.0} s", binary.display(), start.elapsed().as_secs_f64());
    Ok(binary)
}

fn go(bin: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(bin).env("GOBIN", bin).env("GOFLAGS", GOFLAGS);
    command
}

fn require_go() -> anyhow::Result<()> {
    match Command::new("go").arg("version").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`go version` failed: {status}"),
        Err(error) => bail!(
            "the Collector is built with Go, and `go` does not start ({error}).\n\
             Install Go 1.25 or newer (https://go.dev/dl, or `apt-get install golang-go` where that is new enough)\n\
             and run this command again. Nothing else of this project needs Go."
        ),
    }
}

/// `$XDG_CACHE_HOME/mytsdb`, or `~/.cache/mytsdb`.
fn cache_dir() -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(home);
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("mytsdb"))
}

/// Keys the cache only: another Rust release may hash differently and then builds once more.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
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
