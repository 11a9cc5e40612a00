//! The promqltest suite: files of `load`, `clear` and `eval` commands.

mod compare;
mod run;
mod script;
mod storage;

pub use storage::StorageForm;

use crate::score::{Options, Score, files, read};
use std::path::Path;

/// Runs every file in `dir`; each eval is one case, its re-runs included.
pub fn run(dir: &Path, options: &Options) -> anyhow::Result<Score> {
    let mut score = Score::default();
    for (name, path) in files(dir, "test", options)? {
        let script = script::parse(&read(&path)?).map_err(|e| anyhow::anyhow!("{name}: {e}"))?;
        score.file(&name, run::run(&name, &script, options)?);
    }
    Ok(score)
}
