//! `cargo xtask tidy`: house rules that neither rustfmt nor clippy knows; each finding comes with its fix.

mod imports;
mod names;
mod paths;
mod reserved;
mod rules;
#[cfg(test)]
mod tests;
mod uses;

use std::fmt;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::workspace::root;

/// Directories of the root that hold nothing of ours; `.gitignore` names them, too.
const SKIPPED_DIRS: [&str; 3] = [".git", "target", "data"];

/// Checks the repository.
///
/// # Errors
///
/// If a file breaks a rule, or cannot be read.
pub(crate) fn run() -> anyhow::Result<()> {
    let files = read_files(&root())?;
    let findings = rules::check(&files);
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "{} findings", findings.len());
    println!("tidy: {} files, nothing found", files.len());
    Ok(())
}

/// A file of the repository.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    bytes: Vec<u8>,
}

impl File {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.name().rsplit_once('.').is_some_and(|(_, own)| own == extension)
    }

    /// The lines, counted from 1; none if the file is no text.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        str::from_utf8(&self.bytes).unwrap_or_default().lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// A broken rule.
#[derive(Debug)]
struct Finding {
    path: String,
    /// From 1; 0 means the file as a whole.
    line: usize,
    what: String,
    fix: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}\n  fix: {}", self.path, self.what, self.fix),
            line => write!(f, "{}:{line}: {}\n  fix: {}", self.path, self.what, self.fix),
        }
    }
}

/// All files under `root`, sorted by path, without what cargo built and git keeps.
fn read_files(root: &Path) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let skipped = dir == root && SKIPPED_DIRS.iter().any(|name| entry.file_name() == *name);
                // Every cargo target directory carries this tag, whatever its name.
                if !skipped && !path.join("CACHEDIR.TAG").exists() {
                    dirs.push(path);
                }
            } else if kind.is_file() {
                let relative = path.strip_prefix(root).context("a listed file is under its directory")?;
                let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                files.push(File { path: relative.to_string_lossy().replace('\\', "/"), bytes });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
