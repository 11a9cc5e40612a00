//! Counting and reading: what every suite shares.

use anyhow::{Context, bail};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the command line asks for.
#[derive(Debug, Default)]
pub struct Options {
    /// Print every failure.
    pub verbose: bool,
    /// Only files whose name contains this.
    pub filter: String,
    /// Where the promqltest suite puts its samples.
    pub storage: crate::promqltest::StorageForm,
}

/// Cases seen and cases passed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Score {
    pub passed: usize,
    pub total: usize,
}

impl Score {
    /// Counts one case.
    pub fn count(&mut self, passed: bool) {
        self.total += 1;
        self.passed += usize::from(passed);
    }

    /// Counts one case and prints its failure if that is wanted.
    pub fn check(&mut self, options: &Options, name: &str, outcome: &Result<(), String>) {
        if let (Err(why), true) = (outcome, options.verbose) {
            println!("FAIL {name}: {why}");
        }
        self.count(outcome.is_ok());
    }

    /// Adds the cases of one file, and prints them.
    pub fn file(&mut self, name: &str, score: Score) {
        println!("{name}  passed {} of {}", score.passed, score.total);
        self.passed += score.passed;
        self.total += score.total;
    }
}

/// The files of `dir` with the given extension, sorted by name. None at all is an error.
pub fn files(dir: &Path, extension: &str, options: &Options) -> anyhow::Result<Vec<(String, PathBuf)>> {
    #[expect(clippy::disallowed_methods, reason = "a test tool reads test data, not the database's files")]
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("cannot read the suite's folder {}", dir.display()))?;
    let mut out = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if name.contains(&options.filter) {
                out.push((name, path));
            }
        }
    }
    if out.is_empty() {
        bail!("no .{extension} files in {}", dir.display());
    }
    out.sort();
    Ok(out)
}

/// The text of a file.
pub fn read(path: &Path) -> anyhow::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "a test tool reads test data, not the database's files")]
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The text of a gzip file of test data.
pub fn read_gzip(path: &Path) -> anyhow::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "a test tool reads test data, not the database's files")]
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text)?;
    Ok(text)
}
