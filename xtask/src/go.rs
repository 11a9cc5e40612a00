//! Programs of other projects that are built with Go, once, into a cache outside of the repository.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::workspace::{root, succeed};

/// Flags of every `go` that is started here.
pub(crate) const GOFLAGS: &str = "-mod=mod -buildvcs=false";

/// The path of `binary` in the folder `name` of the cache; if it is not there, `build` makes it in an empty folder and
/// says where. `shown` is what the messages call it.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn cached(
    shown: &str,
    name: &str,
    binary: &str,
    build: impl FnOnce(&Path) -> anyhow::Result<PathBuf>,
) -> anyhow::Result<PathBuf> {
    let dir = cache_dir()?.join(name);
    let binary = dir.join(binary);
    if binary.exists() {
        eprintln!("{shown}: {} (cached)", binary.display());
        return Ok(binary);
    }
    require(shown)?;
    let start = Instant::now();
    eprintln!("{shown}: building, about two minutes");
    // Each process builds in a directory of its own. An aborted or parallel build then leaves no half-written binary.
    let work = dir.with_file_name(format!("{name}.build-{}", std::process::id()));
    std::fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let built = build(&work)?;
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    std::fs::rename(&built, &binary).with_context(|| format!("the build left no {}", built.display()))?;
    std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    eprintln!("{shown}: {}, built in {:.0} s", binary.display(), start.elapsed().as_secs_f64());
    Ok(binary)
}

/// The path of a program whose source is a folder in the repository, given relative to the root; builds it first if the cache has none of
/// this source.
///
/// # Errors
///
/// If Go is missing or the build fails.
pub(crate) fn from_source(shown: &str, source: &str, binary: &str) -> anyhow::Result<PathBuf> {
    const FILES: [&str; 3] = ["go.mod", "go.sum", "main.go"];
    let mut texts = Vec::new();
    for name in FILES {
        let path = root().join(source).join(name);
        texts.push(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let name = format!("{binary}-{:016x}", hash(&texts));
    cached(shown, &name, binary, |work| {
        for (name, text) in FILES.iter().zip(&texts) {
            std::fs::write(work.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        succeed(command(work).args(["build", "-o", binary, "."]))?;
        Ok(work.join(binary))
    })
}

/// Keys the cache only: another Rust release may hash differently and then builds once more.
pub(crate) fn hash(source: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    hasher.finish()
}

/// The path of `binary` in the folder `name` of the cache, if it is there.
///
/// # Errors
///
/// If nobody knows where the cache is.
pub(crate) fn in_cache(name: &str, binary: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = cache_dir()?.join(name).join(binary);
    Ok(path.exists().then_some(path))
}

/// `go` in the folder `work`, which also takes what it installs.
pub(crate) fn command(work: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(work).env("GOBIN", work).env("GOFLAGS", GOFLAGS);
    command
}

fn require(shown: &str) -> anyhow::Result<()> {
    match Command::new("go").arg("version").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`go version` failed: {status}"),
        Err(error) => bail!(
            "{shown} is built with Go, and `go` does not start ({error}).\n\
             Install Go 1.26 or newer (https://go.dev/dl, or `apt-get install golang-go` where that is new enough)\n\
             and run this command again. Only the end-to-end test and the peer suite need Go."
        ),
    }
}

/// `$XDG_CACHE_HOME/mytsdb`, or `~/.cache/mytsdb`.
pub(crate) fn cache_dir() -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from).or_else(home);
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("mytsdb"))
}
