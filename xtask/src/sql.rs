//! `cargo xtask sql`: other engines read files of the cold tier and must answer what we compute.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::go;
use crate::workspace::{cargo_with, root, succeed};

/// The engines and their versions, relative to the root.
const REQUIREMENTS: &str = "crates/parquet-tier/examples/requirements.txt";

/// Asks the engines; the last lines of output are the verdict.
///
/// # Errors
///
/// If Python or an engine is missing and cannot be fetched, or an answer differs.
pub(crate) fn run() -> anyhow::Result<()> {
    let python = python()?;
    succeed(cargo_with(&["run", "-p", "mytsdb-parquet-tier", "--example", "sql", "--"]).arg(python))
}

/// A Python that has the engines; made first (about a minute, with downloads) if the cache has none of these versions.
fn python() -> anyhow::Result<PathBuf> {
    let list = root().join(REQUIREMENTS);
    let text = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let folder = go::cache_dir()?.join(format!("python-{:016x}", go::hash(&text)));
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    if ready.exists() {
        eprintln!("Python with the engines: {} (cached)", python.display());
        return Ok(python);
    }
    let start = Instant::now();
    eprintln!("Python with the engines: fetching them, about a minute");
    // An environment cannot be moved, so it is made in place, and counts once it is complete.
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).status();
    match made {
        Ok(status) if status.success() => {}
        Ok(status) => bail!("`python3 -m venv` failed: {status}. Debian has it in the package python3-venv."),
        Err(error) => bail!("the SQL engines are Python packages, and `python3` does not start ({error})"),
    }
    succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&list))?;
    std::fs::write(&ready, "").with_context(|| format!("cannot write {}", ready.display()))?;
    eprintln!("Python with the engines: {}, made in {:.0} s", python.display(), start.elapsed().as_secs_f64());
    Ok(python)
}
