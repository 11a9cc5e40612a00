//! `cargo xtask fuzz`: the libFuzzer targets, built with the stable compiler and run for a while each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail, ensure};

use crate::workspace::{cargo, root, succeed, target_dir};

/// Coverage for libFuzzer, as LLVM's flags; what cargo-fuzz sets without a sanitizer, and nothing that needs nightly.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions";

/// Seconds for each target unless told otherwise.
const SECONDS: u32 = 60;

/// Longest input that is made up: the longest query is 16 KiB.
const INPUT_BYTES_MAX: u32 = 16 << 10;

/// Queries to begin with, relative to the root; the target works without.
const QUERIES: &str = "../shared/conformance/prometheus-3.16/promqltest";

/// Small inputs to begin with, a folder for each target, relative to the root.
const SEEDS: &str = "fuzz/seeds";

/// Targets whose input comes from the network: the gate gives each of them [`DOOR_SECONDS`].
const DOORS: [&str; 6] = ["otlp_exponential", "otlp_inflate", "otlp_json", "otlp_walk", "remote_write", "text_import"];

/// Seconds of a door in the gate.
const DOOR_SECONDS: u32 = 60;

/// Seconds of any other target in the gate.
const INNER_SECONDS: u32 = 10;

/// Builds all targets and runs those that are named, or all.
///
/// Each goes on where the last run stopped: the inputs that reached something new are kept in the target folder.
///
/// # Errors
///
/// If one does not build, or finds an input that breaks what it checks; libFuzzer prints it and keeps it in a file.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    if flags == ["--seeds"] {
        return make_seeds();
    }
    let (seconds, wanted) = parse(flags)?;
    let all = targets(&root().join("fuzz/fuzz_targets"))?;
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("fuzz: no target {unknown}; there are {}", all.join(", "));
    }
    let programs = build()?;
    for name in all.iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
        eprintln!("{name}: {seconds} s");
        succeed(&mut target(&programs, "corpus", name, seconds)?)?;
    }
    Ok(())
}

/// The form for the gate: every target from its seeds alone and with one seed of chance, two at a time.
///
/// So a change is judged by what it does, and the same tree is judged the same way twice, as far as libFuzzer can
/// promise it. New ground is for [`run`], which chooses at random.
///
/// # Errors
///
/// As [`run`]; what libFuzzer printed is printed for the targets that failed.
pub(crate) fn short() -> anyhow::Result<()> {
    let programs = build()?;
    let corpus = target_dir().join("fuzz").join(GATE_CORPUS);
    if corpus.exists() {
        std::fs::remove_dir_all(&corpus).with_context(|| format!("cannot remove {}", corpus.display()))?;
    }
    let mut names = targets(&root().join("fuzz/fuzz_targets"))?;
    names.sort_by_key(|name| std::cmp::Reverse(seconds_in_gate(name)));
    let names = Mutex::new(names.into_iter());
    let failed = Mutex::new(Vec::new());
    let worker = || -> anyhow::Result<()> {
        loop {
            let Some(name) = lock(&names).next() else { return Ok(()) };
            let mut command = target(&programs, GATE_CORPUS, &name, seconds_in_gate(&name))?;
            let output = command.arg("-seed=1").output().with_context(|| format!("cannot start {name}"))?;
            eprintln!("{name}: {} s, {}", seconds_in_gate(&name), output.status);
            if !output.status.success() {
                eprintln!("{}", String::from_utf8_lossy(&output.stderr));
                lock(&failed).push(name);
            }
        }
    };
    std::thread::scope(|scope| {
        let others = [scope.spawn(worker), scope.spawn(worker)];
        others.into_iter().try_for_each(|other| other.join().expect("it does not panic"))
    })?;
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(failed.is_empty(), "fuzz: {} failed", failed.join(", "));
    Ok(())
}

/// Inputs that the gate's runs found; begun anew each time.
const GATE_CORPUS: &str = "gate-corpus";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seconds_in_gate(name: &str) -> u32 {
    if DOORS.contains(&name) { DOOR_SECONDS } else { INNER_SECONDS }
}

/// Builds all targets; returns the folder with the programs.
fn build() -> anyhow::Result<PathBuf> {
    let (host, build_dir) = (host()?, target_dir().join("fuzz"));
    let mut build = cargo();
    build.args(["build", "--locked", "--release", "--bins", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    succeed(build.env("RUSTFLAGS", RUSTFLAGS).env("CARGO_TARGET_DIR", &build_dir))?;
    Ok(build_dir.join(&host).join("release"))
}

/// The command that runs a target; new inputs go to its folder in `corpus`.
fn target(programs: &Path, corpus: &str, name: &str, seconds: u32) -> anyhow::Result<Command> {
    let build_dir = target_dir().join("fuzz");
    let corpus = build_dir.join(corpus).join(name);
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    if name == "promql_parse" {
        write_queries(&root().join(QUERIES), &corpus)?;
    }
    let mut target = Command::new(programs.join(name));
    target.current_dir(&build_dir).arg(&corpus).arg(root().join(SEEDS).join(name));
    target.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
    target.args(["-timeout=5", "-rss_limit_mb=512", "-verbosity=0", "-print_final_stats=1"]);
    Ok(target)
}

/// Compiles the targets without running them: they are a workspace of their own, which no other step looks at.
///
/// # Errors
///
/// If one does not compile.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["check", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--examples"]);
    succeed(command.env("CARGO_TARGET_DIR", target_dir().join("fuzz")))
}

/// Writes the seeds anew, from golden files and by our own encoders.
fn make_seeds() -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["run", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--example", "make_seeds"]);
    succeed(command.env("CARGO_TARGET_DIR", target_dir().join("fuzz")))
}

/// `[--seconds N] [TARGET ...]`
fn parse(flags: &[&str]) -> anyhow::Result<(u32, Vec<String>)> {
    let (mut seconds, mut targets) = (SECONDS, Vec::new());
    let mut rest = flags.iter();
    while let Some(flag) = rest.next() {
        match *flag {
            "--seconds" => {
                let number = rest.next().context("--seconds wants a number")?;
                seconds = number.parse().context("--seconds: not a number")?;
                ensure!(seconds > 0, "--seconds: 0 would mean for ever");
            }
            unknown if unknown.starts_with('-') => bail!("fuzz: unknown flag {unknown}"),
            name => targets.push(name.to_owned()),
        }
    }
    Ok((seconds, targets))
}

/// The names of the targets in `dir`, sorted.
fn targets(dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if let (Some("rs"), Some(name)) = (path.extension().and_then(|e| e.to_str()), path.file_stem()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    ensure!(!names.is_empty(), "{} has no targets", dir.display());
    names.sort();
    Ok(names)
}

/// The compiler's own triple: with `--target`, build scripts are built without the flags.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// One file for each query of the test files in `dir`, if there are any.
fn write_queries(dir: &Path, corpus: &Path) -> anyhow::Result<()> {
    for path in test_files(dir) {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (number, query) in text.lines().filter_map(query).enumerate() {
            let file = corpus.join(format!("{stem}-{number}"));
            std::fs::write(&file, query).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok(())
}

fn test_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "test")).collect()
}

/// The query of a line like `eval instant at 5m QUERY` or `eval range from 0 to 5m step 1m QUERY`.
fn query(line: &str) -> Option<&str> {
    let (kind, rest) = line.trim_start().strip_prefix("eval")?.split_once(' ')?.1.split_once(' ')?;
    let words_before = match kind {
        "instant" => 2,
        "range" => 6,
        _ => return None,
    };
    (0..words_before).try_fold(rest.trim_start(), |rest, _| rest.split_once(' ').map(|(_, rest)| rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_seconds_and_targets() {
        assert_eq!(parse(&[]).unwrap(), (SECONDS, Vec::new()));
        assert_eq!(parse(&["dx_decode", "--seconds", "5"]).unwrap(), (5, vec!["dx_decode".to_owned()]));
        assert!(parse(&["--seconds", "0"]).is_err() && parse(&["--fast"]).is_err());
    }

    #[test]
    fn every_target_is_built() {
        let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for name in targets(&root().join("fuzz/fuzz_targets")).unwrap() {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }

    #[test]
    fn doors_are_targets() {
        let all = targets(&root().join("fuzz/fuzz_targets")).unwrap();
        assert!(DOORS.iter().all(|door| all.iter().any(|name| name == door)), "{all:?}");
        assert_eq!([seconds_in_gate("otlp_walk"), seconds_in_gate("varint")], [DOOR_SECONDS, INNER_SECONDS]);
    }

    #[test]
    fn every_target_has_seeds_and_none_is_large() {
        const SEEDS_BYTES_MAX: u64 = 64 << 10;
        for name in targets(&root().join("fuzz/fuzz_targets")).unwrap() {
            let dir = root().join(SEEDS).join(&name);
            let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
            let sizes: Vec<u64> = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
            assert!(!sizes.is_empty(), "{name}: cargo xtask fuzz --seeds");
            assert!(sizes.iter().all(|&size| size <= u64::from(INPUT_BYTES_MAX)), "{name}");
            assert!(sizes.iter().sum::<u64>() <= SEEDS_BYTES_MAX, "{name}");
        }
    }

    #[test]
    fn queries_are_found_in_test_files() {
        assert_eq!(query("eval instant at 5m sum by (a) (m)"), Some("sum by (a) (m)"));
        assert_eq!(query("  eval_fail instant at 0 m{"), Some("m{"));
        assert_eq!(query("eval range from 0 to 5m step 1m rate(m[5m])"), Some("rate(m[5m])"));
        assert_eq!(query("load 5m"), None);
    }
}
