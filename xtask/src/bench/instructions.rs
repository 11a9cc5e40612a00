//! `cargo xtask bench instructions`: what kernels cost in instructions, counted by callgrind, so that the noise of a machine hides
//! nothing.
//!
//! A kernel is run by an example `CRATE_kernels` of its crate, [`TIMES`] times; only what runs within `measured` of the testkit
//! counts, so what is set up before does not. The counts depend on the compiler and on what the processor has (AVX2), so they are no gate.
#![expect(clippy::format_push_string, reason = "a table is written once; what reads best is cheapest")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::{folder, machine};
use crate::workspace::{cargo_with, root, shown, succeed, target_dir};

/// Crates that have kernels.
const CRATES: [&str; 6] = ["codec", "index", "wal", "otlp", "promql-syntax", "promql"];

/// How often a kernel is run.
const TIMES: u64 = 8;

/// What is checked in, relative to the root.
const BASELINE: &str = "docs/perf/instructions.json";

/// More than this share above what it is compared with is a regression.
const MORE_MAX: f64 = 0.03;

/// Counts, compares with the baseline or another file, and says what costs more.
///
/// # Errors
///
/// If valgrind is missing, a kernel fails, or, with `--compare`, one costs more than it did.
pub(super) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let (compare, save) = match flags {
        [] => (None, false),
        ["--compare", old] => (Some(*old), false),
        ["--save"] => (None, true),
        _ => bail!("usage: cargo xtask bench instructions [--compare OLD.json | --save]"),
    };
    require_valgrind()?;
    let found = json!({"machine": machine(), "instructions": count()?});
    let path = if save { root().join(BASELINE) } else { folder()?.join("instructions.json") };
    let text = serde_json::to_string_pretty(&found)? + "\n";
    std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    println!("{}", path.display());
    if save {
        return Ok(());
    }
    let old = compare.map_or_else(|| root().join(BASELINE), PathBuf::from);
    let old: Value = serde_json::from_slice(&std::fs::read(&old).with_context(|| old.display().to_string())?)?;
    let (table, more) = beside(&old, &found);
    print!("{table}");
    if compare.is_some() {
        ensure!(more.is_empty(), "more than {:.0} % above: {}", MORE_MAX * 100.0, more.join(", "));
    }
    Ok(())
}

fn require_valgrind() -> anyhow::Result<()> {
    match Command::new("valgrind").arg("--version").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`valgrind --version` failed: {status}"),
        Err(error) => bail!(
            "instructions are counted by valgrind, which does not start ({error}); `apt-get install valgrind` has it"
        ),
    }
}

fn count() -> anyhow::Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    // All at once: a build of some of them would choose other features of shared libraries, and compile those again.
    let mut build = cargo_with(&["build", "--profile", "ci"]);
    for name in CRATES {
        build.args(["--package", &format!("mytsdb-{name}"), "--example", &example(name)]);
    }
    succeed(&mut build)?;
    for name in CRATES {
        let program = target_dir().join("ci/examples").join(example(name));
        let listed = Command::new(&program).output().with_context(|| program.display().to_string())?;
        ensure!(listed.status.success(), "{}: {}", program.display(), listed.status);
        let listed = String::from_utf8(listed.stdout)?;
        for kernel in listed.lines() {
            let each = counted(&program, kernel)? / TIMES;
            ensure!(each > 0, "{name} {kernel}: nothing was counted");
            println!("{name:<14} {kernel:<26} {each:>14}");
            found.insert(format!("{name}/{kernel}"), each);
        }
    }
    Ok(found)
}

/// The program that runs the kernels of a crate.
fn example(name: &str) -> String {
    format!("{}_kernels", name.replace('-', "_"))
}

/// Instructions of all times.
fn counted(program: &Path, kernel: &str) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured*"]);
    let output = command.arg(program).arg(kernel).arg(TIMES.to_string()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}: {said}", shown(&command), output.status);
    collected(&said).with_context(|| format!("{}: {said}", shown(&command)))
}

/// The number that callgrind says at its end.
fn collected(said: &str) -> Option<u64> {
    let (_, number) = said.lines().find_map(|line| line.split_once("Collected : "))?;
    number.trim().parse().ok()
}

/// Counts before and now, and those that are too much more.
fn beside(old: &Value, new: &Value) -> (String, Vec<String>) {
    let (mut table, mut more) = (format!("{:<42} {:>14} {:>14}\n", "instructions", "before", "now"), Vec::new());
    for (name, now) in new["instructions"].as_object().into_iter().flatten() {
        let (Some(now), before) = (now.as_f64(), old["instructions"][name].as_f64()) else { continue };
        let Some(before) = before else {
            table += &format!("{name:<42} {:>14} {now:>14} new\n", "-");
            continue;
        };
        let ratio = now / before.max(1.0);
        table += &format!("{name:<42} {before:>14} {now:>14} {ratio:>7.3}x\n");
        if ratio > 1.0 + MORE_MAX {
            more.push(format!("{name} by {:.1} %", (ratio - 1.0) * 100.0));
        }
    }
    (table, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_callgrind_is_read() {
        let said = "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(said), Some(1_234_567));
        assert_eq!(collected("==7== error"), None);
    }

    #[test]
    fn what_costs_more_is_named() {
        let of = |a: u64, b: u64| json!({"instructions": {"x/a": a, "x/b": b}});
        let (table, more) = beside(&of(100, 100), &of(102, 104));
        assert_eq!(more, ["x/b by 4.0 %"]);
        assert!(table.contains("1.020x"), "{table}");
        let (table, more) = beside(&json!({}), &of(1, 2));
        assert!(table.contains("new") && more.is_empty());
    }

    #[test]
    fn crates_with_kernels_have_such_a_program() {
        for name in CRATES {
            assert!(root().join(format!("crates/{name}/examples/{}.rs", example(name))).exists(), "{name}");
        }
    }
}
