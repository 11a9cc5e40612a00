//! Python packages of other projects, fetched once, into environments outside of the repository.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::go;
use crate::workspace::{root, succeed};

/// A Python that has the packages of a list, a path relative to the root; made first (about a minute, with downloads) if the cache has none of
/// these versions. `shown` is what the messages call it.
///
/// # Errors
///
/// If Python is missing, or the packages cannot be fetched.
pub(crate) fn with_packages(shown: &str, list: &str) -> anyhow::Result<PathBuf> {
    let list = root().join(list);
    let text = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let folder = go::cache_dir()?.join(format!("python-{:016x}", go::hash(&text)));
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    if ready.exists() {
        eprintln!("Python with {shown}: {} (cached)", python.display());
        return Ok(python);
    }
    let start = Instant::now();
    eprintln!("Python with {shown}: fetching, about a minute");
    // An environment cannot be moved, so it is made in place, and counts once it is complete.
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).status();
    match made {
        Ok(status) if status.success() => {}
        Ok(status) => bail!("`python3 -m venv` failed: {status}. Debian has it in the package python3-venv."),
        Err(error) => bail!("{shown}: Python packages are needed, and `python3` does not start ({error})"),
    }
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&list))?;
    std::fs::write(&ready, "").with_context(|| format!("cannot write {}", ready.display()))?;
    eprintln!("Python with {shown}: {}, made in {:.0} s", python.display(), start.elapsed().as_secs_f64());
    Ok(python)
}
