//! `cargo xtask loom`: the models hold, and they notice when an ordering is weakened.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::workspace::{cargo_with, root, shown, succeed, target_dir};

/// Weakenings that a model must notice: package, value of `MYTSDB_LOOM_WEAKEN` while it is compiled, the models of that protocol.
const WEAKENINGS: [(&str, &str, &str); 10] = [
    ("mytsdb-sync", "publish", "lane::"),
    ("mytsdb-sync", "take", "lane::"),
    ("mytsdb-sync", "hand_over_publish", "hand_over::"),
    ("mytsdb-sync", "hand_over_count", "hand_over::"),
    ("mytsdb-sync", "epoch_open", "epochs::"),
    ("mytsdb-sync", "epoch_touch", "epochs::"),
    ("mytsdb-sync", "stamp_fence", "changes::"),
    ("mytsdb-sync", "note_moment", "changes::"),
    ("mytsdb-sync", "resident_unpin", "resident::"),
    ("mytsdb-sync", "resident_take", "resident::"),
];

/// Runs all models, then the weakened ones.
///
/// # Errors
///
/// If a model finds a fault, or does not find one that was planted.
pub(crate) fn run() -> anyhow::Result<()> {
    let packages = packages_with_models(&root())?;
    ensure!(!packages.is_empty(), "no crate has tests/loom/main.rs");
    for package in &packages {
        succeed(&mut model_test(package, None))?;
    }
    for (package, weakening, models) in WEAKENINGS {
        expect_failure(package, weakening, models)?;
    }
    Ok(())
}

/// The packages of `crates/` that have models.
fn packages_with_models(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut packages = Vec::new();
    let crates = root.join("crates");
    for entry in std::fs::read_dir(&crates).with_context(|| format!("cannot list {}", crates.display()))? {
        let entry = entry?;
        if entry.path().join("tests/loom/main.rs").exists() {
            packages.push(format!("mytsdb-{}", entry.file_name().to_string_lossy()));
        }
    }
    packages.sort();
    Ok(packages)
}

/// Optimised, because loom runs the same few lines very often; a target directory of its own, because the flags differ.
///
/// A weakening travels in the environment, not in another `--cfg`, so that it recompiles one crate and not loom itself.
fn model_test(package: &str, weakening: Option<&str>) -> Command {
    let mut command = cargo_with(&["test", "--profile", "ci", "--package", package, "--test", "loom"]);
    command.env("RUSTFLAGS", "--cfg mytsdb_loom").env("CARGO_TARGET_DIR", target_dir().join("loom"));
    match weakening {
        Some(weakening) => command.env("MYTSDB_LOOM_WEAKEN", weakening),
        None => command.env_remove("MYTSDB_LOOM_WEAKEN"),
    };
    command
}

fn expect_failure(package: &str, weakening: &str, models: &str) -> anyhow::Result<()> {
    // The build is a step of its own: a compile error does not count as caught by a model.
    succeed(model_test(package, Some(weakening)).arg("--no-run"))?;
    let mut command = model_test(package, Some(weakening));
    command.args(["--", models]);
    let output = command.output().with_context(|| format!("cannot start {}", shown(&command)))?;
    match verdict(output.status.success(), &String::from_utf8_lossy(&output.stdout)) {
        Verdict::Noticed(models) => {
            println!("{package} with weakened {weakening}: noticed by {models} models, as it should be");
            Ok(())
        }
        Verdict::Missed => {
            bail!("{package} with weakened {weakening}: no model noticed; the models are too weak to trust")
        }
        Verdict::Unclear => bail!("{} ended without a test result", shown(&command)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// So many models failed.
    Noticed(usize),
    Missed,
    /// The run ended neither with a pass nor with a failed test.
    Unclear,
}

fn verdict(success: bool, stdout: &str) -> Verdict {
    let failed = stdout.lines().filter(|line| line.starts_with("test ") && line.ends_with("... FAILED")).count();
    match (success, failed) {
        (true, _) => Verdict::Missed,
        (false, 0) => Verdict::Unclear,
        (false, models) => Verdict::Noticed(models),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_model_counts_as_noticed() {
        let failed = "test a ... ok\ntest b ... FAILED\ntest result: FAILED. 1 passed; 1 failed;\n";
        assert_eq!(verdict(false, failed), Verdict::Noticed(1));
        assert_eq!(verdict(true, "test a ... ok\n"), Verdict::Missed);
        assert_eq!(verdict(false, "running 2 tests\n"), Verdict::Unclear, "killed, say, or out of memory");
    }

    #[test]
    fn sync_has_models() {
        assert!(packages_with_models(&root()).unwrap().contains(&"mytsdb-sync".to_owned()));
    }
}
